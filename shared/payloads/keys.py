"""Keys of signals: ``type:version:payload``, lower case, equal for every message about the same thing.

A payload is one stable id, or several parts with a separator between them. A separator that occurs inside a part is
escaped with a backslash, so that different parts never make the same key. Keys hold no rendered text, no measured
values and no times (a budget's month is its identity, not a time).
"""

from __future__ import annotations

from shared.payloads.values import line

VERSION = 1

#: Longer payloads (many dimensions) keep their beginning and end in a digest. Links and tickets are stored by digest
#: anyway; this only bounds what is carried around.
_LONGEST = 512
_KEPT = 300


class Unidentified(ValueError):
    """Nothing in a payload tells what it is about. ``str(error)`` is the reason shown in quarantine."""


def make_key(kind: str, *parts: str, separator: str = "|") -> str:
    """Build a key.

    Args:
        kind: type of the key, e.g. ``alert``.
        parts: clean text; case and surrounding blanks do not matter. Empty parts at the end leave no trace.
        separator: one character.

    Raises:
        Unidentified: every part is empty.
    """
    low = [line(part).lower() for part in parts]
    if len(low) == 1 and low[0].replace("-", "").isalnum() and len(low[0]) <= _LONGEST:
        return f"{kind}:{VERSION}:{low[0]}"  # a GUID, as in most alerts: nothing to escape
    if not any(low):
        raise Unidentified(f"nothing identifies this {kind.replace('_', ' ')}")
    while not low[-1]:
        low.pop()
    payload = separator.join(_escape(part, separator) for part in low)
    if len(payload) > _LONGEST:
        from hashlib import sha256  # rarely needed, and the path of every alert imports little

        payload = f"{payload[:_KEPT]}~{sha256(payload.encode()).hexdigest()}"
    return f"{kind}:{VERSION}:{payload}"


def _escape(part: str, separator: str) -> str:
    return part.replace("\\", "\\\\").replace(separator, "\\" + separator)


def listed(values: list[str]) -> str:
    """Several values as one part of a key: sorted, each once."""
    return ",".join(_escape(value, ",") for value in sorted({line(value).lower() for value in values}))


def series(pairs: list[tuple[str, str]]) -> str:
    """Dimensions as one part of a key: sorted, each once, whatever the order in the payload."""
    unique = sorted({(line(name).lower(), line(value).lower()) for name, value in pairs})
    return ",".join(f"{_escape(_escape(name, ','), '=')}={_escape(value, ',')}" for name, value in unique)
