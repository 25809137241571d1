"""Dry run: a signal is decided and rendered like any other, and nothing is written outside.

The same code decides: grouping and delivery run with a link store and a group store of their own, and with a ticket
system that only notes what it was asked. So a ticket that is only rehearsed is never taken for one that exists: the
stores of live delivery are read, and not written.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.core.errors import Refused
from shared.core.link import Link, link_id
from shared.core.log_in import LogIn
from shared.core.messages import EndWhenQuiet, FlushGroup, QueueSender, SignalMessage
from shared.core.outcome import DRY_RUN, Outcome, OutcomeKind
from shared.core.signal import Signal
from shared.core.ticket_system import (
    ChangePage,
    CheckLine,
    Closure,
    Draft,
    Needs,
    Note,
    Phase,
    Ticket,
    TicketKind,
    TicketRef,
    TicketSystem,
    TicketSystems,
)
from shared.delivery.decision.rules import PlannedWorkLookup
from shared.delivery.deliver import Deliverer
from shared.delivery.grouping.grouper import Grouper
from shared.delivery.grouping.model import SETTLE
from shared.delivery.grouping.store import GroupStore
from shared.delivery.interruptions import DeliveryFailed
from shared.delivery.links import LinkStore
from shared.delivery.stages import Attempt, AutoClose, Deliver, NoWriteBack
from shared.mapping.mapper import Mapper
from shared.platform.storage import Storage
from shared.platform.tables import MOST_TRIES, RowOvertaken, Versioned, change_row

#: How long what belongs to live tickets is put off while everything is a dry run.
_PUT_OFF: Final = timedelta(hours=1)

#: How long an order may be there before the group that it is for.
_UNTIL_WRITTEN: Final = timedelta(minutes=1)

#: Longest value that the record of a rehearsed call shows.
_LONGEST = 500


@dataclass(slots=True)
class Rehearsal:
    """What one delivery would have asked of ticket systems, and the links that it has read or written."""

    calls: list[Mapping[str, Any]] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)

    def note(
        self, call: str, ticket: TicketRef, fields: Mapping[str, str], note: Note | None = None, template: str = ""
    ) -> None:
        """Note a call with its fields as they were rendered; of a template its name, because nobody is asked."""
        shown: dict[str, Any] = {"call": call, "kind": ticket.kind.value}
        if ticket.number:
            shown["ticket"] = ticket.number
        if template:
            shown["template"] = template
        if fields:
            shown["fields"] = {name: _short(value) for name, value in fields.items()}
        if note is not None:
            shown["note"] = _short(note.text)
        self.calls.append(shown)

    @property
    def rendered(self) -> str:
        """The calls as JSON; empty for none."""
        return json.dumps(self.calls, ensure_ascii=False) if self.calls else ""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class RehearsedSystem:
    """A ``TicketSystem`` that does nothing: it notes what it was asked, and answers as if that had succeeded."""

    def __init__(self, real: TicketSystem, rehearsal: Rehearsal) -> None:
        """``real``: the connection's own, which says what its kinds are like and is never called."""
        self._real = real
        self._rehearsal = rehearsal

    @property
    def name(self) -> str:
        """See ``TicketSystem``."""
        return self._real.name

    @property
    def kinds(self) -> frozenset[TicketKind]:
        """See ``TicketSystem``."""
        return self._real.kinds

    def findable(self, kind: TicketKind) -> bool:
        """See ``TicketSystem``."""
        return self._real.findable(kind)

    def state_name(self, kind: TicketKind, state: str) -> str:
        """See ``TicketSystem``."""
        return self._real.state_name(kind, state)

    async def log_in(self) -> LogIn:
        """See ``TicketSystem``."""
        return await self._real.log_in()

    async def create(self, draft: Draft) -> Ticket:
        """See ``TicketSystem``."""
        ref = TicketRef(draft.kind, draft.id, draft.correlation, "", "")
        fields = {**draft.fields, **(draft.closure.fields if draft.closure is not None else {})}
        self._rehearsal.note("create", ref, fields, template=draft.template)
        return Ticket(ref, Phase.OPEN if draft.closure is None else Phase.RESOLVED, "")

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """The ticket as its link has it: what people did with a real one is known as far as resync has read it."""
        del marker
        link = self._rehearsal.links.get(ticket_id)
        if link is None or link.ticket is None:
            return Ticket(TicketRef(kind, ticket_id, correlation, "", ""), Phase.OPEN, "", noted=True)
        return Ticket(link.ticket, Phase(link.stage.value), link.state, noted=True)

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """See ``TicketSystem``."""
        self._rehearsal.note("comment", ref, {}, note)
        link = self._rehearsal.links.get(ref.id)
        return Ticket(ref, Phase.OPEN if link is None else Phase(link.stage.value), "")

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """See ``TicketSystem``."""
        self._rehearsal.note("update", ref, fields, note)
        return Ticket(ref, Phase.OPEN, "")

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """See ``TicketSystem``."""
        self._rehearsal.note("resolve", ref, closure.fields)
        return Ticket(ref, Phase.RESOLVED, "")

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """See ``TicketSystem``."""
        self._rehearsal.note("reopen", ref, {}, note)
        return Ticket(ref, Phase.OPEN, "")

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        """Nothing changes."""
        del kind, limit
        return ChangePage((), watermark or "", False)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """All of them."""
        del kind
        return frozenset(ids)

    async def check(self, needs: Needs, *, probe_writes: bool = False) -> Sequence[CheckLine]:
        """Nothing is tested."""
        del needs, probe_writes
        return ()

    async def aclose(self) -> None:
        """Nothing is open."""


