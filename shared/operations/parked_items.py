"""Operations on parked items (dead letters and quarantined items): list, count, show, replay, drop.

The endpoints and the command line both use this service. It is free of HTTP.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from shared.core.errors import StorageUnavailable, UnreadableRow
from shared.core.messages import Message, NewerVersion, SignalMessage, UnreadableMessage, decode
from shared.core.payload_schema import ForeignReason, PayloadSchema, no_foreign_reason
from shared.core.signal import Signal
from shared.delivery.parked import ParkedItem, ParkedKind, ParkedStore
from shared.delivery.queue import SignalQueue
from shared.operations.redact import redacted
from shared.payloads.parse import parse

ParkedResultKind = Literal["replayed", "dropped", "not_found", "not_replayable", "still_unreadable", "failed"]

#: A page holds at most this many items; what is replayed or dropped by one request is at most ten times as many.
LARGEST_PAGE = 100
MOST_AT_ONCE = 1000

#: A list that is filtered by a text reads this many rows and then ends with a cursor, so that no request takes minutes.
_MOST_READ = 5000

#: Counting stops here; ``ParkedCounts.complete`` is False then.
_MOST_COUNTED = 20_000

_AT_ONCE = 8

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_CURSOR = re.compile(r"[no]-\d{16}-[0-9A-Za-z-]{0,64}")


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which items. Empty ones match all.

    Attributes:
        code, connection: exactly this. text: occurs in code, reason, key, title or connection, in any case.
        since: kept at or after this moment. replayed: sent again already, or not.
    """

    code: str = ""
    connection: str = ""
    text: str = ""
    since: datetime | None = None
    replayed: bool | None = None

    def matches(self, row: ParkedItem) -> bool:
        """Whether the text occurs; storage compares the rest."""
        searched = f"{row.code} {row.reason} {row.key} {row.title} {row.connection}".casefold()
        return self.text.casefold() in searched


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """Some rows, and where the next page begins; None when this was the last one.

    A page may hold fewer rows than asked for, even none, and still have a next one: when a rare text is searched.
    """

    items: tuple[ParkedItem, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ParkedCounts:
    """How many there are. ``complete`` is False when counting stopped at a bound, so that there are more."""

    total: int
    by_code: dict[str, int]
    by_connection: dict[str, int]
    complete: bool


@dataclass(frozen=True, slots=True)
class ParkedResult:
    """What became of one item: ``detail`` says why it is not what was asked for."""

    id: str
    outcome: ParkedResultKind
    detail: str = ""


class ParkedItems:
    """Dead letters and quarantined items, for operators."""

    def __init__(
        self,
        kept: ParkedStore,
        queue: SignalQueue,
        schemas: Sequence[PayloadSchema],
        foreign: ForeignReason = no_foreign_reason,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Arguments ``schemas`` and ``foreign`` as in ``shared.payloads.parse.parse``."""
        self._kept = kept
        self._queue = queue
        self._schemas = schemas
        self._foreign = foreign
        self._now = now

    async def page(
        self, kind: ParkedKind, wanted: ParkedFilter, *, newest: bool = True, limit: int = LARGEST_PAGE, after: str = ""
    ) -> ParkedPage:
        """One page of a list.

        Args:
            kind: dead-letter or quarantine.
            wanted: which items.
            newest: newest first instead of oldest first.
            limit: how many items, 1 to LARGEST_PAGE.
            after: ``next`` of the page before it, empty for the first page.

        Raises:
            ValueError: ``after`` is none that a list in this order gave.
            StorageUnavailable: storage did not answer.
        """
        if after and not (_CURSOR.fullmatch(after) and after[0] == ("n" if newest else "o")):
            raise ValueError("not a continuation of this list")
        rows: list[ParkedItem] = []
        last, read = "", 0
        async for found, row in self._rows(kind, wanted, newest=newest, after=after):
            if len(rows) == limit or read == _MOST_READ:
                return ParkedPage(tuple(rows), last)
            last, read = found, read + 1
            if wanted.matches(row):
                rows.append(row)
        return ParkedPage(tuple(rows), None)

    def _rows(
        self, kind: ParkedKind, wanted: ParkedFilter, *, newest: bool, after: str = ""
    ) -> AsyncIterator[tuple[str, ParkedItem]]:
        return self._kept.rows(
            kind,
            newest=newest,
            after=after,
            since=wanted.since,
            code=wanted.code,
            connection=wanted.connection,
            replayed=wanted.replayed,
        )

    async def counts(self, kind: ParkedKind, wanted: ParkedFilter) -> ParkedCounts:
        """How many items there are, by code and by connection. Raises StorageUnavailable."""
        codes: Counter[str] = Counter()
        connections: Counter[str] = Counter()
        read = 0
        async for _, row in self._rows(kind, wanted, newest=True):
            if read == _MOST_COUNTED:
                break
            read += 1
            if wanted.matches(row):
                codes[row.code] += 1
                connections[row.connection] += 1
        return ParkedCounts(codes.total(), dict(codes), dict(connections), read < _MOST_COUNTED)

    async def choose(self, kind: ParkedKind, wanted: ParkedFilter, at_most: int) -> tuple[list[str], bool]:
        """Ids of the oldest items that match, and whether there are more of them. Raises StorageUnavailable."""
        ids: list[str] = []
        async for _, row in self._rows(kind, wanted, newest=False):
            if not wanted.matches(row):
                continue
            if len(ids) == at_most:
                return ids, True
            ids.append(row.id)
        return ids, False

    async def show(self, kind: ParkedKind, item: str) -> dict[str, Any] | None:
        """One item with its whole message, secrets hidden; None when there is none. Raises StorageUnavailable."""
        found = await self._kept.show(kind, item) if _ID.fullmatch(item) else None
        if found is None:
            return None
        row, message = found
        return {**redacted(asdict(row)), "message": redacted(message)}

    def replay(self, kind: ParkedKind, items: Iterable[str]) -> AsyncIterator[ParkedResult]:
        """Send items again, in order; one result each, as they come.

        A dead letter goes back on the queue and stays kept until it is delivered. What is quarantined is read again by
        the present parser: what is a signal now goes on the queue, and what still is none stays.

        Raises:
            StorageUnavailable: storage did not answer for the first one. Later ones have the outcome ``failed``, and
                so has one that cannot be read.
        """
        return self._each(items, lambda item: self._replay(kind, item))

    def drop(self, kind: ParkedKind, items: Iterable[str]) -> AsyncIterator[ParkedResult]:
        """Forget items for good; one result each, as they come. Raises StorageUnavailable as ``replay`` does."""
        return self._each(items, lambda item: self._drop(kind, item))

    async def _each(
        self, items: Iterable[str], work: Callable[[str], Awaitable[ParkedResult]]
    ) -> AsyncIterator[ParkedResult]:
        waiting = list(dict.fromkeys(items))
        first = True
        while waiting:
            # The first one alone: where storage is down, one failure is enough to know.
            now, waiting = (waiting[:1], waiting[1:]) if first else (waiting[:_AT_ONCE], waiting[_AT_ONCE:])
            found = await asyncio.gather(*(work(item) for item in now), return_exceptions=True)
            for item, result in zip(now, found, strict=True):
                if isinstance(result, UnreadableRow) or (isinstance(result, StorageUnavailable) and not first):
                    yield ParkedResult(item, "failed", str(result))
                elif isinstance(result, BaseException):
                    raise result
                else:
                    yield result
            first = False

    async def _drop(self, kind: ParkedKind, item: str) -> ParkedResult:
        there = bool(_ID.fullmatch(item)) and await self._kept.forget(kind, item)
        return ParkedResult(item, "dropped") if there else ParkedResult(item, "not_found")

    async def _replay(self, kind: ParkedKind, item: str) -> ParkedResult:
        found = await self._kept.show(kind, item) if _ID.fullmatch(item) else None
        if found is None:
            return ParkedResult(item, "not_found")
        row, message = found
        try:
            again = decode(json.dumps(message))
        except NewerVersion:
            return ParkedResult(item, "not_replayable", "A newer release of the bridge wrote it; replay it there.")
        except ValueError:
            return ParkedResult(
                item, "not_replayable", "It is not a message of the bridge; 'show' shows what it holds."
            )
        if kind == "quarantine":
            return await self._read_again(row, again)
        await self._queue.send(self._anew(again, replayed=True))
        await self._kept.mark_replayed(row)
        return ParkedResult(item, "replayed")

    async def _read_again(self, row: ParkedItem, message: Message) -> ParkedResult:
        """Signals first, then the item's end: a crash between them sends a signal twice, and its key finds that."""
        readable: list[Signal] = []
        reasons: list[str] = []
        if isinstance(message, UnreadableMessage):
            again = parse(message.unreadable.item, message.received_at, self._schemas, self._foreign)
            readable = [one for one in again if isinstance(one, Signal)]
            reasons = [one.reason for one in again if not isinstance(one, Signal)]
        if isinstance(message, SignalMessage):
            await self._queue.send(self._anew(message, replayed=False))
        elif reasons or not readable:  # as long as a part of it cannot be read, it stays whole
            return ParkedResult(row.id, "still_unreadable", reasons[0] if reasons else "There is nothing in it.")
        for number, signal in enumerate(readable):
            # the first keeps the id, under which the sender and the log know it
            name = uuid4().hex if number else row.id
            sent = SignalMessage(id=name, received_at=message.received_at, signal=signal)
            await self._queue.send(self._anew(sent, replayed=False))
        await self._kept.forget("quarantine", row.id)
        return ParkedResult(row.id, "replayed")

    def _anew(self, message: Message, *, replayed: bool) -> Message:
        return replace(
            message,
            claim="",
            attempts=0,
            lock_waits=0,
            last_outcome="unknown",
            replayed=replayed,
            received_at=self._now(),
        )
