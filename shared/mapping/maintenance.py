"""Which maintenance window holds a signal now. Pure: windows are compiled once, ``now`` is passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from shared.config.storms import MaintenanceSettings
from shared.core.signal import Signal
from shared.mapping.routes import Predicate, compile_when

#: When the window that is on at a moment ends, None when none is on.
WindowEnd = Callable[[datetime], datetime | None]


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A compiled maintenance window of the configuration."""

    name: str
    matches: Predicate
    ends: WindowEnd


@dataclass(frozen=True, slots=True)
class ActiveWindow:
    """A window that holds a signal: the rule's name, and when it ends."""

    rule: str
    until: datetime


def compile_windows(sections: Sequence[MaintenanceSettings]) -> tuple[MaintenanceWindow, ...]:
    """Windows of the configuration that the calendar decides; those of changes in ticket systems are left out."""
    return tuple(
        MaintenanceWindow(section.name, compile_when(section.when), _ends(section))
        for section in sections
        if section.changes_of is None
    )


def active(windows: Sequence[MaintenanceWindow], signal: Signal, now: datetime) -> ActiveWindow | None:
    """The window that holds a signal longest, None when none is on for it."""
    found = [
        ActiveWindow(window.name, until)
        for window in windows
        if (until := window.ends(now)) is not None and window.matches(signal)
    ]
    return max(found, key=lambda each: each.until, default=None)


def _ends(section: MaintenanceSettings) -> WindowEnd:
    if section.begins is not None and section.ends is not None:
        begins, ends = section.begins, section.ends
        return lambda now: ends if begins <= now < ends else None
    if section.cron is None or section.lasts is None:
        raise ValueError("a window without a calendar")
    return _repeated(section.cron, section.lasts, ZoneInfo(section.time_zone))


def _repeated(cron: str, lasts: timedelta, zone: ZoneInfo) -> WindowEnd:
    def ends(now: datetime) -> datetime | None:
        """End of the window that began last, if it is still on; windows that overlap follow each other seamlessly."""
        begun: datetime | None = None
        # CronSim gives moments after the one it is told, so a beginning exactly ``lasts`` ago is over and not seen.
        for begin in CronSim(cron, (now - lasts).astimezone(zone)):
            if begin > now:
                break
            begun = begin
        return None if begun is None else begun.astimezone(UTC) + lasts

    return ends
