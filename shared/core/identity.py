"""Who a ticket is: the id and the correlation text that follow from key and generation. Pure."""

from __future__ import annotations

import hashlib
import re

#: ServiceNow's correlation_id holds 100 characters; a longer text would be cut and never found again.
MAX_CORRELATION = 100

#: Written into correlation_display, and looked for beside the correlation itself.
DISPLAY = "Azure ITSM Bridge"


def ticket_id(connection: str, key: str, generation: int) -> str:
    """32 hex digits for one ticket of a key: the same in every worker, at every attempt.

    The connection is part of it, so that a key that moves to another instance gets a ticket of its own there.
    """
    return hashlib.sha256(f"{connection}\n{key}\n{generation}".encode()).hexdigest()[:32]


def correlation(key: str, generation: int) -> str:
    """At most 100 characters that name one ticket of a key: the key itself, ``#2`` and so on for later tickets.

    A key that is too long keeps its type and version and is hashed: ``alert:1:sha256.<hex>``.
    """
    suffix = f"#{generation}" if generation > 1 else ""
    if len(key) + len(suffix) <= MAX_CORRELATION:
        return key + suffix
    kind, version, _ = key.split(":", 2)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{kind[:20]}:{version}:sha256.{digest}{suffix}"


def link_id(key: str) -> str:
    """64 hex digits under which a key's link is stored: keys hold characters that storage forbids."""
    return hashlib.sha256(key.encode()).hexdigest()


_LATER = re.compile(r"(.+)#([2-9]|[1-9][0-9]+)", re.DOTALL)
_HASHED = re.compile(r"[^:]{1,20}:[^:]+:sha256\.([0-9a-f]{64})")


def link_ids(correlation_text: str) -> tuple[str, ...]:
    """The inverse of :func:`correlation`: ids of the links that may have given a ticket its correlation, likely first.

    At most four, mostly one, never none: ``#2`` may be a generation or the end of the key itself, and a key may look as
    if it were hashed. Only the ticket's own id tells: the right link names it.
    """
    later = _LATER.fullmatch(correlation_text)
    keys = [later[1], correlation_text] if later else [correlation_text]
    hashed = [found[1] for key in keys if (found := _HASHED.fullmatch(key))]
    return tuple(dict.fromkeys([*hashed, *(link_id(key) for key in keys)]))
