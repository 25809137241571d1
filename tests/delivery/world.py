"""A small world to drive delivery through: storage, queue, ticket system and workers whose every wait is a choice.

The real Worker, Deliverer and decide run here. What is replaced is what lies outside the process: tables, queue and
ticket system live in memory, and each of their calls stops at a point where the test decides who goes on, who dies,
and what the answer is. Nothing runs by itself: no event loop, no clock, no randomness.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.config.load import parse_config
from shared.config.model import Delivery
from shared.delivery.deliver import Deliverer
from shared.delivery.envelope import Envelope, decode, encode
from shared.delivery.link import Link
from shared.delivery.links import LinkOvertaken, LinkStore, Stored, from_entity, to_entity
from shared.delivery.work import Worker
from shared.errors import BridgeError, NotSent, OutcomeUnknown, Refused, StorageUnavailable, Throttled, TicketMissing
from shared.mapping.mapper import Mapper
from shared.signals.model import Signal, State
from shared.tickets import Closure, Draft, Note, Phase, Ticket, TicketKind, TicketRef

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

CONFIG = """
version: 1
connections:
  desk: {type: servicenow, url: "https://contoso.example.com", auth: {type: api_key, key: {secret: key}}}
default:
  connection: desk
  ticket: %(kind)s
  reopen_window: 1h
  resolve: {action: %(resolve)s}
delivery: {recheck_after: %(recheck)s, lease: 5m, first_retry: 5s, longest_retry: 1m}
"""


class Pause:
    """What a coroutine of this world waits on; awaiting it hands control to the test."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __await__(self) -> Generator[Pause, str, str]:
        return (yield self)


@dataclass
class Row:
    """A ticket as the ticket system holds it."""

    id: str
    kind: TicketKind
    correlation: str
    phase: Phase = Phase.OPEN
    number: str = ""
    follows: str = ""
    notes: list[str] = field(default_factory=list)
    writes_after_closing: int = 0


class Desk:
    """A ticket system in memory. ``answers`` decides, per call, what happens: see ``_act``."""

    name = "desk"
    kinds = frozenset(TicketKind)

    def __init__(self, *, honours_ids: bool = True) -> None:
        self.honours_ids = honours_ids
        self.rows: dict[str, Row] = {}
        self.calls: list[str] = []
        self._numbers = itertools.count(10001)

    def findable(self, kind: TicketKind) -> bool:
        return kind is not TicketKind.EVENT

    async def create(self, draft: Draft) -> Ticket:
        def effect() -> Row:
            row_id = draft.id if self.honours_ids else f"{len(self.rows):032x}"
            if row_id in self.rows:
                return self.rows[row_id]
            row = Row(row_id, draft.kind, draft.correlation, number=f"INC{next(self._numbers):07}")
            row.follows = draft.follows.number if draft.follows else ""
            if draft.closure is not None:
                row.phase = Phase.RESOLVED
            self.rows[row_id] = row
            return row

        return self._ticket(await self._act("create", effect))

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        await self._act("find", lambda: None, reading=True)
        row = self.rows.get(ticket_id)
        if row is None:
            row = next((r for r in self.rows.values() if r.correlation == correlation and r.kind is kind), None)
        if row is None:
            return None
        noted = any(marker in note for note in row.notes) if marker else None
        return replace(self._ticket(row), noted=noted)

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        return self._ticket(await self._act("comment", lambda: self._open_or_resolved(ref, note=note.text)))

    async def update(self, ref: TicketRef, fields: Any, note: Note | None = None) -> Ticket:
        assert ref.kind is TicketKind.EVENT, "delivery sets fields of events only"
        return self._ticket(await self._act("update", lambda: self._open_or_resolved(ref, phase=Phase.OPEN)))

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        return self._ticket(await self._act("resolve", lambda: self._open_or_resolved(ref, phase=Phase.RESOLVED)))

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        return self._ticket(
            await self._act("reopen", lambda: self._open_or_resolved(ref, note=note.text, phase=Phase.OPEN))
        )

    async def check(self, needs: Any, *, probe_writes: bool = False) -> list[Any]:
        raise AssertionError("delivery checks nothing")

    async def aclose(self) -> None:
        return

    def _open_or_resolved(self, ref: TicketRef, *, note: str = "", phase: Phase | None = None) -> Row:
        row = self.rows.get(ref.id)
        if row is None:
            raise TicketMissing("no such ticket", connection="desk")
        if row.phase is Phase.CLOSED:
            raise Refused("closed tickets are not written", connection="desk")
        if note:
            row.notes.append(note)
        row.phase = phase or row.phase
        return row

    def _ticket(self, row: Row) -> Ticket:
        ref = TicketRef(row.kind, row.id, row.correlation, row.number, f"https://contoso.example.com/{row.number}")
        return Ticket(ref, row.phase, row.phase.value)

    async def _act(self, what: str, effect: Callable[[], Any], *, reading: bool = False) -> Any:
        """Stop, then do as told: ``ok``, ``not_sent``, ``throttled``, ``lost`` (done, answer lost), ``vain`` (not
        done, answer lost), ``refused``, ``done_refused`` (done, and refused all the same)."""
        told = await Pause(what)
        self.calls.append(what)
        if told == "not_sent":
            raise NotSent("connection refused", connection="desk")
        if told == "throttled":
            raise Throttled("rate limit", connection="desk", status=429)
        if told in ("lost", "vain") and not reading:
            if told == "lost":
                effect()
            raise OutcomeUnknown("no answer", connection="desk")
        if told in ("refused", "done_refused") and not reading:
            if told == "done_refused":
                effect()
            raise Refused("no", connection="desk", status=403)
        result = effect()
        await Pause(f"{what} answered")
        return result


