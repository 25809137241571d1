"""Sends the tickets of connections to a log store: first those of the past days, then what changes.

What costs what: one call to the ticket system for each page of ``connection_export.PAGE`` tickets, at least one for
each kind and run, one to count them when a back-fill begins, and one for each kind and hour that asks for deletions.
All of them are the least urgent calls of the connection (``shared.core.rate_gate.in_background``): when the budget has
none for them, the next run goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeGuard

from shared.config.export import ExportSettings
from shared.core.errors import BridgeError, CircuitOpen, MustWait, StorageUnavailable, UnreadableRow
from shared.core.jobs import JobRun
from shared.core.rate_gate import in_background
from shared.core.ticket_system import TicketSystems
from shared.export.connection_export import ConnectionExport, ExportResult, ExportTools
from shared.export.positions import shortened
from shared.platform.log import record

#: All connections together, side by side; the timer comes every five minutes.
MOST_TIME = timedelta(minutes=4)


class Exporter:
    """Exports the tickets of all connections that say so.

    Args:
        exports: settings by connection.
        systems: gives the ticket system of a connection, within its budget.
        tools: destination, store and clock.
        most_time: what one run may take.
    """

    def __init__(
        self,
        exports: Mapping[str, ExportSettings],
        systems: TicketSystems,
        tools: ExportTools,
        *,
        most_time: timedelta = MOST_TIME,
    ) -> None:
        self._exports = exports
        self._systems = systems
        self._tools = tools
        self._most_time = most_time

    async def run(self, run: JobRun | None = None) -> list[ExportResult]:
        """Export every connection whose turn it is, side by side; what goes wrong with one does not stop the others.

        Args:
            run: what is asked for; the run of a timer when None. In a dry run nothing is sent, and the store must not
                write.

        Raises StorageUnavailable when storage fails: nothing is lost, the next run begins where this one did.
        """
        ends, run = self._tools.now() + self._most_time, run or JobRun()
        results = await asyncio.gather(*(self._connection(name, ends, run) for name in sorted(self._exports)))
        for _, failure in results:
            if _is_of_storage(failure):
                raise failure
        return [result for result, _ in results if _did_something(result)]

    async def _connection(self, name: str, ends: datetime, run: JobRun) -> tuple[ExportResult, BridgeError | None]:
        result, failure = ExportResult(name), None
        try:
            orders = await self._tools.store.orders(name)
            if orders.stopped_at is not None:
                return result, None
            run.follow(name, result)
            export = ConnectionExport(name, self._exports[name], self._tools, run, result)
            with in_background():
                failure = await export.work(self._systems(name), orders, ends)
        except BridgeError as error:
            failure = error
        if failure is not None:
            result.finished, result.reason = False, result.reason or str(failure)
        if not _is_of_storage(failure):
            await self._note(name, result, failure)
        if _did_something(result):
            expected = failure is None or isinstance(failure, MustWait | CircuitOpen)
            record(
                "tickets_exported",
                logging.INFO if expected else logging.WARNING,
                connection=name,
                rows=result.rows,
                deleted=result.deleted,
                calls=result.calls,
                requests=result.requests,
                finished=result.finished,
                reason=result.reason,
                dry_run=run.dry_run or None,
            )
        return result, failure

    async def _note(self, name: str, result: ExportResult, failure: BridgeError | None) -> None:
        """Remember how a run went, where that is news: a run in which no kind was due is none."""
        if failure is None and not _did_something(result):
            return
        now, notes = self._tools.now(), await self._tools.store.notes(name)
        notes = replace(notes, began_at=notes.began_at or now)
        if failure is None:
            notes = replace(notes, last_success=now)
        else:
            notes = replace(notes, last_error=now, code=failure.code, reason=shortened(result.reason))
        await self._tools.store.note(name, notes)


def _did_something(result: ExportResult) -> bool:
    return bool(result.calls or result.rows or result.reason)


def _is_of_storage(failure: BridgeError | None) -> TypeGuard[StorageUnavailable]:
    """Whether storage failed for all of them; what cannot be read concerns one connection."""
    return isinstance(failure, StorageUnavailable) and not isinstance(failure, UnreadableRow)
