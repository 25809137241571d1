"""The list of tickets: every link that has, or had, a ticket, filtered, sorted and paged, with counts.

What it costs: each request reads the links once, because nothing but the key is an index in Table storage and the
counts are about all of them. That is one call for each 1,000 links and about 50 microseconds of processor for each, so
100,000 links take 100 calls and five seconds; filters on source, kind, stage and connection are compared by storage and
cost less. Memory does not grow with the links: what is kept is twice a page, and the pages of storage that are under
way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.core.errors import StorageUnavailable
from shared.core.link import Link, LinkStage, link_id
from shared.core.problem import Problem
from shared.core.ticket_system import StateName, TicketKind
from shared.core.times import rfc3339
from shared.delivery.links import PARTS, LinkStore
from shared.platform.concurrency import for_each

LARGEST_PAGE = 500
_PAGE = 100
_LONGEST = 200
_LONGEST_CURSOR = 4096

#: Characters of a text by which rows are sorted; what is equal so far has an order of its own.
_LONGEST_SORTED = 100

#: Ranges of the table that are read side by side.
_ABREAST = 4

#: Query parameters that Azure Functions takes for itself. Source: "Work with access keys in Azure Functions".
_OF_THE_HOST = ("code", "clientid")

_CHOICES = {
    "kind": tuple(kind.value for kind in TicketKind),
    "stage": (LinkStage.OPEN.value, LinkStage.RESOLVED.value, LinkStage.CLOSED.value),
    "overdue": ("true", "false"),
}
_FILTERS = ("source", "kind", "stage", "state", "connection", "owner", "overdue", "number", "q")
#: Filters that storage compares.
_EQUAL = ("source", "kind", "stage", "connection")
_SORTS = (
    *("source", "key", "kind", "number", "state", "stage", "owner", "due", "overdue", "age", "opened_at", "link"),
    *("connection", "route", "title"),
)
_NEWEST = "-opened_at"


@dataclass(frozen=True, slots=True)
class _Order:
    """A sort: by what, and which way. What has no value comes last either way."""

    column: str
    descending: bool

    def place(self, row: Mapping[str, Any]) -> list[Any]:
        """Where a row stands: the smaller the earlier, or with ``descending`` the greater."""
        name, down = self.column, self.descending
        if name == "age":  # it moves with the clock; the moment of opening does not
            name, down = "opened_at", not down
        value = row[name]
        missing = value is None or value == ""
        shown = "" if missing else value.casefold()[:_LONGEST_SORTED] if isinstance(value, str) else str(int(value))
        return [missing != down, shown, link_id(row["key"])]

    @property
    def reverse(self) -> bool:
        """Whether greater places come first."""
        return self.descending != (self.column == "age")


class TicketList:
    """Answers requests for the list.

    Args:
        links: the link store.
        state_name: what people call a state.
        now: the clock.
    """

    def __init__(self, links: LinkStore, state_name: StateName, *, now: Callable[[], datetime]) -> None:
        self._links = links
        self._state_name = state_name
        self._now = now

    async def answer(self, query: Mapping[str, str]) -> dict[str, Any]:
        """One page.

        Args:
            query: all may be left out. ``source``, ``kind``, ``stage``, ``connection``, ``owner``, ``number``: exactly
                this, the last two in any case. ``state``: by its name on the connection, or its stored value.
                ``overdue``: true or false. ``q``: occurs in the title, in any case. ``sort``: a column, with ``-``
                before it for the greatest first; the newest first when left out. ``limit``: 1 to 500, 100 when left
                out. ``cursor``: the ``next`` of the page before, with the same sort and filters.

        Returns:
            ``items``: source, key, kind, number, state (its name), stage, owner, due (RFC 3339 or null), overdue, age
            (whole seconds since it was opened), opened_at, link (an address), connection, route, title.
            ``next``: null on the last page. ``counts``: ``total``, ``overdue``, ``kinds`` (kind to number) and
            ``states`` (kind to name of a state to number), of everything that the filters let through.

        Raises:
            Problem: 400 naming the parameter, 503 when storage is down.
        """
        filters, order, limit, after = _read(query)
        now = self._now()
        page = _Page(order, limit, after)
        equal = {name: filters[name] for name in _EQUAL if name in filters}
        step = PARTS // _ABREAST

        async def read(begin: int) -> None:
            async for link in self._links.tickets(range(begin, begin + step), **equal):
                row = self._row(link, now)
                if _matches(row, link, filters):
                    page.add(row)

        try:
            await for_each(range(0, PARTS, step), read, limit=_ABREAST)
        except StorageUnavailable as error:
            raise Problem(503, "Storage unavailable", str(error), {"Retry-After": "5"}) from None
        items, more = page.items()
        return {
            "items": items,
            "next": _cursor(order, filters, order.place(items[-1])) if more else None,
            "counts": page.counts(),
        }

    def _row(self, link: Link, now: datetime) -> dict[str, Any]:
        ticket, opened = link.ticket, link.opened_at or link.created_at
        return {
            "source": link.source,
            "key": link.key,
            "kind": link.kind.value,
            "number": ticket.number if ticket else "",
            "state": self._state_name(link.connection, link.kind, link.state) if link.state else "",
            "stage": link.stage.value,
            "owner": link.owner,
            "due": _whole(link.due),
            "overdue": link.stage is LinkStage.OPEN and link.due is not None and link.due < now,
            "age": None if opened is None else max(int((now - opened).total_seconds()), 0),
            "opened_at": _whole(opened),
            "link": ticket.url if ticket else "",
            "connection": link.connection,
            "route": link.route,
            "title": link.title,
        }


class _Page:
    """The rows of one page, found in one pass over all rows in any order."""

    def __init__(self, order: _Order, limit: int, after: list[Any] | None) -> None:
        self._order = order
        self._limit = limit
        self._after = after
        self._kept: list[tuple[list[Any], dict[str, Any]]] = []
        self._total = self._overdue = 0
        self._states: dict[str, Counter[str]] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Count a row, and keep it if it may be on the page."""
        self._total += 1
        self._overdue += row["overdue"]
        self._states.setdefault(row["kind"], Counter())[row["state"]] += 1
        place = self._order.place(row)
        if self._after is not None and (place >= self._after if self._order.reverse else place <= self._after):
            return
        self._kept.append((place, row))
        if len(self._kept) > 2 * self._limit + 1:
            self._cut()

    def items(self) -> tuple[list[dict[str, Any]], bool]:
        """The page's rows, as they are shown, and whether more follow."""
        self._cut()
        return [row for _, row in self._kept[: self._limit]], len(self._kept) > self._limit

    def counts(self) -> dict[str, Any]:
        """Of all rows."""
        return {
            "total": self._total,
            "overdue": self._overdue,
            "kinds": {kind: found.total() for kind, found in sorted(self._states.items())},
            "states": {kind: dict(found.most_common()) for kind, found in sorted(self._states.items())},
        }

    def _cut(self) -> None:
        self._kept.sort(key=lambda one: one[0], reverse=self._order.reverse)
        del self._kept[self._limit + 1 :]