class MemoryLinks(LinkStore):
    """Links as rows with ETags, in memory, through the real row format."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[dict[str, Any], int]] = {}
        self.operations = 0

    async def load(self, key: str) -> Stored | None:
        await _storage("load")
        self.operations += 1
        found = self.rows.get(key)
        return Stored(from_entity(found[0]), str(found[1])) if found else None

    async def write(self, link: Link, etag: str | None) -> str:
        told = await Pause("write")
        self.operations += 1
        if told == "storage_down":
            raise StorageUnavailable("storage did not answer")
        found = self.rows.get(link.key)
        if (found is None) != (etag is None) or (found is not None and str(found[1]) != etag):
            raise LinkOvertaken
        version = found[1] + 1 if found else 1
        self.rows[link.key] = (to_entity(link), version)
        if told == "written_unanswered":
            raise StorageUnavailable("storage did not answer")
        return str(version)

    def peek(self, key: str) -> Link | None:
        found = self.rows.get(key)
        return from_entity(found[0]) if found else None


async def _storage(place: str) -> None:
    if await Pause(place) == "storage_down":
        raise StorageUnavailable("storage did not answer")


@dataclass
class Message:
    """On the queue."""

    id: int
    text: str
    visible_at: datetime
    dequeued: int = 0
    held_by: int | None = None


class MemoryQueue:
    """The queue: at least once, in no order, nothing lost."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.messages: dict[int, Message] = {}
        self._ids = itertools.count(1)

    def put(self, envelope: Envelope, delay: timedelta = timedelta()) -> None:
        number = next(self._ids)
        self.messages[number] = Message(number, encode(envelope), self._world.now + delay)

    async def opened(self, text: str | bytes) -> Envelope:
        return decode(text)

    async def send(self, envelope: Envelope, delay: timedelta = timedelta()) -> None:
        await _storage("send")
        self.put(envelope, delay)

    async def done(self, envelope: Envelope) -> None:
        return


