"""NCRONTAB schedules: six fields with seconds first, or five without. Times are UTC, as in Azure by default.

Source: Microsoft Learn, "Timer trigger for Azure Functions" (NCRONTAB expressions). NCrontab differs from cron: a day
has to match both the day of the month and the day of the week.
"""

from __future__ import annotations

import re
from datetime import datetime

from croniter import croniter
from croniter.croniter import CroniterError

_TIME_SPAN = re.compile(r"-?(\d+\.)?\d+:\d+(:\d+(\.\d+)?)?")
_FIELD = re.compile(r"(?:[0-9*,/-]|[A-Za-z]{3,})+")
_WORD = re.compile(r"[A-Za-z]+")
_NAMES = {
    "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
}  # fmt: skip


def check_schedule(text: str) -> None:
    """Raise ValueError, with the reason, unless ``text`` is a schedule that works on every plan of Azure Functions."""
    if _TIME_SPAN.fullmatch(text.strip()):
        raise ValueError(
            f"schedule {text!r} is a TimeSpan, which Azure accepts on App Service plans only; write it as NCRONTAB, "
            "for example '0 */5 * * * *' for every five minutes"
        )
    if len(text.split()) not in (5, 6) or not all(_FIELD.fullmatch(part) for part in text.split()):
        raise ValueError(
            f"schedule {text!r} is not NCRONTAB: six fields (second minute hour day month weekday) or the last five, "
            "of numbers, names and * , - /"
        )
    try:
        croniter(_plain(text), second_at_beginning=True, day_or=False)
    except (CroniterError, ValueError) as error:
        raise ValueError(f"schedule {text!r} is not NCRONTAB: {error}") from None


def next_time(text: str, after: datetime) -> datetime:
    """The first moment of a checked schedule strictly after ``after`` (with a time zone)."""
    found = croniter(_plain(text), after, second_at_beginning=True, day_or=False).get_next(datetime)
    assert isinstance(found, datetime)
    return found


def is_frequent(text: str, after: datetime) -> bool:
    """True when it is due more than once in the minute after ``after``; Azure then keeps no record of it."""
    return (next_time(text, next_time(text, after)) - after).total_seconds() <= 60


def _plain(text: str) -> str:
    """Names cut to three letters, which is all that croniter knows."""
    return _WORD.sub(lambda match: match[0][:3] if match[0].lower() in _NAMES else match[0], text)
