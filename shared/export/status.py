"""How the export of each connection goes, for health, log, metrics and people."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.config.export import ExportSettings
from shared.core.errors import UnreadableRow
from shared.core.ticket_system import TicketKind
from shared.core.times import rfc3339
from shared.export.positions import ConnectionNotes, ExportOrders, ExportStore, KindPosition
from shared.operations.health import Reason

#: The export lags when it is this late, or three times as late as it runs.
LAG_BOUND = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class ExportStatus:
    """The export of one connection.

    Attributes:
        connection: its name. every: how often it runs.
        orders: what people want of it. notes: how it goes.
        kinds: how far each kind has come.
    """

    connection: str
    every: timedelta
    orders: ExportOrders
    notes: ConnectionNotes
    kinds: Mapping[TicketKind, KindPosition]

    @property
    def is_backfilling(self) -> bool:
        """Whether a back-fill is under way, or was asked for and has not begun."""
        return any(self.is_kind_backfilling(kind) for kind in self.kinds)

    def is_kind_backfilling(self, kind: TicketKind) -> bool:
        """The same for one kind."""
        one = self.kinds[kind]
        return one.ran_at is None or (bool(self.orders.backfill) and one.order != self.orders.backfill)

    def lag(self, now: datetime) -> timedelta | None:
        """How old the oldest change that is not exported can be at most; None before the first run.

        Of kinds that were read to their end: since then. Of those whose back-fill is under way: since the newest change
        that was sent.
        """
        began = self.notes.began_at
        if began is None:
            return None
        return max(
            (now - (one.ran_at or one.read_to or one.since or began) for one in self.kinds.values()), default=None
        )

    def late_by(self, now: datetime) -> timedelta | None:
        """How long the export has made no progress, where that is too long; None where it is well or stopped.

        A back-fill is late by its nature: it is well while it goes on.
        """
        if self.orders.stopped_at is not None or self.notes.began_at is None:
            return None
        began = self.notes.began_at
        progress = [
            max(one.noted_at or began, began) if self.is_kind_backfilling(kind) else one.ran_at or began
            for kind, one in self.kinds.items()
        ]
        late = now - min(progress, default=now)
        return late if late > max(LAG_BOUND, 3 * self.every) else None

    def shown(self, now: datetime) -> dict[str, Any]:
        """As JSON. ``state`` is ``never_ran``, ``stopped``, ``failing``, ``backfilling`` or ``ok``."""
        lag, notes = self.lag(now), self.notes
        state = "ok"
        if self.orders.stopped_at is not None:
            state = "stopped"
        elif notes.began_at is None:
            state = "never_ran"
        elif notes.is_failing:
            state = "failing"
        elif self.is_backfilling:
            state = "backfilling"
        error = {"at": rfc3339(notes.last_error), "code": notes.code, "reason": notes.reason}
        return {
            "state": state,
            "lag_seconds": None if lag is None else round(lag.total_seconds()),
            "last_success": rfc3339(notes.last_success),
            "last_error": None if notes.last_error is None else error,
            "stopped_at": rfc3339(self.orders.stopped_at),
            "kinds": {kind.value: self._kind_shown(kind) for kind in self.kinds},
        }

    def _kind_shown(self, kind: TicketKind) -> dict[str, Any]:
        one = self.kinds[kind]
        return {
            "backfilling": self.is_kind_backfilling(kind),
            "since": rfc3339(one.since),
            "exported_to": rfc3339(one.ran_at or one.read_to),
            "rows": one.rows,
            "expected": one.expected,
            "lacking": list(one.lacking),
            "deletions_known": None if one.deletions_at is None else not one.deletions_hidden,
        }


async def export_statuses(store: ExportStore, exports: Mapping[str, ExportSettings]) -> dict[str, ExportStatus]:
    """The export of each connection that has one. Raises StorageUnavailable."""
    found = await asyncio.gather(*(_status(store, name, settings) for name, settings in exports.items()))
    return {one.connection: one for one in found}


async def _status(store: ExportStore, name: str, settings: ExportSettings) -> ExportStatus:
    kinds = settings.ticket_kinds
    (orders, notes), positions = await asyncio.gather(
        asyncio.gather(_orders(store, name), store.notes(name)),
        asyncio.gather(*(store.position(name, kind) for kind in kinds)),
    )
    return ExportStatus(name, settings.every, orders, notes, dict(zip(kinds, positions, strict=True)))


async def _orders(store: ExportStore, name: str) -> ExportOrders:
    try:
        return await store.orders(name)
    except UnreadableRow:  # the run notes that it cannot go on because of it
        return ExportOrders()


def reasons_of_exports(statuses: Mapping[str, ExportStatus], now: datetime) -> list[Reason]:
    """Exports that are too late."""
    found = []
    for name, status in statuses.items():
        late = status.late_by(now)
        if late is not None:
            why = f": {status.notes.reason}" if status.notes.is_failing else ""
            text = (
                f"The export of the tickets of {name} has not gone on for {late // timedelta(minutes=1)} minutes{why}"
            )
            advice = (
                f"Run bridge.py export status, and bridge.py check {name}; nothing is lost: it goes on where it stood"
            )
            text = text if text.endswith(".") else f"{text}."
            found.append(Reason("export_lags", text, now - late, advice, about=name))
    return found
