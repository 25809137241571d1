"""Rows that exist but cannot be seen yet, or not by everybody: late commits and create-without-read.

A poller that trusts ``sys_updated_on`` loses rows on real instances, because a transaction commits later than it stamps
its rows, and because cluster nodes disagree about the time. Scenarios use this to make that happen.
"""

from __future__ import annotations

from dataclasses import dataclass

from local.servicenow.identity import Identity
from local.servicenow.store import Row
from local.simulator_kit.clock import Clock


@dataclass(frozen=True, slots=True)
class _Pending:
    visible_at: float
    before: Row | None


class Visibility:
    """What readers see of a row."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._unreadable: dict[str, float] = {}

    def clear(self) -> None:
        """Everything is visible again."""
        self._pending.clear()
        self._unreadable.clear()

    @property
    def plain(self) -> bool:
        """True when every row is visible to whoever may read it."""
        return not self._pending and not self._unreadable

    def delay(self, row: Row, before: Row | None, seconds: float) -> None:
        """Show the row as it was before for so many seconds of instance time."""
        self._pending[row.sys_id.lower()] = _Pending(self._clock.timestamp() + seconds, before)

    def hide(self, row: Row, seconds: float | None) -> None:
        """Make the row unreadable to everyone but admins, for some seconds or (None) until cleared."""
        until = self._clock.timestamp() + seconds if seconds is not None else float("inf")
        self._unreadable[row.sys_id.lower()] = until

    def seen(self, row: Row, identity: Identity) -> Row | None:
        """The row as this user sees it now, None when not at all."""
        if self.plain:
            return row
        key, now = row.sys_id.lower(), self._clock.timestamp()
        if (until := self._unreadable.get(key)) is not None:
            if now >= until:
                del self._unreadable[key]
            elif not identity.is_admin:
                return None
        pending = self._pending.get(key)
        if pending is None:
            return row
        if now >= pending.visible_at:
            del self._pending[key]
            return row
        return pending.before
