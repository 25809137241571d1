"""Timer triggers: one function, due by its schedule, in one process only and never twice at a time.

As in Azure, the times of the last and the next run are kept in a blob (``useMonitor``), unless the schedule is due
more than once a minute. A run that was missed while nothing was running is made up once, with ``past_due`` set; one
that was missed because the run before took too long is made up once, at once. Source: Microsoft Learn, "Timer trigger
for Azure Functions", and the open-source TimerListener of Azure/azure-webjobs-sdk-extensions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.functions.timer import TimerRequest

from local.host.asleep import LOOK_EVERY, Asleep
from local.host.bindings import Function, TimerTrigger
from local.host.errors import InvocationFailed, OutputFailed
from local.host.host_json import SingletonOptions
from local.host.invoke import Invoker
from local.host.schedule import is_frequent, next_time
from local.host.singleton import Singleton
from local.storage_rest import Container, StorageError

_logger = logging.getLogger("local.host")
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Status:
    """When the timer last ran (the year 1: never) and when it is due."""

    last: datetime
    next: datetime

    def as_dict(self) -> dict[str, str]:
        """With the names that Azure's host uses, for the blob and for ``TimerRequest.schedule_status``."""
        last, due = self.last.isoformat(), self.next.isoformat()
        return {"Last": last, "Next": due, "LastUpdated": last}


class TimerListener:
    """Runs one function by its schedule."""

    def __init__(
        self, function: Function, trigger: TimerTrigger, container: Container, host_id: str, invoker: Invoker,
        options: SingletonOptions, now: Callable[[], datetime] = lambda: datetime.now(UTC),
        asleep: Asleep | None = None,
    ) -> None:  # fmt: skip
        """``container`` holds the lease and the status; ``host_id`` names the app there; ``asleep``: functions that are
        not called. One that wakes up is called at once when it was due meanwhile."""
        self.function = function
        self._trigger = trigger
        self._container = container
        self._singleton = Singleton(container, f"locks/{host_id}/{function.name}.Listener", options)
        self._blob = f"timers/{host_id}/{function.name}/status"
        self._invoker = invoker
        self._now = now
        self._asleep = asleep or Asleep()
        self._monitored = trigger.use_monitor and not is_frequent(trigger.schedule, now())
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin to wait for the lease, then for the schedule."""
        self._task = asyncio.create_task(self._singleton.run(self._run), name=f"timer {self.function.name}")

    async def stop(self, grace: float) -> None:
        """Start nothing more, let a running function finish for ``grace`` seconds, give the lease back."""
        if self._task is None:
            return
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), grace)
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def run_once(self, text: str) -> None:
        """Run the function now, whoever holds the lease (admin endpoint). A timer has no use for the input."""
        del text
        await self._call(Status(_NEVER, next_time(self._trigger.schedule, self._now())), past_due=False)

    async def _run(self) -> None:
        status, past_due = await self._first_status(self._now())
        if past_due or self._trigger.run_on_startup:
            status = await self._run_now(status, self._now(), past_due=past_due)
        while not self._stopping:
            await self._sleep_until(status.next)
            while self.function.name in self._asleep and not self._stopping:  # noqa: ASYNC110 - a file tells
                await asyncio.sleep(LOOK_EVERY)
            # Should the clock be set back meanwhile, the same occurrence must not be due again.
            status = await self._run_now(status, max(self._now(), status.next))

    async def _run_now(self, status: Status, at: datetime, *, past_due: bool = False) -> Status:
        """Run, and remember when it is due after ``at``."""
        self._idle.clear()
        try:
            await self._call(status, past_due=past_due)
            status = Status(at, next_time(self._trigger.schedule, at))
            await self._remember(status)
            return status
        finally:
            self._idle.set()

    async def _first_status(self, now: datetime) -> tuple[Status, bool]:
        """The status to begin with, and whether a run was missed since it was written."""
        fresh = Status(_NEVER, next_time(self._trigger.schedule, now))
        if not self._monitored:
            return fresh, False
        stored = await self._recall()
        if stored is None:
            await self._remember(fresh)
            return fresh, False
        # Computed anew, for the schedule may have changed since.
        due = next_time(self._trigger.schedule, now if stored.last == _NEVER else stored.last)
        status = Status(stored.last, due)
        if due != stored.next:
            await self._remember(status)
        return status, now > due

    async def _call(self, status: Status, *, past_due: bool) -> None:
        request = TimerRequest(
            past_due=past_due,
            schedule_status=status.as_dict() if self._monitored else None,
            schedule={"AdjustForDST": True},
        )
        async with self._one_at_a_time:
            with contextlib.suppress(InvocationFailed, OutputFailed):  # both are logged where they happen
                await self._invoker.call(self.function, request)

    async def _sleep_until(self, due: datetime) -> None:
        left = (due - self._now()) / timedelta(seconds=1)
        while left > 0:  # in steps: the clock may be set meanwhile
            await asyncio.sleep(min(left, 60.0))
            left = (due - self._now()) / timedelta(seconds=1)

    async def _recall(self) -> Status | None:
        try:
            data = await self._container.read(self._blob)
            if data is None:
                return None
            stored = json.loads(data)
            last, due = (datetime.fromisoformat(stored[name]).astimezone(UTC) for name in ("Last", "Next"))
            return Status(last, due)
        except (StorageError, ValueError, KeyError, TypeError, OverflowError) as error:
            _logger.warning("timer %s: its status cannot be read, beginning anew: %s", self.function.name, error)
            return None

    async def _remember(self, status: Status) -> None:
        if not self._monitored:
            return
        try:
            await self._container.write(self._blob, json.dumps(status.as_dict()).encode())
        except StorageError as error:  # the next run is due all the same
            _logger.warning("timer %s: its status was not written: %s", self.function.name, error)
