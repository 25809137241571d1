"""Sends the log of actions to a log store, and the state of every connection with each run.

Rows are sent once they are :data:`SETTLED` old, in order of time: by then whoever writes one late has written it. The
position is stored after its rows were sent, and says the time of the last one: rows of that time come twice after a
crash, under the same ids.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.core.errors import BridgeError, StorageUnavailable
from shared.core.export import LogDestination, LogRow
from shared.core.jobs import JobRun
from shared.export.log_rows import BridgeState, log_row, status_rows
from shared.export.positions import ExportStore
from shared.operations.audit_log import AuditEntry, AuditLog
from shared.platform.log import record

#: How old a row is when it is sent. A row is written within seconds of its time, by clocks that differ a little.
SETTLED = timedelta(minutes=2)

#: How far the first run goes back.
FIRST = timedelta(days=30)

#: Rows that are sent before the position is noted. Time for one run.
_BATCH, _MOST_TIME = 500, timedelta(minutes=4)


@dataclass(slots=True)
class LogResult:
    """What a run sent.

    Attributes:
        rows: of signals. statuses: of connections. requests: to the log store.
        finished: False when the rest follows in the next run. reason: why the run broke off.
    """

    rows: int = 0
    statuses: int = 0
    requests: int = 0
    finished: bool = True
    reason: str = ""


class LogExporter:
    """Exports the log of actions.

    Args:
        audit_log: what is exported.
        destination: where it goes.
        store: how far it has come.
        state: asks for the state of all connections.
        now: the clock.
    """

    def __init__(
        self,
        audit_log: AuditLog,
        destination: LogDestination,
        store: ExportStore,
        state: Callable[[], Awaitable[BridgeState]],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._audit_log = audit_log
        self._destination = destination
        self._store = store
        self._state = state
        self._now = now

    async def run(self, run: JobRun | None = None) -> LogResult:
        """Send what was logged since the last run, then the state of every connection.

        Args:
            run: what is asked for; the run of a timer when None. In a dry run nothing is sent.

        Raises StorageUnavailable: the next run begins where this one did.
        """
        run, result = run or JobRun(), LogResult()
        run.follow("log", result)
        failure: BridgeError | None = None
        try:
            await self._entries(run, result)
            rows = status_rows(await self._state(), self._now())
            await self._send(rows, run, result)
            result.statuses = len(rows)
        except StorageUnavailable:
            raise
        except BridgeError as error:
            failure, result.finished, result.reason = error, False, str(error)
        record(
            "log_exported",
            logging.INFO if failure is None else logging.WARNING,
            rows=result.rows,
            requests=result.requests,
            finished=result.finished,
            reason=result.reason,
            dry_run=run.dry_run or None,
        )
        return result

    async def _entries(self, run: JobRun, result: LogResult) -> None:
        position, began = await self._store.log(), self._now()
        until = began - SETTLED
        since = position.sent_to or began - FIRST
        batch: list[AuditEntry] = []

        async def send() -> None:
            nonlocal position
            await self._send([log_row(one) for one in batch], run, result)
            result.rows += len(batch)
            position = replace(position, sent_to=batch[-1].time, last_success=self._now())
            await self._store.note_log(position)
            batch.clear()

        rows = self._audit_log.read(since, until)
        async with aclosing(rows):
            async for entry in rows:
                batch.append(entry)
                if len(batch) >= _BATCH:
                    await send()
                    if self._now() - began >= _MOST_TIME:
                        result.finished = False
                        return
        if batch:
            await send()
        await self._store.note_log(replace(position, sent_to=max(until, since), last_success=self._now()))

    async def _send(self, rows: Sequence[LogRow], run: JobRun, result: LogResult) -> None:
        if run.dry_run:
            for one in rows:
                run.sample(one.message)
        elif rows:
            result.requests += await self._destination.send_log(rows)
