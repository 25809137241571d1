"""Makes a signal of each row or item of a signal, where its route asks for that.

The order of the steps makes every crash harmless. Of a firing: note to which parent it belongs; put the firings and
ends of parts on the queue; store which parts are on; look whether its end came meanwhile; note that it is done. Of an
end: note it; then end the parts that are stored. Whichever of both is second sees what the other has written. What is
put on the queue twice is the same event twice, which a link ignores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from shared.core.errors import SourceError
from shared.core.messages import EndWhenQuiet, QueueSender, ReadRows, SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import Order, Signal, SignalState, names_one_occurrence
from shared.delivery.event_log import record_accepted
from shared.delivery.rows import RowReader
from shared.delivery.splitting.model import Occurrence, OpenParts, PartsChange, end, end_of, fire
from shared.delivery.splitting.store import PartStore
from shared.mapping.groups import CompiledSplit
from shared.mapping.mapper import Mapper
from shared.mapping.parts import Parts, chosen, ended_part, fired_part, parts_of
from shared.platform.tables import Versioned, until_written

#: Tries to write a row that others keep writing.
MOST_TRIES: Final = 25

#: Attempts for which a firing waits for the rows that its payload does not bring: about half a minute.
_MOST_WAITS: Final = 3


@dataclass(slots=True)
class _Told:
    """What this attempt has put on the queue: ids of parts, states and orders."""

    events: set[tuple[str, SignalState, Order]]

    def is_new(self, part: str, state: SignalState, order: Order) -> bool:
        """Whether it was not told yet; it counts as told from now on."""
        before = len(self.events)
        self.events.add((part, state, order))
        return len(self.events) > before

    @property
    def parts(self) -> list[str]:
        return [part for part, state, _ in self.events if state is SignalState.FIRED]


class Splitter:
    """Splits signals into parts, and ends parts."""

    def __init__(
        self,
        mapper: Mapper,
        store: PartStore,
        queue: QueueSender,
        reader: RowReader,
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            store: which parts are on.
            queue: takes the signals of parts.
            reader: reads rows that payloads do not bring.
        """
        self._mapper = mapper
        self._store = store
        self._queue = queue
        self._reader = reader

    async def split(self, message: SignalMessage) -> SignalMessage | Outcome:
        """Put the parts of a signal on the queue (SPLIT), or let it go on: as it is, or with its rows.

        Raises:
            StorageUnavailable, KeyContended: nothing is lost, the message comes again.
            SourceUnavailable: its rows could not be read yet.
        """
        signal = message.signal
        if signal.part_of or signal.via or isinstance(message, EndWhenQuiet | ReadRows):
            return message
        route = self._mapper.route(signal)
        split = None if route is None else route.split
        if signal.state is SignalState.RESOLVED:
            return await self._ended(message, split)
        if route is None or split is None or signal.state is not SignalState.FIRED or not signal.opens:
            return message
        stored = await self._store.occurrence(signal.key)
        seen = None if stored is None else stored.value
        if seen is not None and seen.done and _is_same(seen, signal):
            if seen.alone:
                return message
            return Outcome(OutcomeKind.SPLIT, "duplicate", group=seen.parent, route=route.name)
        if split.by == "row":
            message = await self._with_rows(message)
        found = parts_of(message.signal, split)
        if found is None:
            await self._note(signal, lambda one: _alone(one, signal.order))
            return message
        return await self._fired(message, found, split, route.name)

    async def _with_rows(self, message: SignalMessage) -> SignalMessage:
        """The message with the rows of its signal; as it is when they are not to be had."""
        signal = message.signal
        if not self._reader.can_read(signal):
            return message
        try:
            return replace(message, signal=await self._reader.read(signal, waiting=True), claim="")
        except SourceError as error:
            if error.retry and message.attempts < _MOST_WAITS:
                raise
            return message

    async def _fired(self, message: SignalMessage, found: Parts, split: CompiledSplit, route: str) -> Outcome:
        signal, parent, order = message.signal, found.parent, message.signal.order
        told = _Told(set())

        def note(one: Occurrence, *, done: bool = False) -> Occurrence:
            return replace(one, parent=parent, fired=_newer(one.fired, order), done=done)

        await self._note(signal, note)

        async def attempt() -> None:
            stored = await self._store.open_parts(parent)
            before = OpenParts(parent, route) if stored is None else replace(stored.value, route=route)
            known = [*(part.id for part in before.parts), *told.parts]
            parts = {part.id: part for part in chosen(found, split.most, known, split.by)}
            change = fire(before, order, [(part.id, part.name) for part in parts.values()], whole=found.whole)
            fired = [part for part in change.fired if told.is_new(part, SignalState.FIRED, order)]
            await self._send(message, [fired_part(signal, found, parts[part], route) for part in fired])
            await self._send_ends(message, change, route, told)
            await self._write(change.after, stored)

        await until_written(attempt, contended=_contended(parent), tries=MOST_TRIES)
        seen = await self._store.occurrence(signal.key)
        if seen is not None:  # its end may have come before it, or meanwhile, and have found nothing to end
            await self._end_parts(message, seen.value, told)
        await self._note(signal, lambda one: note(one, done=True))
        return Outcome(OutcomeKind.SPLIT, "split", group=parent, route=route, warnings=found.warnings)

    async def _ended(self, message: SignalMessage, split: CompiledSplit | None) -> SignalMessage | Outcome:
        """End the parts of a signal; one that has none goes on, and it is remembered that it came."""
        signal = message.signal
        stored = await self._store.occurrence(signal.key)
        if stored is None and split is None:
            return message
        seen = await self._note(signal, lambda one: replace(one, over=_newer(one.over, signal.order)))
        if not seen.parent:
            return message
        await self._end_parts(message, seen, _Told(set()))
        if seen.alone:
            return message
        return Outcome(OutcomeKind.SPLIT, "resolved", group=seen.parent)

    async def _end_parts(self, message: SignalMessage, seen: Occurrence, told: _Told) -> None:
        """End what is stored of the parts of a key that has ended; nothing while it is on."""
        over, fired, parent = end_of(seen), seen.fired, seen.parent
        if over is None or fired is None:
            return

        async def attempt() -> None:
            stored = await self._store.open_parts(parent)
            if stored is None:
                return
            change = end(stored.value, over, fired)
            await self._send_ends(message, change, stored.value.route, told)
            await self._write(change.after, stored)

        await until_written(attempt, contended=_contended(parent), tries=MOST_TRIES)

    async def _send_ends(self, message: SignalMessage, change: PartsChange, route: str, told: _Told) -> None:
        parent = change.after.key
        await self._send(
            message,
            [
                ended_part(message.signal, parent, part.id, part.name, order[0], route)
                for part, order in change.ended
                if told.is_new(part.id, SignalState.RESOLVED, order)
            ],
        )

    async def _send(self, message: SignalMessage, signals: Sequence[Signal]) -> None:
        """Put signals on the queue, each with an id of its own: with one id, a repetition would take itself for the
        attempt before it."""
        for signal in signals:
            part = SignalMessage(id=uuid4().hex, received_at=message.received_at, signal=signal)
            await self._queue.send(part)
            record_accepted(part, by=f"split {message.id}")

    async def _write(self, after: OpenParts, stored: Versioned[OpenParts] | None) -> None:
        if stored is None or after != stored.value:
            await self._store.write_open_parts(after, None if stored is None else stored.etag)

    async def _note(self, signal: Signal, change: Callable[[Occurrence], Occurrence]) -> Occurrence:
        """PartsChange what is stored of a signal's key; as it is then."""

        async def attempt() -> Occurrence:
            stored = await self._store.occurrence(signal.key)
            before = Occurrence(signal.key) if stored is None else stored.value
            after = change(before)
            if stored is None or after != before:
                await self._store.write_occurrence(after, None if stored is None else stored.etag)
            return after

        contended = f"{signal.key}: others kept noting it; it is tried again later"
        return await until_written(attempt, contended=contended, tries=MOST_TRIES)


def _is_same(seen: Occurrence, signal: Signal) -> bool:
    """Whether a firing is the one that was seen: of an occurrence there is one, whatever its time says."""
    if seen.fired is None:
        return False
    return names_one_occurrence(signal.key) or seen.fired == signal.order


def _alone(seen: Occurrence, order: Order) -> Occurrence:
    return replace(seen, fired=_newer(seen.fired, order), done=True, alone=True)


def _newer(one: Order | None, other: Order) -> Order:
    return other if one is None else max(one, other)


def _contended(parent: str) -> str:
    return f"{parent}: others kept changing its parts; it is tried again later"
