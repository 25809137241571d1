"""The list of tickets: every link that has, or had, a ticket, filtered, sorted and in pages, with counts.

Cost: each request reads all links once, because Table storage indexes the key only and the counts are about all links.
That is one call for each 1,000 links and about 50 microseconds of processor time for each link, so 100,000 links take
100 calls and five seconds. Storage compares the filters on source, kind, stage and connection, which makes those
cheaper. Memory does not grow with the number of links: it holds twice a page, and the pages of storage that are being
read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.core.link import Link, LinkStage, link_id
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_system import StateName, TicketKind
from shared.core.times import rfc3339
from shared.delivery.links import PARTS, LinkStore
from shared.platform.concurrency import for_each

LARGEST_PAGE = 500
_LONGEST_CURSOR = 4096

#: Texts are sorted by this many characters; rows that are equal so far are ordered by their key.
_LONGEST_SORTED = 100

#: Ranges of the table that are read at the same time.
_CONCURRENCY = 4

#: Columns by which the list can be sorted.
COLUMNS = (
    *("source", "key", "id", "kind", "number", "state", "stage", "owner", "due", "overdue", "age", "opened_at", "url"),
    "ended_at",
    *("connection", "route", "title"),
)


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets. What is empty or None matches all.

    Attributes:
        source, kind, stage, connection: exactly this.
        owner, number: exactly this, in any case.
        state: its name on the connection, or its stored value, in any case.
        overdue: open with a due date that has passed, or not.
        title: text that occurs in the title, in any case.
    """

    source: str = ""
    kind: TicketKind | None = None
    stage: LinkStage | None = None
    connection: str = ""
    state: str = ""
    owner: str = ""
    overdue: bool | None = None
    number: str = ""
    title: str = ""

    def stored(self) -> dict[str, str]:
        """The conditions that storage compares, by name of the link's field."""
        wanted = {
            "source": self.source,
            "kind": self.kind.value if self.kind is not None else "",
            "stage": self.stage.value if self.stage is not None else "",
            "connection": self.connection,
        }
        return {column: value for column, value in wanted.items() if value}

    def matches(self, row: ListedTicket, link: Link) -> bool:
        """Whether a row fits the conditions that storage did not compare."""
        if self.owner and row.owner.casefold() != self.owner.casefold():
            return False
        if self.number and row.number.casefold() != self.number.casefold():
            return False
        if self.state and self.state.casefold() not in (row.state.casefold(), link.state.casefold()):
            return False
        if self.overdue is not None and row.overdue != self.overdue:
            return False
        return self.title.casefold() in row.title.casefold()


@dataclass(frozen=True, slots=True)
class ListedTicket:
    """One row.

    Attributes:
        id, number, kind, connection, url: of the ticket; empty where the link has none any more.
        source, key, title, route: of its signal.
        state: as people call it on the connection. stage: what the bridge may still do with it.
        owner, due: as the ticket system reported them last.
        overdue: open, and its due date has passed.
        age: whole seconds since it was opened.
    """

    id: str
    number: str
    kind: TicketKind
    connection: str
    url: str
    source: str
    key: str
    title: str
    route: str
    state: str
    stage: LinkStage
    owner: str
    due: datetime | None
    overdue: bool
    age: int | None
    opened_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class TicketSort:
    """By which column, and in which direction. Rows without a value come last in both directions."""

    column: str = "opened_at"
    descending: bool = True

    def position(self, row: ListedTicket) -> list[Any]:
        """Position of a row: smaller ones come first, or with :attr:`reverse` greater ones."""
        name, down = self.column, self.descending
        if name == "age":  # it changes with the clock; the moment of opening does not
            name, down = "opened_at", not down
        value = getattr(row, name)
        missing = value is None or value == ""
        return [missing != down, "" if missing else _sortable(value), link_id(row.key)]

    @property
    def reverse(self) -> bool:
        """Whether greater positions come first."""
        return self.descending != (self.column == "age")


def _sortable(value: object) -> str:
    if isinstance(value, datetime):  # in whole seconds and UTC, the text sorts as the time does
        return str(rfc3339(value.astimezone(UTC).replace(microsecond=0))).casefold()
    if isinstance(value, str):
        return value.casefold()[:_LONGEST_SORTED]
    return str(int(value)) if isinstance(value, int) else ""


@dataclass(frozen=True, slots=True)
class TicketQuery:
    """What a page is to show.

    Attributes:
        filter: which tickets.
        sort: in which order; the newest first unless it says otherwise.
        limit: rows of a page, 1 to :data:`LARGEST_PAGE`.
        cursor: ``next`` of the page before, with the same sort and filter; empty for the first page.
    """

    filter: TicketFilter = field(default_factory=TicketFilter)
    sort: TicketSort = field(default_factory=TicketSort)
    limit: int = 100
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class TicketCounts:
    """Counts of all tickets that the filter matches: in total, by kind, and by kind and name of the state."""

    total: int
    overdue: int
    kinds: Mapping[str, int]
    states: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class TicketPage:
    """One page; ``next`` is None on the last one."""

    items: tuple[ListedTicket, ...]
    next: str | None
    counts: TicketCounts


