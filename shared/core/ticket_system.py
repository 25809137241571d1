"""The contract of every ticket system: what delivery may call, and what a connector returns.

A connector is one folder under ``connectors/``. It implements :class:`TicketSystem`, raises only the
``TicketSystemError`` branch of ``shared/core/errors.py``, and passes ``tests/conformance``. It knows nothing of queues,
links or retries: it makes one attempt and reports exactly what is known of the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from shared.core.log_in import LogIn


class TicketKind(StrEnum):
    """What a route opens. Not every system has every kind; see ``TicketSystem.kinds``."""

    INCIDENT = "incident"
    CHANGE_REQUEST = "change_request"
    PROBLEM = "problem"
    EVENT = "event"


class Phase(StrEnum):
    """A ticket's state as far as the bridge needs it: whether it may be written, reopened, or must not be written.

    A state that cannot be left for an open one counts as closed, even when people may still write the ticket.
    """

    OPEN = "open"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TicketRef:
    """Names one ticket.

    ``id`` is the system's own identity; ``number`` is what people call it, empty for kinds that have none;
    ``correlation`` is the text of the key that the bridge wrote into it.
    """

    kind: TicketKind
    id: str
    correlation: str
    number: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A field that was not written, because what it refers to was not found.

    ``text`` was looked for in ``table``; ``several``: more than one record fits, otherwise none does. ``why`` says more
    where there is more to say: what is wrong, and what to do about it.
    """

    field: str
    text: str
    table: str
    several: bool = False
    why: str = ""

    def __str__(self) -> str:
        if not self.text:
            return f"{self.field}: {self.why or 'empty'}"
        found = "several records fit" if self.several else "no record fits"
        return f"{self.field} '{self.text}': {found} in {self.table}{f' ({self.why})' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as the system reported it just now.

    ``phase`` is derived from ``state`` (the system's raw value). ``dropped`` names the fields whose value came back
    different from what was sent (silently ignored, overwritten or cut) and those that were left out because what they
    refer to was not found; ``left_out`` says of the latter what was looked for. ``noted`` is the result of a look-up
    for a note's marker: True or False, None when notes could not be read or no marker was given. ``handed_over`` is set
    when the ticket was to be resolved and was left open to people instead, with the note of the closure in it: why, as
    a sentence without its full stop.
    """

    ref: TicketRef
    phase: Phase
    state: str
    dropped: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    noted: bool | None = None
    handed_over: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A private note. ``marker`` is a short unique text contained in ``text``; searching for it tells whether an
    attempt whose answer was lost had in fact arrived, so that no note is written twice. ``comment`` is a public note,
    which the requester of the ticket sees, written in the same call; empty for none. Both are plain text: the connector
    takes out what its system would render as markup."""

    text: str
    marker: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Closure:
    """How a ticket is resolved: the fields to set (state, code, notes: already rendered) by field name.

    The connector fills in those of the kind's fields (state, code, notes) that are missing, so that the states in the
    settings of a connection apply where a route names no other. ``note`` says that the problem is over; it is written
    where the ticket is cancelled, or left open to people, instead of being resolved.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket to be created.

    ``id`` is ours: 32 hex characters derived from key and generation, so that a repeated create cannot make a second
    row. ``fields`` hold text; references may be names and are resolved by the connector. ``follows`` is the closed
    ticket that this one continues. ``closure`` is set when the problem has already ended: the ticket is created as
    resolved where the system allows that, otherwise left open and resolved by a second call. ``note`` is the first
    private note of the ticket; written unless the fields set one. Kinds that have no notes ignore it. ``template``
    names a template of the ticket system whose values are written as well: below the fields, but above those of them
    that ``yielding`` names. A template that is not found costs its values and not the ticket.
    """

    kind: TicketKind
    id: str
    correlation: str
    fields: Mapping[str, str]
    follows: TicketRef | None = None
    closure: Closure | None = None
    note: str = ""
    template: str = ""
    yielding: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TicketTemplate:
    """A template of the ticket system: the values by field, and what of it cannot be used."""

    fields: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A person in the ticket system: the system's id, and those of the other values that may be read (else empty)."""

    id: str
    user_name: str = ""
    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class TicketSnapshot:
    """A ticket of ours as it was read by polling for changes.

    ``state`` is the raw value, ``state_name`` its name on this connection. Times are UTC. ``updated_by`` is the user
    name of the last writer, as the system writes it: the connection's own user when that was the bridge. ``revision``
    grows with every change of the ticket. ``reopened`` counts how often it was reopened, 0 where the kind has no
    counter.
    """

    ref: TicketRef
    phase: Phase
    state: str
    state_name: str
    updated_on: datetime
    updated_by: str
    revision: int
    assigned_to: Person | None = None
    due_date: datetime | None = None
    close_code: str = ""
    close_notes: str = ""
    reopened: int = 0


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of what changed.

    ``watermark`` goes into the next call: store it when the rows are processed. It is ASCII text: some hundred
    characters, and eleven more for every ticket that changed within two minutes of the newest (about 55,000 for 5,000
    tickets), which is too long for a text column of Table storage. ``more``: call again at
    once; otherwise at the next poll.
    """

    rows: tuple[TicketSnapshot, ...]
    watermark: str
    more: bool


class CheckStatus(StrEnum):
    """Outcome of one line of the connection check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of the connection check: what was tested, the result, and the fix when it failed."""

    name: str
    verdict: CheckStatus
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the configuration will ask of a connection, so that the check can test exactly that.

    ``kinds`` in use; ``fields``: per kind, field name -> constant values the configuration writes (templates that
    depend on the signal are not constants and appear with no values). ``owners``: people or groups whom the
    configuration names as owners of work. ``templates``: names of the templates that routes use, per kind.
    """

    kinds: frozenset[TicketKind]
    fields: Mapping[TicketKind, Mapping[str, frozenset[str]]]
    owners: frozenset[str] = frozenset()
    templates: Mapping[TicketKind, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A configuration item that is being worked on, by the names that an alert may use; empty where it has none."""

    resource_id: str = ""
    fqdn: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """A change that is being carried out now: its number, its planned end (UTC, None for none), its items."""

    number: str
    ends: datetime | None
    items: tuple[WorkItem, ...]


@runtime_checkable
class PlansWork(Protocol):
    """Optional part of a ticket system: the planned work that is under way."""

    async def planned_work(self) -> Sequence[PlannedWork]:
        """All changes that are being carried out now. Raises as the methods of :class:`TicketSystem` that read."""
        ...


@runtime_checkable
class KnowsTemplates(Protocol):
    """Optional part of a ticket system: templates that new tickets start from."""

    async def template(self, kind: TicketKind, name: str) -> TicketTemplate | LeftOut:
        """The template of that name for a kind of ticket; what was looked for where there is none, or several. Raises
        as the methods of :class:`TicketSystem` that read."""
        ...


@runtime_checkable
class KnowsPeople(Protocol):
    """Optional part of a ticket system: who can be given work, and which fields its tickets have.

    All methods raise as the methods of :class:`TicketSystem` that read; ``watch`` as those that write.
    """

    async def find_person(self, text: str) -> Person | None:
        """The one active person with that user name, e-mail address or name, compared without case. None when nobody
        has it, or several have it."""
        ...

    async def find_group(self, text: str) -> str | None:
        """The name of the one active group with that name, as it is spelt there."""
        ...

    async def suggest_people(self, text: str, limit: int = 5) -> Sequence[Person]:
        """Active people with similar names, the most similar first."""
        ...

    async def manager_of(self, text: str) -> Person | None:
        """The active manager of a person, who is named as for :meth:`find_person`."""
        ...

    async def watch(self, ref: TicketRef, person: Person) -> bool:
        """Notify a person of changes of a ticket, in addition to those who are. False: nothing was written, because
        the person is notified already, or because the ticket is closed."""
        ...

    async def lacks(self, kind: TicketKind, fields: Iterable[str]) -> Sequence[str]:
        """Those of the field names that tickets of a kind do not have, as given. Raises NotAuthorised where it cannot
        be known."""
        ...


@dataclass(frozen=True, slots=True)
class AffectedItems:
    """What came of adding affected items to a ticket.

    ``added`` now, ``present`` before; ``unknown``: resources for which there is no item; ``ambiguous``: those for which
    several items fit equally well; ``beyond``: those for which the ticket has no room left.
    """

    added: int = 0
    present: int = 0
    unknown: int = 0
    ambiguous: tuple[LeftOut, ...] = ()
    beyond: int = 0


@runtime_checkable
class ListsAffectedItems(Protocol):
    """Optional part of a ticket system: tickets list the configuration items that are affected."""

    def most_affected_items(self, kind: TicketKind) -> int:
        """How many items of a ticket of a kind the bridge may list; 0 for none."""
        ...

    async def add_affected_items(self, ref: TicketRef, own: str, resources: Sequence[str]) -> AffectedItems:
        """Add the items of the resources to those that the ticket lists already, each once.

        Repeating it, also at the same time, adds nothing twice. Raises as the methods of :class:`TicketSystem` that
        write; what was added before an error stays.

        Args:
            ref: the ticket.
            own: what the ticket names as its own configuration item, which is not listed once more; empty for nothing.
            resources: ids or names, the most important first.
        """
        ...


class TicketSystem(Protocol):
    """One configured instance of a ticket system. Every method makes at most one attempt at its change.

    Raises, all methods: NotSent, OutcomeUnknown (never from those that only read), Throttled, Unavailable,
    NotAuthorised, Refused, TicketMissing.
    """

    @property
    def name(self) -> str:
        """The connection's name in the configuration."""
        ...

    @property
    def kinds(self) -> frozenset[TicketKind]:
        """The kinds this system can open."""
        ...

    def findable(self, kind: TicketKind) -> bool:
        """False for kinds that cannot be looked up and are idempotent by key instead."""
        ...

    async def create(self, draft: Draft) -> Ticket:
        """Create with our id and key. An existing row with that id and key counts as success."""
        ...

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """Look up by id, falling back to the key. Only a ticket that really bears the key is returned.

        Its ``ref.id`` differs from ``ticket_id`` where the system does not take ids from outside.
        """
        ...

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """Append a note and change nothing else. For kinds that are idempotent by key: send one more message of the
        key."""
        ...

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """Set fields, and append a note in the same call when given."""
        ...

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """Resolve. Repeating it on a resolved ticket changes nothing that matters.

        Where a state model guards the states, the ticket is moved step by step. Steps that were taken stay when a
        later one fails, whatever the error says; a repetition continues from there. A ticket that cannot be moved on
        raises Refused, which says where it stopped and what is missing. Where that is for people to decide, and where
        the bridge has no way to move such tickets at all, the ticket gets the note of the closure instead and is
        returned as handed over.
        """
        ...

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """Put a resolved ticket back to work. Raises Refused for one that is closed, and writes only the note where
        people have put it back to work already."""
        ...

    def state_name(self, kind: TicketKind, state: str) -> str:
        """The name of a raw state on this connection; the state itself where it has no name."""
        ...

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        """The next tickets of ours that changed, oldest change first: one page, one call.

        Call it again with the page's watermark while ``more``. Every change is returned once, also across a restart (a
        page whose watermark was not stored is returned again), while tickets change, and where more change in one
        second than a page holds. Several changes of a ticket may come as one, with its latest state. Empty for kinds
        that cannot be looked up.

        Args:
            kind: of the tickets.
            watermark: of the page before; None for all tickets.
            limit: rows per page, 1 to 1000.
        """
        ...

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """Those of the ids whose tickets are visible: the others were deleted, or hidden from us. One call per 100
        ids. All of them for kinds that cannot be looked up."""
        ...

    async def log_in(self) -> LogIn:
        """How this connection logs in. Neither calls the system nor reads a secret. Raises StorageUnavailable."""
        ...

    async def check(self, needs: Needs, *, probe_writes: bool = False) -> Sequence[CheckLine]:
        """Test reachability, credentials, rights, choices and behaviour. Never raises a TicketSystemError.

        Args:
            needs: what the configuration uses.
            probe_writes: also write a test ticket per kind and delete it; some mistakes show only then.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


#: Gives the ticket system of a connection, within its budget. Raises Refused for one that is not configured.
TicketSystems = Callable[[str], TicketSystem]

#: The name of a state: of a connection's name, the kind of ticket and the stored value.
StateName = Callable[[str, TicketKind, str], str]
