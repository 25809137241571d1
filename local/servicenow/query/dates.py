"""Dates in queries: the ``javascript:gs...`` functions, named periods, and relative distances.

Server-side scripts in a query run in a sandbox of date and user functions (ServiceNow docs, "Filter and query with
JavaScript"); those are what is understood here, anything else makes the condition invalid.
"""

from __future__ import annotations

import calendar
import operator as op
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from local.servicenow.stored_time import parse_stored, to_stored


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a script may know: the time (aware UTC), the user and the user's time zone and groups."""

    now: datetime
    user_id: str = ""
    user_name: str = ""
    groups: tuple[str, ...] = ()
    zone: tzinfo = UTC


_CALL = re.compile(r"(?:javascript:)?\s*(?:return\s+)?(?:gs\.)?(?P<name>\w+)\s*\((?P<args>[^()]*)\)\s*;?\s*")
_AGO = re.compile(r"(?P<unit>minutes|hours|days|weeks|months|quarters|years)Ago(?P<edge>Start|End)?")
_EDGE = re.compile(r"(?P<edge>beginning|end)Of(?P<period>\w+)")
_LAST = re.compile(r"Last(?P<count>\d+)(?P<unit>Minutes|Hours|Days|Weeks|Months|Years)")
_COMPARE = {"EE": op.eq, "GT": op.gt, "GE": op.ge, "LT": op.lt, "LE": op.le}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def run_script(script: str, sandbox: Sandbox) -> str | None:
    """Value of a ``javascript:`` expression as stored text (lists joined by commas); None when it is not understood."""
    text = script.removeprefix("javascript:").strip()
    if text.startswith("gs.getUser()."):
        text = text.removeprefix("gs.getUser().")
        member = re.match(r"(\w+)\(\)", text)
        return _user_value(member[1], sandbox) if member else None
    found = _CALL.fullmatch(text)
    if found is None:
        return None
    args = [part.strip().strip("'\"") for part in found["args"].split(",")] if found["args"].strip() else []
    user = _user_value(found["name"], sandbox)
    return user if user is not None else _date_value(found["name"], args, sandbox)


def _user_value(name: str, sandbox: Sandbox) -> str | None:
    if name in ("getUserID", "getID"):
        return sandbox.user_id
    if name in ("getUserName", "getName"):
        return sandbox.user_name
    if name == "getMyGroups":
        return ",".join(sandbox.groups)
    return None


def _date_value(name: str, args: list[str], sandbox: Sandbox) -> str | None:
    local = sandbox.now.astimezone(sandbox.zone)
    if name in ("now", "nowDateTime"):
        return to_stored(sandbox.now)
    if name == "dateGenerate" and len(args) == 2:
        time_of_day = {"start": "00:00:00", "end": "23:59:59"}.get(args[1], args[1])
        when = parse_stored(f"{args[0]} {time_of_day}")
        return to_stored(when.replace(tzinfo=sandbox.zone)) if when else None
    ago = _AGO.fullmatch(name)
    if ago and len(args) == 1 and re.fullmatch(r"-?\d{1,6}", args[0]):
        unit = ago["unit"].removesuffix("s")
        when_local = shift(local, unit, -int(args[0]))
        if when_local is None:
            return None
        if ago["edge"]:
            start, end = bucket(when_local, unit)
            when_local = start if ago["edge"] == "Start" else end
        return to_stored(when_local)
    edge = _EDGE.fullmatch(name)
    if edge:
        span = period(edge["period"], local)
        return to_stored(span[0] if edge["edge"] == "beginning" else span[1]) if span else None
    return None


def shift(when: datetime, unit: str, count: int) -> datetime | None:
    """Move by calendar units (minute, hour, day, dayofweek, week, month, quarter, year); None when out of range."""
    try:
        if unit in ("minute", "hour", "week"):
            return when + timedelta(**{unit + "s": count})
        if unit in ("day", "dayofweek"):
            return when + timedelta(days=count)
        months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
        if months is None:
            return None
        index = when.year * 12 + when.month - 1 + months * count
        year, month = divmod(index, 12)
        day = min(when.day, calendar.monthrange(year, month + 1)[1])
        return when.replace(year=year, month=month + 1, day=day)
    except (OverflowError, ValueError, calendar.IllegalMonthError):
        return None