class RehearsedLinks(LinkStore):
    """Links of the dry run. A key that has none yet begins with its live link, as it is then; that is never written.

    Of both, the one that was written last counts: a live ticket may have moved on since it was rehearsed.
    """

    def __init__(self, own: LinkStore, live: LinkStore, rehearsal: Rehearsal | None = None) -> None:
        """``own``: in the storage of the dry run, see :class:`DryRunStorage`. ``rehearsal`` notes what is read."""
        self._own = own
        self._live = live
        self._rehearsal = rehearsal or Rehearsal()

    @property
    def operations(self) -> int:
        """See ``LinkStore``."""
        return self._own.operations + self._live.operations

    async def at(self, row: str) -> Versioned[Link] | None:
        """See ``LinkStore``. An empty ETag: the link is not in the dry run's own table yet."""
        own, live = await self._own.at(row), await self._live.at(row)
        found = own
        if live is not None and (own is None or _is_newer(live.value, own.value)):
            found = Versioned(live.value, own.etag if own is not None else "")
        if found is not None:
            self._keep(found.value)
        return found

    async def write(self, link: Link, etag: str | None) -> str:
        """See ``LinkStore``."""
        if etag is None and await self._live.load(link.key) is not None:
            raise RowOvertaken
        written = await self._own.write(link, etag or None)
        self._keep(link)
        return written

    async def update(
        self, key: str, change: Callable[[Link | None], Link | None], *, contended: str, tries: int = MOST_TRIES
    ) -> Link | None:
        """See ``LinkStore``."""

        async def write(link: Link, etag: str | None) -> str:
            return await self.write(link, etag)

        return await change_row(lambda: self.load(key), write, change, contended=contended, tries=tries)

    def _keep(self, link: Link) -> None:
        if link.ticket is not None:
            self._rehearsal.links[link.ticket.id] = link

    def all(self) -> AsyncGenerator[Link, None]:
        """The live links: lists show tickets that exist."""
        return self._live.all()

    async def part(self, number: int, connection: str) -> list[Link]:
        """As :meth:`all`."""
        return await self._live.part(number, connection)

    def tickets(self, parts: range, **equal: str) -> AsyncGenerator[Link, None]:
        """As :meth:`all`."""
        return self._live.tickets(parts, **equal)


def _is_newer(one: Link, other: Link) -> bool:
    return one.updated_at is not None and (other.updated_at is None or one.updated_at > other.updated_at)


class DryRunStorage(Storage):
    """The same storage account with tables and containers of the dry run. The queue is the same."""

    def __init__(self, live: Storage) -> None:
        """``live``: whoever made it closes it."""
        super().__init__({})
        self._live = live

    def table(self, name: str) -> Any:
        """See ``Storage``."""
        return self._live.table(f"dryrun{name}")

    def container(self, name: str) -> Any:
        """See ``Storage``."""
        return self._live.container(f"dry-run-{name}")

    def queue(self, name: str, *, raw: bool = False) -> Any:
        """See ``Storage``."""
        return self._live.queue(name, raw=raw)


