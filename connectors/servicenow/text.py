"""Text on its way into a field: cleaned, and cut where the database would cut it. Pure."""

from __future__ import annotations

import re

from connectors.servicenow.tables import LIMITS
from shared.core.ticket_system import Note

_ELLIPSIS = "…"

#: Control characters that no field shows and that XML, in which records are exported, cannot hold.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_CODE_TAG = re.compile(r"\[(/?)code\]", re.IGNORECASE)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def clean(value: str) -> str:
    """Without control characters and lone surrogates, which cannot be sent as UTF-8."""
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))


def cut(field: str, value: str) -> str:
    """Cut to the field's length, ending in an ellipsis.

    The database cuts silently what does not fit into a column of up to 255 characters, and then what comes back
    differs from what was sent (ServiceNow support article KB0685779).
    """
    limit = LIMITS.get(field)
    if limit is None or len(value) <= limit:
        return value
    return value[: limit - 1].rstrip() + _ELLIPSIS


def journal(value: str) -> str:
    """Text that a journal field shows as text: what stands between [code] tags there is rendered as HTML.

    Do it last, to text that is cleaned already. Source: ServiceNow docs, "Enable rendering of HTML and hyperlinks in
    journal fields" (glide.ui.security.allow_codetag).
    """
    return _CODE_TAG.sub(r"(\1code)", value)


def note_text(note: Note, field: str = "work_notes") -> str:
    """A note's text, cut if need be in such a way that its marker stays."""
    text, mark = journal(clean(note.text)), clean(note.marker)
    short = cut(field, text)
    if mark in short or mark not in text:
        return short
    room = LIMITS[field] - len(mark) - 3
    return f"{text[:room].rstrip()}{_ELLIPSIS}\n\n{mark}"