def _whole(moment: datetime | None) -> str | None:
    """RFC 3339 in whole seconds and UTC, so that the text sorts as the time does."""
    return None if moment is None else rfc3339(moment.astimezone(UTC).replace(microsecond=0))


def _matches(row: Mapping[str, Any], link: Link, filters: Mapping[str, str]) -> bool:
    """Whether a row fits what storage did not compare."""
    for name in ("owner", "number"):
        if name in filters and row[name].casefold() != filters[name].casefold():
            return False
    if "state" in filters and filters["state"].casefold() not in (row["state"].casefold(), link.state.casefold()):
        return False
    if "overdue" in filters and row["overdue"] != (filters["overdue"] == "true"):
        return False
    return filters.get("q", "").casefold() in row["title"].casefold()


def _read(query: Mapping[str, str]) -> tuple[dict[str, str], _Order, int, list[Any] | None]:
    """Filters, sort, size and beginning of a page. Raises Problem."""
    filters = {}
    for name, value in query.items():
        if name in _FILTERS:
            filters[name] = _text(name, value)
        elif name not in ("sort", "limit", "cursor") and name.lower() not in _OF_THE_HOST:
            known = ", ".join((*_FILTERS, "sort", "limit", "cursor"))
            raise _bad(name[:_LONGEST], f"is not known here; known are: {known}")
    for name, choices in _CHOICES.items():
        if name in filters and filters[name] not in choices:
            raise _bad(name, f"must be one of: {', '.join(choices)}")
    sort = query.get("sort", _NEWEST)
    order = _Order(sort.removeprefix("-"), sort.startswith("-"))
    if order.column not in _SORTS:
        raise _bad("sort", f"must be one of these columns, with or without '-' before it: {', '.join(_SORTS)}")
    limit = query.get("limit", str(_PAGE))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= LARGEST_PAGE):
        raise _bad("limit", f"must be a whole number from 1 to {LARGEST_PAGE}")
    after = _place(query["cursor"], order, filters) if query.get("cursor") else None
    return filters, order, int(limit), after


def _text(name: str, value: str) -> str:
    if not value or len(value) > _LONGEST or not value.isprintable():
        raise _bad(name, f"must be a text of 1 to {_LONGEST} characters")
    return value


def _cursor(order: _Order, filters: Mapping[str, str], place: list[Any]) -> str:
    """Where the next page begins. It names sort and filters, since in another list the place means nothing."""
    text = json.dumps([_list_name(order, filters), place], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str, order: _Order, filters: Mapping[str, str]) -> list[Any]:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError("too long")
        named, place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        last, value, key = place
        fits = isinstance(last, bool) and isinstance(value, str) and isinstance(key, str)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        fits, named = False, None
    if not fits or named != _list_name(order, filters):
        raise _bad("cursor", "is no 'next' of a list with this sort and these filters")
    return [last, value, key]


def _list_name(order: _Order, filters: Mapping[str, str]) -> str:
    text = json.dumps([order.column, order.descending, sorted(filters.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bad(name: str, problem: str) -> Problem:
    return Problem(400, "Bad request", f"'{name}' {problem}.")
