"""Reading JSON values that may be of any type: text that is safe to store, objects without spelling variants.

Senders of alerts spell one key in several ways (``alertRuleID`` and ``alertRuleId``, ``SearchResult`` and
``SearchResults``), write numbers as text and text as numbers, and put JSON into strings. Every reader goes through
these functions, so that no reader has to know.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

#: A JSON object whose keys are lower case. Values are as received.
Fields = dict[str, Any]

#: Words that senders write where a value is missing (lower case).
_NOTHING = frozenset({"", "null", "none", "n/a", "<null>"})
_LONGEST_NOTHING = max(map(len, _NOTHING))

_CONTAINERS = (dict, list)
_NUMERIC = (int, float, str)

# Compiled by re at first use: most alerts hold neither.
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]"
_SURROGATES = r"[\ud800-\udfff]"

#: An alert has at most 256 KB (Microsoft Learn, "Common alert schema"); longer text in a string is no JSON of theirs.
_LONGEST_JSON = 300_000


def clean(value: str) -> str:
    """Remove what no database or log takes: control characters go, lone surrogates become U+FFFD, CR LF becomes LF."""
    if value.isprintable():
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(_SURROGATES, "\ufffd", re.sub(_CONTROLS, "", value))


def text(value: object) -> str:
    """A scalar as clean text without blanks around it; ``""`` for null, objects and arrays."""
    if isinstance(value, str):
        value = value.strip()
        return value if value.isprintable() else clean(value).strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return _integer(value) if isinstance(value, int) else ""


def given(value: object) -> str:
    """As :func:`text`, and ``""`` also for the words that mean nothing: null, None, N/A, ``<null>``."""
    if value is None:
        return ""
    found = value.strip() if isinstance(value, str) else text(value)
    if len(found) > _LONGEST_NOTHING and found.isprintable():
        return found  # nearly every value
    found = clean(found).strip()
    return "" if found.lower() in _NOTHING else found


def _integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return ""


def number(value: object) -> float | None:
    """A finite number from a number or numeric text, else None. Thousands separators and currency are no numbers."""
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def anything(value: object) -> str:
    """Any value as text: scalars as :func:`text`, objects and arrays as compact JSON, null as ``""``."""
    if isinstance(value, _CONTAINERS):
        return compact(value) if value else ""
    return text(value)


def compact(value: object) -> str:
    """JSON without blanks, in one line; a note instead of values that are nested too deeply to be written."""
    try:
        return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except (RecursionError, ValueError):
        return "(nested too deeply)"


def line(value: str) -> str:
    """One line: every run of blanks and line breaks becomes one blank."""
    return " ".join(value.split())


def cut(value: str, limit: int) -> str:
    """At most ``limit`` characters; an ellipsis shows that something was cut."""
    return value if len(value) <= limit else value[: limit - 1].rstrip() + "…"


def squash(value: object) -> str:
    """Letters and digits only, lower case: ``Activity Log - Policy`` and ``ActivityLog Policy`` become equal."""
    return _squash(value[:200]) if isinstance(value, str) else _squash(text(value)[:200])


@lru_cache(maxsize=512)
def _squash(value: str) -> str:
    """The words that pass here are names of schemas, services and states: few, and the same in every alert."""
    return "".join(filter(str.isalnum, value.lower()))


def fold(value: object) -> Fields:
    """An object with lower-case keys; ``{}`` for anything else.

    Where one object spells a key in two ways, the first spelling in sort order that has a value wins, so that the
    outcome does not depend on the order of keys.
    """
    if not isinstance(value, dict):
        return {}
    folded = {key.lower(): found for key, found in value.items()}
    if len(folded) < len(value):
        folded = {}
        for key in sorted(value):
            low = key.lower()
            if folded.get(low) is None:
                folded[low] = value[key]
    return folded


def from_json(value: str) -> Any:
    """What a JSON text says, None where it is no JSON."""
    if len(value) > _LONGEST_JSON:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def object_of(value: object) -> Fields:
    """A folded object from an object or from a string that holds one; else ``{}``."""
    if value is None:
        return {}
    return fold(value if isinstance(value, dict) else raw_object(value))


def raw_object(value: object) -> dict[str, Any]:
    """An object with its own spelling of keys, from an object or from a string that holds one; else ``{}``."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = from_json(value)
    return value if isinstance(value, dict) else {}


def array_of(value: object) -> list[Any]:
    """An array from an array or from a string that holds one; ``[]`` for anything else."""
    if isinstance(value, list):
        return value
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = from_json(value)
    return value if isinstance(value, list) else []


def texts(value: object, most: int = 500) -> list[str]:
    """The texts of an array (or of JSON text that holds one) that mean something; or the one text given instead."""
    items = array_of(value) or [value]
    return [found for item in items[:most] if (found := given(item))]
