"""Moments and durations in every notation that Azure services send.

Seen on the wire: ISO 8601 with 0 to 7 fraction digits, with ``Z``, with an offset, and without any zone (Service
Health); ``3/22/2019 1:36:31 PM`` (log alerts V1), also with an offset (budgets); RFC 1123 (autoscale); dates alone;
.NET's MinValue for "never". A moment without zone is UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

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
        return _build(int(year), int(month), int(day), hours, int(minute or 0), int(second or 0), micros, zone)
    if match := re.fullmatch(_RFC_1123, value):
        day, name, year, hour, minute, second, zone = match.groups()
        if name.lower() not in _MONTHS:
            return None
        month_number = _MONTHS.index(name.lower()) + 1
        return _build(int(year), month_number, int(day), int(hour), int(minute), int(second), 0, zone)
    return None


def _build(
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
    """A duration as people say it: ``5 minutes``, ``1 hour 30 minutes``, ``1 day``."""
    words = []
    for size, name in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {name}" if count == 1 else f"{count} {name}s")
    return " ".join(words) or "0 seconds"
