"""What a back-fill would cost: rows, calls and time, counted before it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.config.export import ExportSettings
from shared.core.errors import Refused
from shared.core.export import ExportsTickets
from shared.core.ticket_system import TicketKind, TicketSystem
from shared.export.connection_export import PAGE

#: Seconds that a page of 500 tickets takes an instance, about: display values are worked out for each of them.
_SECONDS_PER_PAGE = 4.0

#: Share of a window's calls that the export takes when nothing else is to be done: half of those that are no reserve
#: are left to alerts when the window begins, and fewer as it passes.
_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class KindEstimate:
    """Tickets of one kind that a back-fill would read, and the calls that it would take."""

    kind: TicketKind
    rows: int
    calls: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a back-fill of a connection would cost.

    Attributes:
        connection: its name. days: how far it goes back.
        kinds: what each kind costs.
        time: how long it takes at least; calls that alerts need come on top.
        allowed: calls per window of the connection, None for any number.
    """

    connection: str
    days: int
    kinds: tuple[KindEstimate, ...]
    time: timedelta
    allowed: int | None

    @property
    def rows(self) -> int:
        """Tickets of all kinds."""
        return sum(one.rows for one in self.kinds)

    @property
    def calls(self) -> int:
        """Calls for all kinds."""
        return sum(one.calls for one in self.kinds)


async def estimate(
    system: TicketSystem, settings: ExportSettings, days: int, now: datetime, allowed: int | None, per: timedelta
) -> Estimate:
    """Count what a back-fill would read: one call for each kind.

    Args:
        system: of the connection.
        settings: what is exported.
        days: how far back.
        now: present time.
        allowed: calls per window, None for any number. per: length of a window.

    Raises what ``ExportsTickets.export_count`` raises, and Refused for a system whose tickets cannot be exported.
    """
    if not isinstance(system, ExportsTickets):
        raise Refused("its tickets cannot be exported", connection=system.name, advice="Take its 'export' out")
    selection = settings.selection(now - timedelta(days=days))
    kinds = []
    for kind in settings.ticket_kinds:
        if kind in system.export_kinds:
            rows = await system.export_count(kind, selection)
            kinds.append(KindEstimate(kind, rows, max(1, math.ceil(rows / PAGE)) + 1))
    calls = sum(one.calls for one in kinds)
    seconds = calls * _SECONDS_PER_PAGE
    if allowed is not None:  # what does not fit into the present window waits for the next ones
        seconds = max(seconds, math.floor(calls / max(allowed * _SHARE, 1.0)) * per.total_seconds())
    return Estimate(system.name, days, tuple(kinds), timedelta(seconds=round(seconds)), allowed)