def bucket(when: datetime, unit: str) -> tuple[datetime, datetime]:
    """First and last second of the minute, hour, day, week (from Monday), month, quarter or year around a time."""
    start = when.replace(second=0, microsecond=0)
    if unit != "minute":
        start = start.replace(minute=0)
    if unit not in ("minute", "hour"):
        start = start.replace(hour=0)
    if unit == "week":
        start -= timedelta(days=start.weekday())
    elif unit in ("month", "quarter", "year"):
        month = {"month": start.month, "quarter": (start.month - 1) // 3 * 3 + 1, "year": 1}[unit]
        start = start.replace(day=1, month=month)
    following = shift(start, unit, 1)
    return start, (following or start) - timedelta(seconds=1)


def period(name: str, local: datetime) -> tuple[datetime, datetime] | None:
    """A named period such as Today, LastWeek, ThisMonth, Last7Days; None for an unknown name."""
    if name in ("Today", "Yesterday", "Tomorrow"):
        moved = shift(local, "day", {"Today": 0, "Yesterday": -1, "Tomorrow": 1}[name])
        return bucket(moved, "day") if moved else None
    for word, count in (("This", 0), ("Current", 0), ("Last", -1), ("Next", 1)):
        unit = name.removeprefix(word).lower()
        if name.startswith(word) and unit in ("minute", "hour", "week", "month", "quarter", "year"):
            moved = shift(local, unit, count)
            return bucket(moved, unit) if moved else None
    last = _LAST.fullmatch(name)
    if last:
        unit = last["unit"].lower().removesuffix("s")
        since = shift(local, unit, -int(last["count"][:6]))
        if since is None:
            return None
        return (bucket(since, "day")[0] if unit not in ("minute", "hour") else since), bucket(local, "day")[1]
    return None


def on_range(value: str, sandbox: Sandbox) -> tuple[str, str] | None:
    """Bounds meant by the value of ON: ``label@script@script``, a bare label, or a date; stored texts, inclusive."""
    label, _, rest = value.partition("@")
    if rest:
        first, _, second = rest.partition("@")
        start = resolve(first, sandbox)
        end = resolve(second, sandbox)
        return (start, end) if start and end else None
    span = period(label.replace(" ", ""), sandbox.now.astimezone(sandbox.zone))
    if span:
        return to_stored(span[0]), to_stored(span[1])
    day = parse_stored(label)
    if day is None:
        return None
    start_of_day, end_of_day = bucket(day, "day")
    return to_stored(start_of_day), to_stored(end_of_day)


def resolve(value: str, sandbox: Sandbox) -> str | None:
    """A value as stored text: a script is run, other text is itself."""
    return run_script(value, sandbox) if value.startswith("javascript:") else value


def relative(operator: str, value: str, sandbox: Sandbox) -> Callable[[str], bool] | None:
    """Test for ``RELATIVEGT@hour@ago@1`` and its kin; None when the value is malformed."""
    parts = value.strip("@").split("@")
    if len(parts) != 3 or not re.fullmatch(r"\d{1,6}", parts[2]) or parts[1] not in ("ago", "ahead"):
        return None
    count = int(parts[2]) * (-1 if parts[1] == "ago" else 1)
    boundary = shift(sandbox.now, parts[0], count)
    if boundary is None:
        return None
    limit = to_stored(boundary)
    if operator == "RELATIVEEE":
        unit = "day" if parts[0] == "dayofweek" else parts[0]
        start, end = (to_stored(edge) for edge in bucket(boundary.astimezone(sandbox.zone), unit))
        return lambda text: bool(text) and start <= text <= end
    comparison = _COMPARE[operator.removeprefix("RELATIVE")]
    return lambda text: bool(text and comparison(text, limit))


def date_part(value: str, sandbox: Sandbox) -> Callable[[str], bool] | None:
    """Test for ``DATEPART<label>@javascript:gs.datePart('dayofweek','monday','EE')``; None when malformed."""
    found = re.search(r"datePart\(\s*'(\w+)'\s*,\s*'(\w+)'\s*,\s*'(\w+)'\s*\)", value)
    if found is None or found[3] not in _COMPARE:
        return None
    kind, wanted_text = found[1], found[2].lower()
    comparison = _COMPARE[found[3]]
    if kind == "dayofweek" and wanted_text in _WEEKDAYS:
        wanted = _WEEKDAYS.index(wanted_text)
    elif kind == "month" and wanted_text[:3] in _MONTHS:
        wanted = _MONTHS.index(wanted_text[:3]) + 1
    elif wanted_text.isdecimal() and kind in ("month", "year", "quarter", "hour", "dayofmonth", "week"):
        wanted = int(wanted_text[:6])
    else:
        return None

    def test(text: str) -> bool:
        when = parse_stored(text)
        if when is None:
            return False
        local = when.astimezone(sandbox.zone)
        part = {
            "dayofweek": local.weekday(),
            "month": local.month,
            "year": local.year,
            "quarter": (local.month - 1) // 3 + 1,
            "hour": local.hour,
            "dayofmonth": local.day,
            "week": local.isocalendar().week,
        }[kind]
        return bool(comparison(part, wanted))

    return test
