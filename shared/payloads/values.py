"""Reading JSON values that may be of any type: clean text, numbers, objects, times, durations and rank words.

Senders spell one key in several ways (``alertRuleID`` and ``alertRuleId``, ``SearchResult`` and ``SearchResults``),
write numbers as text and text as numbers, and put JSON into strings. Every reader uses these functions, so that no
reader has to handle that itself.

Notations of times that payloads have: ISO 8601 with 0 to 7 fraction digits, with ``Z``, with an offset, and without a
zone; ``3/22/2019 1:36:31 PM``, also with an offset; RFC 1123; dates alone; .NET's MinValue for "never". A time without
zone is UTC.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from shared.core.payload_schema import Fields
from shared.core.signal import read_json_text

#: Words that senders write where a value is missing (lower case).
_NOTHING = frozenset({"", "null", "none", "n/a", "<null>"})
_LONGEST_NOTHING = max(map(len, _NOTHING))

_CONTAINERS = (dict, list)
_NUMERIC = (int, float, str)

# Compiled by re at first use: most alerts hold neither.
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]"
_SURROGATES = r"[\ud800-\udfff]"

#: The largest payload known has 256 KB (an alert's): longer text is not read as JSON.
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
    """The value of a JSON text, None where it is no JSON."""
    if len(value) > _LONGEST_JSON:
        return None
    try:
        return read_json_text(value)
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


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Compiled by re at first use: most alerts need none of them.
_AMERICAN = (
    r"(\d{1,2})/(\d{1,2})/(\d{4})(?: +(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?(?: *([AaPp])\.?[Mm]\.?)?)?"
    r" *(Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
)
_RFC_1123 = (
    r"(?:[A-Za-z]{3,9}, *)?(\d{1,2})[ -]([A-Za-z]{3})[a-z]*[ -](\d{4}) +(\d{1,2}):(\d{2}):(\d{2})"
    r" *(GMT|UTC|Z|[+-]\d{2}:?\d{2})?"
)
_ISO_DURATION = r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})(?:\.\d{1,9})?S)?)?"
_TIMESPAN = r"(?:(\d{1,6})\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.\d{1,9})?"
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


#: Clocks of senders may be ahead of ours by this much.
_AHEAD = timedelta(minutes=1)


def bounded(found: datetime, received_at: datetime) -> datetime:
    """A time that a sender gave, or the latest that can be true where it is later.

    The Resolved of an event in the future would seem to be older than it, and its ticket would stay open for ever. The
    order of events that arrive one after the other stays as it is.
    """
    return min(found, received_at + _AHEAD)


def moment(value: object) -> datetime | None:
    """A time in UTC, None for anything that is none and for the smallest and largest time of .NET ("never")."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    try:
        found: datetime | None = datetime.fromisoformat(value)
    except ValueError:
        found = _other(value)
    if found is None or not 1900 < found.year < 9999:
        return None
    if found.tzinfo is UTC:
        return found
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _other(value: str) -> datetime | None:
    value = value[:64]
    if match := re.fullmatch(_AMERICAN, value):
        month, day, year, hour, minute, second, fraction, half, zone = match.groups()
        hours = int(hour or 0)
        if half:
            hours = hours % 12 + (12 if half in "Pp" else 0)
        micros = int((fraction or "0").ljust(6, "0")[:6])
        return _moment_of(int(year), int(month), int(day), hours, int(minute or 0), int(second or 0), micros, zone)
    if match := re.fullmatch(_RFC_1123, value):
        day, name, year, hour, minute, second, zone = match.groups()
        if name.lower() not in _MONTHS:
            return None
        month_number = _MONTHS.index(name.lower()) + 1
        return _moment_of(int(year), month_number, int(day), int(hour), int(minute), int(second), 0, zone)
    return None


def _moment_of(
    year: int, month: int, day: int, hour: int, minute: int, second: int, micros: int, zone: str | None
) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, micros, tzinfo=_zone(zone))
    except ValueError:
        return None


def _zone(text: str | None) -> timezone:
    if not text or text[0] not in "+-":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def span(value: object, unit: int = 60) -> int | None:
    """Seconds of a duration: ISO 8601 (``PT5M``), .NET TimeSpan (``7.00:00:00``) or a number of units.

    Args:
        value: as received.
        unit: seconds that a bare number counts; log alerts V1 and classic metric alerts give minutes as text.

    Returns:
        Whole seconds; None for no duration and for zero, which senders write where no window applies.
    """
    if isinstance(value, str):
        return _parse_span(value.strip()[:40].upper(), unit)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value * unit) if 0 < value < 1e7 else None


@lru_cache(maxsize=256)
def _parse_span(value: str, unit: int) -> int | None:
    """The windows of rules are few: PT1M, PT5M, PT1H ..."""
    if match := re.fullmatch(_ISO_DURATION, value):
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return (weeks * 604800 + days * 86400 + hours * 3600 + minutes * 60 + seconds) or None
    if match := re.fullmatch(_TIMESPAN, value):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return (days * 86400 + hours * 3600 + minutes * 60 + seconds) or None
    try:
        return span(float(value), unit)
    except ValueError:
        return None


@lru_cache(maxsize=256)
def in_words(seconds: int) -> str:
    """A duration for people: ``5 minutes``, ``1 hour 30 minutes``, ``1 day``."""
    words = []
    for size, name in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {name}" if count == 1 else f"{count} {name}s")
    return " ".join(words) or "0 seconds"


_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3, "informational": 4}


def rank(value: object) -> int | None:
    """Severity, 0 to 4, of the words Critical, High, Medium, Low and Informational; None for anything else.

    What is merely informational ranks below what is low, hence 4.
    """
    return _RANKS.get(given(value).lower())


#: A link that needs no encoding, and what encoding leaves as it is.
_PLAIN_LINK = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?#\[\]]+")
_UNQUOTED = "%!$&'()*+,;=:@/?#[]~"


def web_link(value: str) -> str:
    """A link that can be shown, ``""`` for anything that is no absolute http(s) address.

    Blanks and other characters that may not stand in an address are percent-encoded. An address with user
    information before its host is refused: it can look like a well-known address and lead elsewhere.
    """
    if not value[:8].lower().startswith(("http://", "https://")):
        return ""
    if not _PLAIN_LINK.fullmatch(value):
        value = quote(value, safe=_UNQUOTED)
    try:
        parts = urlsplit(value)
        host = parts.hostname
        parts.port  # noqa: B018 - reading it checks it: raises ValueError for a port that is no number
    except ValueError:
        return ""
    return value if host and "@" not in parts.netloc and "%" not in host else ""