class TicketList:
    """The list.

    Args:
        links: the link store.
        state_name: what people call a state.
        now: the clock.
    """

    def __init__(self, links: LinkStore, state_name: StateName, *, now: Callable[[], datetime]) -> None:
        self._links = links
        self._state_name = state_name
        self._now = now

    async def page(self, query: TicketQuery) -> TicketPage:
        """One page.

        Raises:
            RequestRefused: the cursor belongs to another list.
            StorageUnavailable: storage did not answer.
        """
        now = self._now()
        after = _position(query) if query.cursor else None
        rows = _Rows(query.sort, query.limit, after)
        equal = query.filter.stored()
        step = PARTS // _CONCURRENCY

        async def read(begin: int) -> None:
            async for link in self._links.tickets(range(begin, begin + step), **equal):
                row = self._row(link, now)
                if query.filter.matches(row, link):
                    rows.add(row)

        await for_each(range(0, PARTS, step), read, limit=_CONCURRENCY)
        items, more = rows.items()
        following = _cursor(query, query.sort.position(items[-1])) if more else None
        return TicketPage(tuple(items), following, rows.counts())

    def _row(self, link: Link, now: datetime) -> ListedTicket:
        ticket, opened = link.ticket, link.opened_at or link.created_at
        return ListedTicket(
            id=ticket.id if ticket else "",
            number=ticket.number if ticket else "",
            kind=link.kind,
            connection=link.connection,
            url=ticket.url if ticket else "",
            source=link.source,
            key=link.key,
            title=link.title,
            route=link.route,
            state=self._state_name(link.connection, link.kind, link.state) if link.state else "",
            stage=link.stage,
            owner=link.owner,
            due=link.due,
            overdue=link.stage is LinkStage.OPEN and link.due is not None and link.due < now,
            age=None if opened is None else max(int((now - opened).total_seconds()), 0),
            opened_at=opened,
            ended_at=link.ended,
        )


class _Rows:
    """Finds the rows of one page in one pass over all rows, which come in any order."""

    def __init__(self, sort: TicketSort, limit: int, after: list[Any] | None) -> None:
        self._sort = sort
        self._limit = limit
        self._after = after
        self._candidates: list[tuple[list[Any], ListedTicket]] = []
        self._total = self._overdue = 0
        self._states: dict[str, Counter[str]] = {}

    def add(self, row: ListedTicket) -> None:
        """Count a row, and remember it if it may be on the page."""
        self._total += 1
        self._overdue += row.overdue
        self._states.setdefault(row.kind.value, Counter())[row.state] += 1
        position = self._sort.position(row)
        if self._after is not None and (position >= self._after if self._sort.reverse else position <= self._after):
            return
        self._candidates.append((position, row))
        if len(self._candidates) > 2 * self._limit + 1:
            self._cut()

    def items(self) -> tuple[list[ListedTicket], bool]:
        """The rows of the page, and whether more follow."""
        self._cut()
        return [row for _, row in self._candidates[: self._limit]], len(self._candidates) > self._limit

    def counts(self) -> TicketCounts:
        """Of all rows."""
        states = {kind: dict(found.most_common()) for kind, found in sorted(self._states.items())}
        kinds = {kind: found.total() for kind, found in sorted(self._states.items())}
        return TicketCounts(self._total, self._overdue, kinds, states)

    def _cut(self) -> None:
        self._candidates.sort(key=lambda one: one[0], reverse=self._sort.reverse)
        del self._candidates[self._limit + 1 :]


def _cursor(query: TicketQuery, position: list[Any]) -> str:
    """Where the next page begins. It names sort and filter, because the position means nothing in another list."""
    text = json.dumps([_list_name(query), position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(query: TicketQuery) -> list[Any]:
    """The position in a cursor. Raises RequestRefused."""
    cursor = query.cursor
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError("too long")
        named, (last, value, key) = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fits = isinstance(last, bool) and isinstance(value, str) and isinstance(key, str)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        fits, named = False, None
    if not fits or named != _list_name(query):
        detail = "It is not the 'next' of a list with this sort and these filters."
        raise RequestRefused(RefusalReason.INVALID, "Invalid request", [RequestMistake("cursor", detail)])
    return [last, value, key]


def _list_name(query: TicketQuery) -> str:
    wanted = query.filter
    conditions = [
        *(wanted.source, wanted.kind, wanted.stage, wanted.connection, wanted.state, wanted.owner, wanted.overdue),
        *(wanted.number, wanted.title),
    ]
    text = json.dumps([query.sort.column, query.sort.descending, conditions])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
