"""A small world to drive delivery through: storage, queue, ticket system and workers whose every wait is a choice.

The real Worker, Deliverer and decide run here. What is replaced is what lies outside the process: tables, queue and
ticket system live in memory, and each of their calls stops at a point where the test decides who goes on, who dies,
and what the answer is. Nothing runs by itself: no event loop, no clock, no randomness.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.configuration import mapper_of, parse_config
from shared.config.model import DeliverySettings
from shared.core.errors import (
    ConnectionDisabled,
    NotSent,
    OutcomeUnknown,
    Refused,
    StorageUnavailable,
    Throttled,
    TicketMissing,
    TicketSystemError,
)
from shared.core.link import Link, LinkStage, link_id, ticket_id
from shared.core.log_in import LogIn
from shared.core.messages import SignalMessage
from shared.core.signal import Resource, Signal, SignalState
from shared.core.ticket_system import ChangePage, Closure, Draft, Note, Phase, Ticket, TicketKind, TicketRef
from shared.delivery import links
from shared.delivery.decision.rules import no_planned_work
from shared.delivery.deliver import Deliverer
from shared.delivery.dry_run import DryRun, GroupsInDryRun
from shared.delivery.grouping.grouper import Grouper
from shared.delivery.splitting.splitter import Splitter
from shared.delivery.stages import SplitParts, delivery_stages
from shared.delivery.worker import Configured, GroupFlusher, Worker
from shared.mapping.mapper import Mapper
from tests.delivery import memory
from tests.delivery.memory import Clock, MemoryGroups, MemoryLinks, MemoryParts, MemoryQueue, Message, Pause

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
delivery: {%(recheck)s missing_after: %(missing)s, lease: 5m, first_retry: 5s, longest_retry: 1m}
"""


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

    def __init__(self, clock: Clock, *, honours_ids: bool = True) -> None:
        self.clock = clock
        self.honours_ids = honours_ids
        self.hidden: dict[str, datetime] = {}
        self.neighbours: set[str] = set()
        self.commit_delay, self.stubborn = timedelta(), 0
        self.rows: dict[str, Row] = {}
        self.calls: list[str] = []
        self.drafts: list[Draft] = []
        self.closures: list[Closure] = []
        self._numbers = itertools.count(10001)

    def findable(self, kind: TicketKind) -> bool:
        return kind is not TicketKind.EVENT

    def state_name(self, kind: TicketKind, state: str) -> str:
        return state

    async def log_in(self) -> LogIn:
        return LogIn("memory")

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        raise AssertionError("delivery does not read changes")

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        await self._act("existing", lambda: None, reading=True)
        return frozenset(one for one in ids if one in self.neighbours or self._seen(one) is not None)

    def hide(self, until: datetime | None = None) -> None:
        """All present rows cannot be seen until then; None: until they are shown."""
        self.hidden |= dict.fromkeys(self.rows, until or datetime.max.replace(tzinfo=UTC))

    def show(self) -> None:
        self.hidden.clear()

    def _seen(self, ticket_id: str) -> Row | None:
        row = self.rows.get(ticket_id)
        return None if row is None or self.hidden.get(ticket_id, START) > self.clock.now else row

    async def create(self, draft: Draft) -> Ticket:
        def effect() -> Row:
            row_id = draft.id if self.honours_ids else f"{len(self.rows):032x}"
            if row_id in self.rows:
                if self._seen(row_id) is None:
                    raise OutcomeUnknown("a duplicate of a record that is not visible", connection="desk")
                return self.rows[row_id]
            phase, follows = Phase.RESOLVED if draft.closure else Phase.OPEN, draft.follows
            row = Row(row_id, draft.kind, draft.correlation, phase, f"INC{next(self._numbers):07}")
            row.follows = follows.number if follows else ""
            self.rows[row_id] = row
            if self.commit_delay:
                self.hidden[row_id] = self.clock.now + self.commit_delay
            self.drafts.append(draft)
            return row

        return self._ticket(await self._act("create", effect))

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        await self._act("find", lambda: None, reading=True)
        row = self._seen(ticket_id)
        if row is None:
            mine = (r for r in self.rows.values() if r.correlation == correlation and r.kind is kind)
            row = next((r for r in mine if self._seen(r.id) is not None), None)
        if row is None:
            return None
        return replace(self._ticket(row), noted=any(marker in note for note in row.notes) if marker else None)

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        return self._ticket(await self._act("comment", lambda: self._open_or_resolved(ref, note=note.text)))

    async def update(self, ref: TicketRef, fields: Any, note: Note | None = None) -> Ticket:
        assert ref.kind is TicketKind.EVENT, "delivery sets fields of events only"
        return self._ticket(await self._act("update", lambda: self._open_or_resolved(ref, phase=Phase.OPEN)))

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        was = self.rows[ref.id].phase if ref.id in self.rows else Phase.OPEN
        self.closures.append(closure)
        ticket = self._ticket(await self._act("resolve", lambda: self._open_or_resolved(ref, phase=Phase.RESOLVED)))
        if self.stubborn:  # the answer, or the instance itself, does not show the change
            if self.stubborn > 1:
                self.rows[ref.id].phase = was
            return replace(ticket, phase=was)
        return ticket

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        return self._ticket(
            await self._act("reopen", lambda: self._open_or_resolved(ref, note=note.text, phase=Phase.OPEN))
        )

    async def check(self, needs: Any, *, probe_writes: bool = False) -> list[Any]:
        raise AssertionError("delivery checks nothing")

    async def aclose(self) -> None:
        return

    def _open_or_resolved(self, ref: TicketRef, *, note: str = "", phase: Phase | None = None) -> Row:
        row = self._seen(ref.id)
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
        self,
        *,
        honours_ids: bool = True,
        kind: str = "incident",
        resolve: str = "resolve",
        recheck: str = "0s",
        missing: str = "5m",
        text: str = CONFIG,
        route: str = "",
        sections: str = "",
        workers: int = 1,
    ) -> None:
        """
        Args:
            route: more lines of the default route. sections: more sections of the file.
            workers: processes, each with a memory of its own, that take messages in turn.
        """
        self.now = START
        self.asked: list[tuple[str, bool, str]] = []
        self.refusals: list[TicketSystemError] = []
        self.listener = memory.Listener()
        self.healthy = False
        self.disabled = False
        self.asked_after: list[datetime] = []
        self.desk = Desk(self, honours_ids=honours_ids)
        self.links, self.dry_links, self.dry_groups = MemoryLinks(), MemoryLinks(), MemoryGroups()
        self.queue, self.kept = MemoryQueue(self), memory.MemoryKept()
        text = text % {
            "kind": kind,
            "resolve": resolve,
            "recheck": f"recheck_after: {recheck}," if recheck else "",
            "missing": missing,
        }
        more = "".join(f"  {line}\n" for line in route.splitlines())
        self._text = text.replace("delivery:", f"{more}delivery:")
        self.groups = MemoryGroups()
        self.parts, self.dry_parts = MemoryParts(), MemoryParts()
        self.reader = memory.Reader()
        self.configure(sections, workers)
        self.running: dict[int, Running] = {}
        self._workers = itertools.count(1)

    def configure(self, sections: str, workers: int = 1) -> None:
        """New processes start, with these sections beside the default route."""
        config = parse_config(self._text + sections, settings={})
        processes = [self._process(mapper_of(config), config.delivery) for _ in range(workers)]
        self.worker = processes[0]
        self._processes = itertools.cycle(processes)

    def add_neighbours(self, visible: int, hidden: int = 0, *, ids_of_theirs: bool = False) -> None:
        """Other keys with open tickets, of which some cannot be seen; ``ids_of_theirs``: the desk chose their ids."""
        for number in range(visible + hidden):
            key = f"alert:1:neighbour{number}"
            chosen = f"{number:032x}" if ids_of_theirs else ticket_id("desk", key, 1)
            ref = TicketRef(TicketKind.INCIDENT, chosen, key, f"INC{number}")
            link = Link(key=key, generation=1, stage=LinkStage.OPEN, connection="desk", ticket=ref)
            place = links.address(link_id(key))
            self.links.rows[("links", *place)] = ({**links.CODEC.to_row(link), **place.columns()}, 1)
            if number < visible:
                self.desk.neighbours.add(chosen)

    def _process(self, mapper: Mapper, delivery: DeliverySettings) -> Worker:
        deliverer = Deliverer(mapper, self.system, self.links, admit=self.admit, now=lambda: self.now)
        grouper = Grouper(mapper, self.links, self.groups, self.queue, now=lambda: self.now)
        groups: GroupFlusher = grouper
        dry_run: DryRun | None = None
        if mapper.has_dry_runs:
            dry_run = DryRun(
                mapper,
                self.system,
                self.links,
                self.dry_links,
                self.dry_groups,
                self.queue,
                takes=mapper.is_dry_run,
                auto_close=mapper.ends,
                planned_work=no_planned_work,
                now=lambda: self.now,
            )
            live = None if mapper.is_dry_run(signal(SignalState.FIRED, timedelta(), rule="none")) else grouper
            groups = GroupsInDryRun(dry_run.grouper, self.dry_groups, live, self.queue, lambda: self.now)
        live_parts, dry_parts = (Splitter(mapper, one, self.queue, self.reader) for one in (self.parts, self.dry_parts))
        stages = delivery_stages(
            not_allowed=lambda _signal: None,
            deliverer=deliverer,
            grouper=grouper,
            dry_run=dry_run,
            queue=self.queue,
            auto_close=mapper.ends,
            is_healthy=self.well,
            now=lambda: self.now,
            split=SplitParts(live_parts, dry_parts, mapper.is_dry_run),
            reader=self.reader,
        )
        configured = Configured(stages, deliverer, groups, delivery)
        stand_ins: Any = (self.queue, self.kept, [self.listener])  # by shape
        return Worker(lambda: configured, *stand_ins, now=lambda: self.now, chance=lambda: 0.0)

    def system(self, name: str) -> Desk:
        """The desk, where its connection is not disabled. Refuses a name that is not configured, as the app does."""
        if name != self.desk.name:
            raise Refused(f"there is no connection {name!r}", connection=name)
        if self.disabled:
            raise ConnectionDisabled("the connection is disabled", connection=name)
        return self.desk

    async def well(self, signal: Signal) -> bool:
        """Resource Health: whether the signal's resources are available."""
        self.asked_after.append(self.now)
        return self.healthy

    async def admit(self, connection: str, *, urgent: bool, position: str) -> None:
        """The budget: asked by each delivery that needs a call. ``refusals`` are raised one after the other."""
        self.asked.append((connection, urgent, position))
        if self.refusals:
            raise self.refusals.pop(0)

    def post(self, signal: Signal, envelope_id: str) -> None:
        """A signal arrives on the queue."""
        self.queue.put(SignalMessage(id=envelope_id, received_at=self.now, signal=signal))

    def visible(self) -> list[Message]:
        """Messages that a worker could take now."""
        return [m for m in self.queue.messages.values() if m.held_by is None and m.visible_at <= self.now]

    def start(self, message: Message) -> int:
        """A worker takes a message and runs to its first stop; its number."""
        number = next(self._workers)
        message.held_by = number
        message.dequeued += 1
        work = next(self._processes).handle(str(message.id), message.text, message.dequeued)
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
        """No more faults: everything on the queue is worked off, one after the other, whenever it is due."""
        for number in list(self.running):
            self.kill(number)
        for _ in range(2000):
            self.work_off()
            if not self.queue.messages:
                return
            self.now = min(m.visible_at for m in self.queue.messages.values())
        raise AssertionError("the queue does not come to rest")

    def work_off(self, until: datetime | None = None) -> None:
        """What is due now is worked off, and what falls due until then, each at its time."""
        for _ in range(5000):
            ready = self.visible()
            if ready:
                number = self.start(ready[0])
                for _ in range(200):
                    if number not in self.running:
                        break
                    self.resume(number)
                continue
            due = min((m.visible_at for m in self.queue.messages.values()), default=None)
            if until is None or due is None or due > until:
                self.now = max(self.now, until or self.now)
                return
            self.now = due
        raise AssertionError(f"the queue does not come to rest: {[m.text for m in self.queue.messages.values()]}")


def signal(
    state: SignalState,
    at: timedelta,
    *,
    key: str = "alert:1:one",
    opens: bool | None = None,
    rule: str = "CPU high",
    resource: str = "vm-web-01",
    fired: timedelta | None = None,
    severity: int | None = 1,
) -> Signal:
    """An event of a key at a time after START; ``fired``: when the alert fired, where a Resolved says so."""
    moment = START + at
    return Signal(
        source="azure_monitor",
        kind="metric",
        key=key,
        state=state,
        occurred_at=moment,
        severity=severity,
        title=f"{rule} on {resource}",
        rule=rule,
        resources=(Resource(id=None, name=resource),),
        description="CPU is high",
        fired_at=moment if state is SignalState.FIRED else None if fired is None else START + fired,
        resolved_at=moment if state is SignalState.RESOLVED else None,
        opens=state is SignalState.FIRED if opens is None else opens,
    )