class MemoryKept:
    """Dead letters, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, Envelope]] = {}

    async def keep(self, kind: str, envelope: Envelope, *, code: str, reason: str, **_: str) -> None:
        await _storage("keep")
        self.kept[envelope.id] = (code, envelope)

    async def forget(self, kind: str, item: str) -> None:
        self.kept.pop(item, None)


class NoPulse:
    async def succeeded(self, connection: str) -> None:
        return

    async def failed(self, connection: str, error: BridgeError) -> None:
        return


@dataclass
class Running:
    """A worker in the middle of a message, stopped at ``place``."""

    message: Message
    work: Coroutine[Any, Any, None]
    place: str
    since: datetime


class World:
    """Everything together. ``resume`` moves one worker to its next stop."""

    def __init__(
        self, *, honours_ids: bool = True, kind: str = "incident", resolve: str = "resolve", recheck: str = "0s"
    ) -> None:
        self.now = START
        self.desk = Desk(honours_ids=honours_ids)
        self.links = MemoryLinks()
        self.queue = MemoryQueue(self)
        self.kept = MemoryKept()
        config = parse_config(CONFIG % {"kind": kind, "resolve": resolve, "recheck": recheck}, settings={})
        self._delivery: Delivery = config.delivery
        self._deliverer = Deliverer(Mapper(config), lambda _name: self.desk, self.links, now=lambda: self.now)
        self._worker = Worker(self._give, self.queue, self.kept, NoPulse(), now=lambda: self.now, chance=lambda: 0.0)  # type: ignore[arg-type]  # stand in by shape
        self.running: dict[int, Running] = {}
        self._workers = itertools.count(1)

    async def _give(self) -> tuple[Deliverer, Delivery]:
        return self._deliverer, self._delivery

    def post(self, signal: Signal, envelope_id: str) -> None:
        """A signal arrives on the queue."""
        self.queue.put(Envelope(id=envelope_id, received_at=self.now, signal=signal))

    def visible(self) -> list[Message]:
        """Messages that a worker could take now."""
        return [m for m in self.queue.messages.values() if m.held_by is None and m.visible_at <= self.now]

    def start(self, message: Message) -> int:
        """A worker takes a message and runs to its first stop; its number."""
        number = next(self._workers)
        message.held_by = number
        message.dequeued += 1
        work = self._worker.handle(str(message.id), message.text, message.dequeued)
        self.running[number] = Running(message, work, "", self.now)
        self._advance(number, None)
        return number

    def resume(self, number: int, told: str = "ok") -> None:
        """A worker goes on with what it is told."""
        self._advance(number, told)

    def kill(self, number: int) -> None:
        """A worker dies; the queue shows its message again."""
        run = self.running.pop(number)
        run.work.close()
        run.message.held_by = None

    def pass_time(self, by: timedelta) -> None:
        """The clock moves. No call outlives the total time-out of two minutes, so whoever hangs longer is dead."""
        self.now += by
        for number, run in list(self.running.items()):
            if self.now - run.since >= timedelta(minutes=2):
                self.kill(number)

    def _advance(self, number: int, told: str | None) -> None:
        run = self.running[number]
        try:
            stop = run.work.send(told)
        except StopIteration:
            del self.running[number]
            del self.queue.messages[run.message.id]
        except StorageUnavailable:  # the Functions host shows the message again
            del self.running[number]
            run.message.held_by = None
        else:
            run.place = stop.place

    def drain(self) -> None:
        """No more faults: everything on the queue is worked off, one after the other."""
        for number in list(self.running):
            self.kill(number)
        for _ in range(2000):
            ready = self.visible()
            if not ready:
                if not self.queue.messages:
                    return
                self.now = min(m.visible_at for m in self.queue.messages.values())
                continue
            number = self.start(ready[0])
            for _ in range(200):
                if number not in self.running:
                    break
                self.resume(number)
        raise AssertionError(f"the queue does not come to rest: {[m.text for m in self.queue.messages.values()]}")


def signal(state: State, at: timedelta, *, key: str = "alert:1:one", opens: bool | None = None) -> Signal:
    """An event of a key at a time after START."""
    moment = START + at
    return Signal(
        source="azure_monitor",
        kind="metric",
        key=key,
        state=state,
        occurred_at=moment,
        severity=1,
        title="CPU high on vm-web-01",
        description="CPU is high",
        fired_at=moment if state is State.FIRED else None,
        resolved_at=moment if state is State.RESOLVED else None,
        opens=state is State.FIRED if opens is None else opens,
    )
