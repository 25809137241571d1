"""Does what Azure forgot to call. Whoever is awake looks at the signs of life: webhooks, ``/api/health``, timers.

While queue trigger and timers are called, a look costs four operations of storage a minute and nothing else happens.
Imported on a webhook's cold path: everything that is heavy is imported by the first look.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.core.errors import BridgeError
from shared.core.messages import JOB_QUEUE, POISON_QUEUE, QUEUE
from shared.core.times import rfc3339
from shared.platform.log import record

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from app.container import Container
    from shared.delivery.standby import QueueStandby, QueueWatch
    from shared.operations.overdue import Look, Seen, Watched
    from shared.operations.vital_signs import VitalSign

#: Functions of queues, by their names in function_app.py.
DELIVER, PARK_POISON, RUN_JOB = "deliver", "park_poison", "run_job"

#: Seconds between looks of one process.
LOOK_EVERY = 60.0

#: Seconds that the work on the queue takes at most, by who does it. What is being handled then goes on.
WEBHOOK_SECONDS = 5.0
HEALTH_SECONDS = 20.0
TIMER_SECONDS = 240.0

#: Seconds after a webhook's answer before the first look of a process: its start comes first.
_FIRST_LOOK = 2.0

#: What the job of a timer may take.
_JOB_TIME = timedelta(minutes=5)

#: What people can do about it.
ADVICE = (
    "Restart the function app; see whether the function is disabled (Functions in the portal), and what the host says "
    "(Diagnose and solve problems). Until then webhooks, health and timers do its work"
)


class Standby:
    """Looks, and does what is overdue.

    Args:
        services: of this process.
        ticks: seconds that only go forward, for the pace of looks.
    """

    def __init__(self, services: Container, ticks: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._ticks = ticks
        self._next_look = 0.0
        self._on_duty = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._working: dict[str, asyncio.Task[Any]] = {}
        self._later: asyncio.Task[Any] | None = None
        self._known_since: dict[str, datetime] = {}

    # ---- who asks

    def after_request(self) -> None:
        """A webhook has its answer: look when a minute is over. Costs nothing until then, and nobody waits for it."""
        if self._on_duty and QUEUE not in self._working:
            self._start(QUEUE, self._queue.work(WEBHOOK_SECONDS))
        if self._later is None:
            self._later = self._background(self._look_later(), "standby: look")

    async def after_timer(self) -> None:
        """A timer has done its own work: look if a minute is over, and help."""
        await self.help(TIMER_SECONDS)

    async def help(self, seconds: float) -> None:
        """Look if a minute is over, and wait for so many seconds at most while overdue work is done. Never raises."""
        if self._ticks() >= self._next_look:
            await self._look(seconds)
        elif self._on_duty and QUEUE not in self._working:
            self._start(QUEUE, self._queue.work(seconds))
        if self._working:
            await asyncio.wait(tuple(self._working.values()), timeout=seconds)

    # ---- looking

    async def _look_later(self) -> None:
        """One look when it is time for it, and more of them while something waits."""
        try:
            await asyncio.sleep(max(self._next_look - self._ticks(), _FIRST_LOOK))
            # Meanwhile somebody else of this process may have looked.
            while self._ticks() < self._next_look or await self._look(WEBHOOK_SECONDS):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(max(self._next_look - self._ticks(), 0.0))
        finally:
            self._later = None

    async def _look(self, seconds: float) -> bool:
        """Look now, and start what is overdue; whether something waits, so that another look makes sense."""
        self._next_look = self._ticks() + LOOK_EVERY
        try:
            signs = await self._services.vital_signs.read()
            seen = await self._seen(signs)
        except BridgeError as error:
            record("vital_signs_not_read", logging.WARNING, code=error.code, reason=str(error))
            return False
        await self._remember(seen, signs)
        self._say(seen)
        for function in seen.overdue:
            self._stand_in(function, seconds)
        self._on_duty = any(one.name == DELIVER for one in seen.overdue)
        waiting = seen.waiting
        return waiting.since is not None or waiting.poison > 0 or waiting.job_since is not None

    async def look(self) -> Look:
        """What is to be seen now. Changes nothing. Raises StorageUnavailable and ConfigurationError."""
        return await self._seen(await self._services.vital_signs.read())

    async def _seen(self, signs: Mapping[str, VitalSign]) -> Look:
        from shared.operations.overdue import Look, seen_queue_function, seen_timer
        from shared.operations.vital_signs import VitalSign

        waiting = await self._watch.look()
        now = self._services.now()
        poison_since = (signs.get(PARK_POISON, VitalSign()).waits_since or now) if waiting.poison else None
        waits_since = {DELIVER: waiting.since, PARK_POISON: poison_since, RUN_JOB: waiting.job_since}
        functions = []
        for one in self._watched:
            sign = signs.get(one.name) or VitalSign(known_since=self._known_since.setdefault(one.name, now))
            functions.append(
                seen_timer(one, sign, now)
                if one.schedule
                else seen_queue_function(one, sign, waits_since[one.name], now)
            )
        return Look(now, tuple(functions), waiting, poison_since)

    async def _remember(self, seen: Look, signs: Mapping[str, VitalSign]) -> None:
        """Write down what a later look has to know: since when a function is known, or the poison queue not empty."""
        vital_signs = self._services.vital_signs
        await vital_signs.know(one.name for one in seen.functions if one.name not in signs)
        stored = signs[PARK_POISON].waits_since if PARK_POISON in signs else None
        if (stored is None) != (seen.poison_since is None):
            await vital_signs.waits_since(PARK_POISON, seen.poison_since)

    def _say(self, seen: Look) -> None:
        waits = None if seen.waiting.since is None else round((seen.at - seen.waiting.since).total_seconds())
        overdue = [one.name for one in seen.overdue]
        record("vital_signs", functions_overdue=overdue, oldest_wait_seconds=waits, poison=seen.waiting.poison)
        for one in seen.overdue:
            since = rfc3339(one.overdue_since)
            record("function_overdue", logging.WARNING, function=one.name, since=since, advice=ADVICE)

    # ---- standing in

    def _stand_in(self, function: Seen, seconds: float) -> None:
        match function.name:
            case name if name == DELIVER:
                self._start(QUEUE, self._queue.work(seconds), stands_in_for=name)
            case name if name == PARK_POISON:
                self._start(POISON_QUEUE, self._poison_queue.work(seconds), stands_in_for=name)
            case name if name == RUN_JOB:
                self._start(JOB_QUEUE, self._job_queue.work(seconds), stands_in_for=name)
            case name:
                self._start(name, self._job(name), stands_in_for=name)

    async def _job(self, name: str) -> int:
        return int(await self._services.job_runner.run_timer(name, by="standby", for_at_most=_JOB_TIME))

    def _start(self, name: str, work: Coroutine[Any, Any, int], *, stands_in_for: str = "") -> None:
        """Begin a piece of work that nobody does in this process yet."""
        if name in self._working:
            work.close()
            return
        function = stands_in_for or DELIVER
        task = self._background(self._done_by_us(function, work), f"standby: {name}")
        self._working[name] = task
        task.add_done_callback(lambda _: self._working.pop(name, None))

    async def _done_by_us(self, function: str, work: Coroutine[Any, Any, int]) -> None:
        try:
            done = await work
        except BridgeError as error:
            record("standby_failed", logging.ERROR, function=function, code=error.code, reason=str(error))
            return
        except Exception as error:  # a mistake of ours must not end the process that answers webhooks
            logging.getLogger("bridge").exception("standing in for %s failed", function)
            record("standby_failed", logging.ERROR, function=function, code=type(error).__name__)
            return
        if done:
            record("stood_in", logging.WARNING, function=function, done=done)
            await self._services.vital_signs.stood_in(function)

    def _background(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        # A context of its own: the limits of the request that began it are not its limits.
        task = asyncio.create_task(work, name=name, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """End what goes on in the background."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- parts

    @cached_property
    def _watched(self) -> tuple[Watched, ...]:
        from app.timers import all_jobs
        from shared.operations.overdue import Watched

        jobs = all_jobs(self._services.registry)
        queues = map(Watched, (DELIVER, PARK_POISON, RUN_JOB))
        return (*queues, *(Watched(job.name, job.schedule) for job in jobs))

    @cached_property
    def _watch(self) -> QueueWatch:
        from shared.delivery.standby import QueueWatch

        return QueueWatch(self._services.storage, self._services.now)

    @cached_property
    def _queue(self) -> QueueStandby:
        from shared.delivery.standby import QueueStandby

        return QueueStandby(self._services.storage, QUEUE, POISON_QUEUE, self._services.worker.handle)

    @cached_property
    def _poison_queue(self) -> QueueStandby:
        from shared.delivery.standby import QueueStandby

        async def handle(message: str, body: bytes, _dequeued: int) -> None:
            await self._services.worker.handle_poison(message, body)

        return QueueStandby(self._services.storage, POISON_QUEUE, None, handle)

    @cached_property
    def _job_queue(self) -> QueueStandby:
        from shared.delivery.standby import QueueStandby

        async def handle(_message: str, body: bytes, _dequeued: int) -> None:
            await self._services.job_runner.run_asked(body)

        return QueueStandby(self._services.storage, JOB_QUEUE, f"{JOB_QUEUE}-poison", handle)
