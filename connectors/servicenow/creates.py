"""Lets creates share a call where more deliveries are under way than calls may be in flight.

A create goes alone as long as there is room for it. Otherwise it would have to wait for a slot anyway, so it waits for
the creates that are about to come too, at most for a moment, and one request carries them all. Urgent creates never
wait for a request that is being filled, and a request for several leaves a slot to others.

Where calls are rationed, as few as possible are made. Elsewhere what waits is spread over the calls in flight.

One such request takes as long as all its creates together, one after the other: so few are put into one that it takes
some seconds at most, by what creates took of late.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import math
from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from connectors.servicenow.batch import MOST_BYTES, MOST_ITEMS, BatchReply, size_of
from connectors.servicenow.batch_finding import BatchFinding
from connectors.servicenow.client import Client
from connectors.servicenow.failures import unanswered
from connectors.servicenow.wire import ServiceNowReply, WireCall
from shared.core.errors import (
    BridgeError,
    CircuitOpen,
    MustWait,
    NotAuthorised,
    NotSent,
    OutcomeUnknown,
    Refused,
    TicketSystemError,
)
from shared.core.rate_gate import ComingDelivery, RateGate

_LOG = logging.getLogger(__name__)

#: Seconds for which creates that are about to come are waited for at most, and how often it is looked who is missing.
_PATIENCE, _LOOK_EVERY = 0.25, 0.01

#: Seconds that a request for several creates may take, as far as is known, and what a create takes until that is.
_LONGEST, _USUAL = 5.0, 0.2

#: Batches in a row without a readable answer after which creates go alone, and for how many seconds.
_MOST_DOUBTS, _ALONE_FOR = 3, 600.0

#: Answers to a batch that say something about the credentials or the load, and nothing about batches.
_NOT_OF_BATCHES = frozenset({401, 408, 421, 425, 429})


#: Where records are created that may share a call.
_TABLES = "/api/now/table/"


def _sys_id(call: WireCall) -> object:
    return (call.body or {}).get("sys_id")


class _Alone(Exception):
    """The instance does not take batches: the create has to go alone."""


@dataclass(eq=False)
class _Waiting:
    """A create that waits for its answer.

    Attributes:
        call: what is asked. coming_delivery: the delivery that asks.
        context: of its task: its deadline, its calls. left: whether it is in a request that was made.
        result: what comes of it.
    """

    call: WireCall
    coming_delivery: ComingDelivery
    context: Context = field(default_factory=copy_context)
    result: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    left: bool = False

    @property
    def sys_id(self) -> object:
        """Of the record that it makes."""
        return _sys_id(self.call)


class SharedCreates:
    """Makes the creates of one connection.

    Args:
        client: makes the calls.
        gate: that the client's requests pass.
        finding: for which tables creates may share a call.
        in_flight: most calls at the same time.
    """

    def __init__(self, client: Client, gate: RateGate, finding: BatchFinding, in_flight: int) -> None:
        self._client = client
        self._gate = gate
        self._finding = finding
        self._in_flight = in_flight
        self._waiting: list[_Waiting] = []
        self._filling: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._most = MOST_ITEMS
        self._seconds = _USUAL
        self._doubts = 0
        self._alone_until = 0.0

    async def create(self, call: WireCall, *, keeps_ids: bool) -> Any:
        """Make a create, alone or with others; its result.

        ``keeps_ids``: as far as is known, the instance keeps the sys_id of the record; else a repetition of a create
        would make a second one. Raises as ``Client.call``.
        """
        coming_delivery = self._gate.coming_delivery() if self._finding.wanted and keeps_ids else None
        if coming_delivery is None or not await self._is_shared(coming_delivery, call):
            return await self._client.call(call)
        mine = _Waiting(call, coming_delivery)
        self._waiting.append(mine)
        if self._filling is None:
            self._fill()
        try:
            async with self._client.within_deadline("a request that is shared"):
                return await mine.result
        except _Alone:
            return await self._client.call(call)
        except NotSent as error:
            if mine.left and mine.result.cancelled():
                raise unanswered(call, "no answer within total_timeout", self._client.connection) from error
            raise
        finally:
            if not mine.result.cancel() and not mine.result.cancelled():
                mine.result.exception()  # it was seen, also where this task was cancelled meanwhile

    async def aclose(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _is_shared(self, coming_delivery: ComingDelivery, call: WireCall) -> bool:
        """Whether a create may wait for others: there are more deliveries than calls in flight."""
        if coming_delivery.coming <= self._in_flight and not self._waiting:
            return False
        if asyncio.get_running_loop().time() < self._alone_until:
            return False
        tables = await self._finding.tables()
        self._gate.share(MOST_ITEMS if tables else 1)
        twice = any(one.sys_id == _sys_id(call) for one in self._waiting)
        fit = call.path.startswith(_TABLES) and call.path.removeprefix(_TABLES) in tables
        return fit and not twice and size_of(call) <= MOST_BYTES // MOST_ITEMS

    def _fill(self) -> None:
        """Begin a request on account of the delivery whose create waits longest."""
        context = self._waiting[0].context
        task = asyncio.get_running_loop().create_task(self._send(), context=context)
        self._filling = task
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self) -> None:
        taken: list[_Waiting] = []
        loop = asyncio.get_running_loop()
        left_at = loop.time()

        def take() -> Sequence[WireCall]:
            nonlocal left_at
            left_at = loop.time()
            taken.extend(self._take())
            return [one.call for one in taken]

        try:
            await self._others()
            reply = await self._client.call_together(take)
            if reply is not None:
                self._learn(len(taken), len(reply.unserviced), loop.time() - left_at)
                await self._answered(taken, reply)
        except BridgeError as error:
            self._doubt(isinstance(error, OutcomeUnknown))
            self._failed(taken or self._take(), error)
        except BaseException:
            self._failed(taken or self._take(), self._unproven("the bridge stopped waiting for the answer"))
            raise

    async def _others(self) -> None:
        """Wait for creates that are about to come, at most for a moment."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while loop.time() < deadline:
            waiting = [one for one in self._waiting if not one.result.done()]
            if not waiting or len(waiting) >= self._fitting() or waiting[0].coming_delivery.coming <= len(waiting):
                return
            await asyncio.sleep(_LOOK_EVERY)

    def _fitting(self) -> int:
        """Creates that one request may carry now."""
        return max(2, min(self._most, int(_LONGEST / self._seconds)))

    def _learn(self, taken: int, unserviced: int, seconds: float) -> None:
        """How many creates the next request may carry."""
        self._seconds += (max(seconds, 0.01) / taken - self._seconds) / 4
        self._most = max(taken - unserviced, 2) if unserviced else min(2 * self._most, MOST_ITEMS)

    def _take(self) -> list[_Waiting]:
        """Those that leave now; the others begin the next request."""
        waiting = [one for one in self._waiting if not one.result.done()]
        most = self._fitting()
        if waiting and not waiting[0].coming_delivery.rationed:
            most = min(most, math.ceil(len(waiting) / max(self._in_flight - 1, 1)))
        taken, rest = waiting[:most], waiting[most:]
        for one in taken:
            one.left = True
            one.coming_delivery.leave()
        self._waiting, self._filling = rest, None
        if rest:
            self._fill()
        return taken

    def _failed(self, taken: Sequence[_Waiting], error: BridgeError) -> None:
        """The request as a whole failed: each create gets an error of its own."""
        for number, one in enumerate(taken):
            if one.result.done():
                continue
            own = copy.copy(error)
            own.__cause__ = error.__cause__
            if number and isinstance(own, MustWait | CircuitOpen):
                own.position = ""  # that of the first one; the others keep theirs
            one.result.set_exception(own)

    def _doubt(self, doubtful: bool) -> None:
        """Creates alone may succeed where batches get no answer: no more of them for a while."""
        self._doubts = self._doubts + 1 if doubtful else 0
        if self._doubts >= _MOST_DOUBTS:
            self._doubts = 0
            self._alone_until = asyncio.get_running_loop().time() + _ALONE_FOR
            _LOG.warning("%s: batches get no answers; creates go alone for a while", self._client.connection)

    async def _answered(self, taken: Sequence[_Waiting], reply: BatchReply) -> None:
        self._doubt(not reply.readable and reply.outer.status not in _NOT_OF_BATCHES)
        refusal = self._refusal(taken, reply)
        for position, one in enumerate(taken):
            if one.result.done():
                continue
            if refusal:
                one.result.set_exception(_Alone())
            elif position in reply.unserviced:
                one.result.set_exception(self._unserviced())
            else:
                self._settle(one, reply.outer if not reply.readable else reply.items.get(position), reply)
        if refusal or (len(taken) > 1 and reply.counted_one_by_one):
            await self._stop(refusal or "a rate limit of the instance counts the creates of a batch one by one")

    def _refusal(self, taken: Sequence[_Waiting], reply: BatchReply) -> str:
        """Why the creates have to go alone, where the instance refused the batch as such; else empty."""
        if reply.readable:
            return "" if reply.items or not reply.unserviced else "the instance ran none of the creates of a batch"
        if reply.outer.status in _NOT_OF_BATCHES:
            return ""  # each create fails as it would alone
        try:
            self._client.interpret(taken[0].call, reply.outer)
        except (Refused, NotAuthorised) as error:
            return f"the instance refused a batch: {error.upstream or error.message}"
        except TicketSystemError:
            pass
        return ""

    def _settle(self, one: _Waiting, answer: ServiceNowReply | None, reply: BatchReply) -> None:
        """Give a create what its answer says."""
        try:
            if answer is None:
                raise self._unproven("the answer to a batch says nothing certain about this create")
            found = self._client.interpret(one.call, answer)
            if not reply.readable:
                raise self._unproven("a batch was answered by something else")
        except TicketSystemError as error:
            one.result.set_exception(error)
        else:
            one.result.set_result(found)

    async def _stop(self, why: str) -> None:
        _LOG.warning("%s: creates share no call any more: %s", self._client.connection, why)
        self._gate.share(1)
        await self._finding.withdraw(why)

    def _unproven(self, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            what, connection=self._client.connection, advice="The ticket is looked up before anything is repeated."
        )

    def _unserviced(self) -> NotSent:
        return NotSent(
            "the instance ended a batch before this create was run",
            connection=self._client.connection,
            advice="It is tried again, and the next batches are smaller.",
        )
