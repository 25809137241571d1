"""When the functions that Azure calls by itself were last called, over all workers: the queue's worker, and timers.

Azure's queue trigger or its timers sometimes stop being called while HTTP goes on. Then alerts are answered with 202
and nobody works on them. So each of these functions leaves a sign of life in Table storage, and others look for it.

Source: issues 11828, 10508, 1858 and 3522 of Azure/azure-functions-host.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.errors import BridgeError, StorageUnavailable
from shared.platform.codec import RowCodec
from shared.platform.log import record
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import RowAddress, VersionedTable

TABLE = "vitalsigns"
_PARTITION = "function"

#: One write for each function and process in this many seconds at most.
WRITE_EVERY = 60.0

#: Seconds for one write: no work may wait for a sign of life.
_PATIENCE = 4.0

#: Clocks of workers may differ by so much. A time further ahead is a mistake, and counts for nothing.
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class VitalSign:
    """One row: what is known of one function.

    Attributes:
        known_since: since when the bridge knows of the function.
        called_at: when Azure called it last.
        alive_at: the last moment at which a call of Azure's went on or ended.
        ended_at: when the last call ended. failure: the error's code, empty when that went well.
        stood_in_at: when somebody else did its work, because Azure had not called it.
        waits_since: of the poison queue's function: since when that queue is not empty.
    """

    known_since: datetime | None = None
    called_at: datetime | None = None
    alive_at: datetime | None = None
    ended_at: datetime | None = None
    failure: str = ""
    stood_in_at: datetime | None = None
    waits_since: datetime | None = None


_CODEC = RowCodec(VitalSign)
_TIMES = ("known_since", "called_at", "alive_at", "ended_at", "stood_in_at", "waits_since")


class VitalSigns:
    """Writes and reads signs of life. Writing never fails: it must not stand in the way of the work.

    Args:
        storage: where all workers meet.
        now: the clock. ticks: seconds that only go forward, for the pace of writes.
    """

    def __init__(
        self,
        storage: Storage,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = VersionedTable(storage, TABLE, _CODEC)
        self._now = now
        self._ticks = ticks
        self._written: dict[str, float] = {}
        self._silent = False
        self._ahead: set[str] = set()

    @asynccontextmanager
    async def call(self, function: str) -> AsyncIterator[None]:
        """Around a call that Azure made. What is raised inside passes."""
        called_at = self._now()
        going_on = asyncio.create_task(self._goes_on(function, called_at))
        failure = "cancelled"
        try:
            yield
            failure = ""
        except BridgeError as error:
            failure = error.code
            raise
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            going_on.cancel()
            if self._may_write(function):
                now = self._now()
                await self._merge(function, called_at=called_at, alive_at=now, ended_at=now, failure=failure)

    async def _goes_on(self, function: str, called_at: datetime) -> None:
        """Leave a sign while a call lasts."""
        while True:
            await asyncio.sleep(WRITE_EVERY)
            if self._may_write(function):
                await self._merge(function, called_at=called_at, alive_at=self._now())

    def _may_write(self, function: str) -> bool:
        before = self._written.get(function)
        ticks = self._ticks()
        if before is not None and ticks - before < WRITE_EVERY:
            return False
        self._written[function] = ticks
        return True

    async def stood_in(self, function: str) -> None:
        """Leave word that somebody else did the work of a function."""
        await self._merge(function, stood_in_at=self._now())

    async def waits_since(self, function: str, moment: datetime | None) -> None:
        """Leave word since when something waits for a function; None: nothing does any more."""
        await self._merge(function, waits_since=moment)

    async def know(self, functions: Iterable[str]) -> None:
        """Write down since when functions are known. Whatever was in their rows before is gone."""
        sign = VitalSign(known_since=self._now())
        for function in functions:
            await self._merge(function, **{name: getattr(sign, name) for name in (*_TIMES, "failure")})

    async def _merge(self, function: str, **values: Any) -> None:
        try:
            async with storage_errors("writing a sign of life", within=_PATIENCE):
                await self._table.merge(RowAddress(_PARTITION, function), _CODEC.cells(**values))
            self._silent = False
        except StorageUnavailable as error:
            if not self._silent:  # once, until it works again
                record("vital_sign_not_written", logging.WARNING, function=function, reason=str(error))
            self._silent = True

    async def read(self) -> Mapping[str, VitalSign]:
        """The signs by function. Raises StorageUnavailable."""
        now = self._now()
        async with storage_errors("reading signs of life", within=_PATIENCE):
            return {name: self._credible(name, found.value, now) async for name, found in self._table.scan()}

    def _credible(self, function: str, sign: VitalSign, now: datetime) -> VitalSign:
        """The sign without times that lie ahead; those that a clock slightly ahead of ours wrote are now."""
        ahead = {name: at for name in _TIMES if (at := getattr(sign, name)) is not None and at > now}
        if not ahead:
            return sign
        wrong = sorted(name for name, at in ahead.items() if at - now > _CLOCKS_DIFFER)
        if wrong and function not in self._ahead:
            self._ahead.add(function)
            record("vital_sign_of_the_future", logging.WARNING, function=function, fields=wrong)
        times: dict[str, Any] = {name: None if name in wrong else now for name in ahead}
        return replace(sign, **times)