class DryRun:
    """The stage that takes signals whose route, or whole configuration, is a dry run; it ends them."""

    def __init__(
        self,
        mapper: Mapper,
        systems: TicketSystems,
        live: LinkStore,
        own: LinkStore,
        groups: GroupStore,
        queue: QueueSender,
        *,
        takes: Callable[[Signal], bool],
        auto_close: AutoClose,
        planned_work: PlannedWorkLookup,
        now: Callable[[], datetime],
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            systems: gives the real ticket system of a connection, which is not called.
            live: the links of live delivery.
            own, groups: links and groups of the dry run.
            queue: takes what has to come back.
            takes: whether a signal is only rehearsed.
            auto_close, planned_work, now: as for live delivery.
        """
        self._mapper = mapper
        self._systems = systems
        self._live = live
        self._own = own
        self._queue = queue
        self._takes = takes
        self._auto_close = auto_close
        self._planned_work = planned_work
        self._now = now
        self.grouper = Grouper(mapper, RehearsedLinks(own, live), groups, queue, now=now)

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See ``Stage``."""
        if not self._takes(message.signal):
            return message
        if isinstance(message, EndWhenQuiet) and await self._ends_live_ticket(message):
            due = self._now() + _PUT_OFF
            await self._queue.send(replace(message, due=due), _PUT_OFF)
            return Outcome(OutcomeKind.HELD, "held", rule=DRY_RUN, until=due, mode=DRY_RUN)
        grouped = await self.grouper.group(message)
        for after in attempt.after_grouping:
            await after(grouped)
        if isinstance(grouped, Outcome):
            return replace(grouped, mode=DRY_RUN)
        rehearsal = Rehearsal()
        links = RehearsedLinks(self._own, self._live, rehearsal)
        deliverer = Deliverer(
            self._mapper,
            lambda name: RehearsedSystem(self._systems(name), rehearsal),
            links,
            planned_work=self._planned_work,
            now=self._now,
        )
        # what the health of resources decides is not rehearsed: a ticket ends with its Resolved, or when it is quiet
        quiet = Deliver(deliverer, self._quiet_only, NoWriteBack(), self._queue, self._now)
        try:
            outcome = await quiet.run(grouped, attempt)
        except DeliveryFailed as failed:
            if failed.error.retry:
                raise
            return self._would_fail(grouped.signal, failed.error)
        return replace(outcome, mode=DRY_RUN, rendered=rehearsal.rendered)

    async def _ends_live_ticket(self, message: EndWhenQuiet) -> bool:
        """Whether the automatic end was ordered for a ticket that exists: it is still due when the dry run is over."""
        stored = await self._live.at(link_id(message.signal.key))
        return stored is not None and stored.value.ticket is not None and stored.value.latest == message.since

    def _quiet_only(self, signal: Signal) -> tuple[timedelta | None, timedelta | None]:
        return self._auto_close(signal)[0], None

    def _would_fail(self, signal: Signal, error: Exception) -> Outcome:
        route = self._mapper.route(signal)
        return Outcome(
            OutcomeKind.DELIVERED,
            "refused",
            route=route.name if route is not None else "",
            reason=str(error),
            advice=error.advice if isinstance(error, Refused) else "",
            mode=DRY_RUN,
        )


class GroupsInDryRun:
    """Flushes groups, each where it was counted.

    Args:
        dry: of the dry run, with its store.
        live: of live delivery; None while everything is a dry run: orders for live groups wait then.
        queue, now: where those go, and the clock.
    """

    def __init__(
        self, dry: Grouper, store: GroupStore, live: Grouper | None, queue: QueueSender, now: Callable[[], datetime]
    ) -> None:
        self._dry = dry
        self._store = store
        self._live = live
        self._queue = queue
        self._now = now

    async def flush(self, message: FlushGroup) -> str:
        """See ``GroupFlusher``."""
        group = await self._store.load(message.group)
        if group is not None and group.value.flush_id == message.id:
            return await self._dry.flush(message)
        if self._live is not None:
            return await self._live.flush(message)
        now = self._now()
        wait = SETTLE if now - message.received_at < _UNTIL_WRITTEN else _PUT_OFF
        await self._queue.send(replace(message, due=now + wait), wait)
        return "waiting"
