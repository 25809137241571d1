"""Posts a storm as Azure does: many at once, again when it has to be, and what was given up once more at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import aiohttp

from local.chaos.stories import Event, body

#: Seconds between Azure's attempts, and what it repeats. Source: Microsoft Learn, "Action groups" (webhook retries).
_WAITS = (5.0, 20.0, 5.0, 40.0, 5.0)
_REPEATED = frozenset({408, 429, 503, 504})

#: Rounds in which what Azure gave up is sent once more, as the bridge's reconciliation would find it.
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event that was answered 202: under which id, and when it was posted first (Unix seconds)."""

    event: Event
    id: str
    posted_at: float


@dataclass
class Sent:
    """What became of a sending.

    Attributes:
        receipts: one for each 202.
        statuses: how often each status was answered; 0 stands for no answer.
        given_up: how often Azure would have stopped trying.
        lost: events that no attempt brought in.
    """

    receipts: list[Receipt] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    given_up: int = 0
    lost: list[Event] = field(default_factory=list)


class Sender:
    """Posts events to one webhook."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        at_once: int = 16,
        hurry: float = 10.0,
        waiting: Callable[[], Awaitable[int | None]] | None = None,
        most_waiting: int = 400,
    ) -> None:
        """
        Args:
            url, key: of the webhook.
            at_once: connections.
            hurry: by how much Azure's waits are shortened.
            waiting: tells how many messages are on the queue, None when storage does not answer. When given, nothing is
                posted while there are more than ``most_waiting``: the storage emulator takes longer for each operation
                the more messages it holds, which Azure's queues do not.
        """
        self._waiting = waiting
        self._most_waiting = most_waiting
        self._room = asyncio.Event()
        self._room.set()
        self._deadline = 0.0
        self._url = url
        self._headers = {"x-functions-key": key, "content-type": "application/json"}
        self._at_once = at_once
        self._hurry = hurry
        self.sent = Sent()

    async def send(self, events: Sequence[Event], *, per_second: float | None = None, within: float = 900.0) -> Sent:
        """Post all events in their order, some at once.

        Args:
            events: what to post.
            per_second: at most so many.
            within: seconds after which the rest is not posted any more, and counts as lost.
        """
        self._deadline = time.monotonic() + within
        connector = aiohttp.TCPConnector(limit=self._at_once)
        timeout = aiohttp.ClientTimeout(total=10)  # what Azure gives a webhook
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as http:
            looking = asyncio.create_task(self._look())
            left: Iterable[Event] = events
            for _ in range(_ROUNDS):
                left = await self._round(http, left, per_second)
                if not left or self._too_late():
                    break
                self.sent.given_up += len(left)
            self.sent.lost += left
            looking.cancel()
        return self.sent

    async def _look(self) -> None:
        """Stop and go, by what is on the queue."""
        while self._waiting is not None:
            number = await self._waiting()
            if number is None or number > self._most_waiting:
                self._room.clear()
            else:
                self._room.set()
            await asyncio.sleep(0.5)

    def _too_late(self) -> bool:
        return time.monotonic() > self._deadline

    async def _round(
        self, http: aiohttp.ClientSession, events: Iterable[Event], per_second: float | None
    ) -> list[Event]:
        waiting = iter(list(events))
        begun, number = time.monotonic(), 0
        given_up: list[Event] = []

        async def post_all() -> None:
            nonlocal number
            for event in waiting:
                number += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(self._deadline - time.monotonic(), 0)):
                        await self._room.wait()
                if per_second is not None:
                    await asyncio.sleep(max(begun + number / per_second - time.monotonic(), 0))
                if self._too_late() or not await self._post(http, event):
                    given_up.append(event)

        await asyncio.gather(*(post_all() for _ in range(self._at_once)))
        return given_up

    async def _post(self, http: aiohttp.ClientSession, event: Event) -> bool:
        data = json.dumps(body(event)).encode()
        posted_at = time.time()
        for wait in (*_WAITS, None):
            status, text = await self._attempt(http, data)
            self.sent.statuses[status] += 1
            if status == 202:
                ids = [item["id"] for item in json.loads(text)["items"]]
                self.sent.receipts += [Receipt(event, one, posted_at) for one in ids]
                return True
            if (status and status not in _REPEATED) or wait is None:
                return False
            await asyncio.sleep(wait / self._hurry)
        return False

    async def _attempt(self, http: aiohttp.ClientSession, data: bytes) -> tuple[int, str]:
        try:
            async with http.post(self._url, data=data) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""
