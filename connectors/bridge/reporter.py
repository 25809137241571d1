"""Makes signals of the bridge's own problems: Fired when one persists, Resolved when it is gone.

A signal is written down before it is sent and cleared afterwards. Whatever crashes in between, the next run sends it
again with the same time, and delivery knows the repetition. No signal goes where it cannot arrive: one about a
connection that fails is not sent through this connection. It waits, and the log, the job and ``check`` say so.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

from connectors.bridge.payloads.problem import CREDENTIAL, OwnProblem, signal_of
from connectors.bridge.settings import ReportItself
from connectors.bridge.store import KnownProblem, ProblemStore
from shared.core.jobs import JobRun
from shared.core.messages import QueueSender, SignalMessage
from shared.core.signal import SignalState
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import Mapper
from shared.platform.log import record
from shared.platform.tables import RowOvertaken

_State = Literal["fired", "updated", "resolved"]


@dataclass(slots=True)
class ReportResult:
    """What one run did: problems that there are, signals that were sent, problems that are held back."""

    problems: int = 0
    fired: int = 0
    updated: int = 0
    resolved: int = 0
    held: int = 0
    reason: str = ""


class OwnReporter:
    """One run of the timer.

    Args:
        settings: the section.
        store: what is known. mapper: knows the routes. queue: the bridge's own.
        now: the clock.
    """

    def __init__(
        self,
        settings: ReportItself,
        store: ProblemStore,
        mapper: Mapper,
        queue: QueueSender,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._mapper = mapper
        self._queue = queue
        self._now = now

    async def run(self, problems: Sequence[OwnProblem], failing: frozenset[str], run: JobRun) -> ReportResult:
        """Tell what has changed. Raises StorageUnavailable, KeyContended.

        Args:
            problems: what is wrong now.
            failing: connections whose calls fail.
            run: what is asked for.
        """
        result = ReportResult(problems=len(problems))
        run.follow("report_itself", result)
        known = await self._store.all()
        there = {one.key: one for one in problems}
        for key, (row, etag) in known.items():
            await self._safely(self._known(row, etag, there.get(key), failing, run, result))
        for key, problem in there.items():
            if key not in known:
                await self._safely(self._new(problem, failing, run, result))
        return result

    async def _safely(self, work: Awaitable[None]) -> None:
        try:
            await work
        except RowOvertaken:
            return  # another worker is at it

    async def _new(self, problem: OwnProblem, failing: frozenset[str], run: JobRun, result: ReportResult) -> None:
        row = KnownProblem(problem, self._now())
        etag = "" if run.dry_run else await self._store.begin(row)
        await self._tell(row, etag, failing, run, result)

    async def _known(
        self,
        row: KnownProblem,
        etag: str,
        problem: OwnProblem | None,
        failing: frozenset[str],
        run: JobRun,
        result: ReportResult,
    ) -> None:
        if row.sending and not run.dry_run:  # a run ended before it was certain that this was sent
            etag = await self._send(row, etag)
            row = replace(row, sending="")
            if not etag:
                return  # that was its end
        if problem is not None:
            await self._tell(replace(row, problem=problem), etag, failing, run, result)
        elif row.fired_at is not None:
            result.resolved += 1
            await self._say(row, etag, "resolved", run)
        elif not run.dry_run:
            await self._store.forget(row.problem.key, etag)

    async def _tell(
        self, row: KnownProblem, etag: str, failing: frozenset[str], run: JobRun, result: ReportResult
    ) -> None:
        """Send what is due of a problem that is there."""
        state = self._due(row)
        if state is None:
            return
        held = self._blocked(row.problem, failing)
        if not held and not run.dry_run and not await self._may_send():
            held = f"{self._settings.most_per_day} signals were sent today (report_itself.most_per_day)"
        if held:
            result.held += 1
            result.reason = held
            if held != row.held and not run.dry_run:
                await self._store.write(replace(row, held=held), etag)
                record("own_signal_held", logging.WARNING, key=row.problem.key, problem=row.problem.text, reason=held)
            return
        if state == "fired":
            result.fired += 1
        else:
            result.updated += 1
        await self._say(replace(row, held=""), etag, state, run)

    def _due(self, row: KnownProblem) -> _State | None:
        problem = row.problem
        if row.fired_at is None:
            lasted = self._now() - row.seen_at
            return "fired" if problem.step is not None or lasted >= self._settings.after else None
        if problem.step is None:
            return None
        return "updated" if row.said_step is None or problem.step < row.said_step else None

    async def _may_send(self) -> bool:
        return await self._store.take(self._now().strftime("%Y-%m-%d"), self._settings.most_per_day)

    def _blocked(self, problem: OwnProblem, failing: frozenset[str]) -> str:
        """Why a signal about a problem cannot arrive; empty when it can."""
        return blocked(problem, self._mapper, failing, self._now())

    async def _say(self, row: KnownProblem, etag: str, state: _State, run: JobRun) -> None:
        now = self._now()
        at = now.replace(microsecond=now.microsecond // 1000 * 1000)
        if row.said_at is not None and at <= row.said_at:
            at = row.said_at + timedelta(milliseconds=1)
        if run.dry_run:
            run.sample(f"{state}: {row.problem.text}")
            return
        fired_at = at if state == "fired" else row.fired_at
        row = replace(row, sending=state, said_at=at, fired_at=fired_at, said_step=row.problem.step)
        etag = await self._store.write(row, etag)
        await self._send(row, etag)

    async def _send(self, row: KnownProblem, etag: str) -> str:
        """Put a signal that was written down on the queue; the row's new ETag, empty when that ended it."""
        state = SignalState(row.sending)
        signal = signal_of(row.problem, state, row.said_at or self._now(), row.fired_at)
        await self._queue.send(SignalMessage(id=uuid4().hex, received_at=self._now(), signal=signal))
        record("own_signal_sent", key=signal.key, state=state.value, severity=signal.severity, title=signal.title)
        if state is SignalState.RESOLVED:
            await self._store.forget(row.problem.key, etag)
            return ""
        return await self._store.write(replace(row, sending=""), etag)


def blocked(problem: OwnProblem, mapper: Mapper, failing: frozenset[str], now: datetime) -> str:
    """Why a signal about a problem would not become a ticket; empty when it would. Pure.

    Args:
        problem: what it is about.
        mapper: knows the routes.
        failing: connections whose calls fail.
        now: for the signal.
    """
    signal = signal_of(problem, SignalState.FIRED, now)
    unwanted = not_allowed(signal, mapper.accept_only)
    if unwanted:
        return f"accept_only does not let it pass ({unwanted}). Fix: widen accept_only in bridge.yaml"
    route = mapper.route(signal)
    if route is None:
        return "no route takes it. Fix: add a route with when: {source: bridge}"
    own = route.connection in problem.connections
    if own and (problem.reason != CREDENTIAL or route.connection in failing):
        return (
            f"its route '{route.name}' leads to connection {route.connection}, which is what does not work. Fix: lead "
            "it to another connection, for example with when: {source: bridge, details: {connection: "
            f"{route.connection}}}}}"
        )
    return ""
