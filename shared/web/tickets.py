"""The endpoint ``GET /api/tickets``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypedDict

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr

from shared.core.http import Request, Response
from shared.core.link import LinkStage
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_json import TicketJson, ticket_json
from shared.core.ticket_system import TicketKind, TicketRef
from shared.core.times import rfc3339
from shared.operations.ticket_list import (
    COLUMNS,
    LARGEST_PAGE,
    ListedTicket,
    TicketCounts,
    TicketFilter,
    TicketList,
    TicketQuery,
    TicketSort,
)
from shared.web.answers import refusals_as_problems
from shared.web.requests import OneLine, RequestModel, YesNo, read_query, whole_number


class ListedTicketJson(TicketJson):
    """A ticket of the list. Times are RFC 3339 in UTC; ``age`` is whole seconds since it was opened."""

    source: str
    key: str
    title: str
    state: str
    stage: str
    owner: str
    due: str | None
    overdue: bool
    age: int | None
    opened_at: str | None
    ended_at: str | None
    route: str


class TicketCountsJson(TypedDict):
    """Counts of all tickets that the filters match: ``states`` is kind to name of a state to number."""

    total: int
    overdue: int
    kinds: dict[str, int]
    states: dict[str, dict[str, int]]


class TicketListJson(TypedDict):
    """One page of the list. ``next`` is null on the last page."""

    items: list[ListedTicketJson]
    next: str | None
    counts: TicketCountsJson


def listed_ticket_json(row: ListedTicket) -> ListedTicketJson:
    """A row of the list."""
    return {
        **ticket_json(TicketRef(row.kind, row.id, row.key, row.number, row.url), row.connection),
        "source": row.source,
        "key": row.key,
        "title": row.title,
        "state": row.state,
        "stage": row.stage.value,
        "owner": row.owner,
        "due": _text(row.due),
        "overdue": row.overdue,
        "age": row.age,
        "opened_at": _text(row.opened_at),
        "ended_at": _text(row.ended_at),
        "route": row.route,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment.astimezone(UTC).replace(microsecond=0))


def _counts_json(counts: TicketCounts) -> TicketCountsJson:
    return {
        "total": counts.total,
        "overdue": counts.overdue,
        "kinds": dict(counts.kinds),
        "states": {kind: dict(states) for kind, states in counts.states.items()},
    }


def _sort(text: str) -> str:
    if text.removeprefix("-") not in COLUMNS:
        raise ValueError(f"It must be one of these columns, with or without '-' before it: {', '.join(COLUMNS)}.")
    return text


_Text = Annotated[StrictStr, Field(min_length=1, max_length=200), OneLine]


class TicketListQuery(RequestModel):
    """The query of ``GET /api/tickets``; every parameter may be left out.

    ``source``, ``kind``, ``stage``, ``connection``, ``owner``, ``number``: exactly this, the last two in any case.
    ``state``: its name on the connection, or its stored value. ``q``: text in the title, in any case. ``sort``: a
    column, with ``-`` before it for the greatest first. ``cursor``: the ``next`` of the page before.
    """

    source: _Text | None = None
    kind: Literal["incident", "change_request", "problem", "event"] | None = None
    stage: Literal["open", "resolved", "closed"] | None = None
    state: _Text | None = None
    connection: _Text | None = None
    owner: _Text | None = None
    overdue: YesNo | None = None
    number: _Text | None = None
    q: _Text | None = None
    sort: Annotated[str, AfterValidator(_sort)] = "-opened_at"
    limit: Annotated[int, BeforeValidator(whole_number(1, LARGEST_PAGE))] = 100
    cursor: str = ""

    def query(self) -> TicketQuery:
        """As the list takes it."""
        return TicketQuery(
            filter=TicketFilter(
                source=self.source or "",
                kind=None if self.kind is None else TicketKind(self.kind),
                stage=None if self.stage is None else LinkStage(self.stage),
                state=self.state or "",
                connection=self.connection or "",
                owner=self.owner or "",
                overdue=self.overdue,
                number=self.number or "",
                title=self.q or "",
            ),
            sort=TicketSort(self.sort.removeprefix("-"), self.sort.startswith("-")),
            limit=self.limit,
            cursor=self.cursor,
        )


async def list_tickets(request: Request, tickets: TicketList, sources: Sequence[str]) -> Response:
    """Answer ``GET /api/tickets``: a page as :class:`TicketListJson`.

    Args:
        request: of the caller.
        tickets: the list.
        sources: names of the sources that there are.

    Raises:
        Problem: 400 naming the parameter.
        StorageUnavailable: storage did not answer.
    """
    query = read_query(request, TicketListQuery).query()
    with refusals_as_problems():
        if query.filter.source and query.filter.source not in sources:
            detail = f"It must be one of these: {', '.join(sources)}."
            raise RequestRefused(RefusalReason.INVALID, "Invalid request", [RequestMistake("source", detail)])
        page = await tickets.page(query)
    answer: TicketListJson = {
        "items": [listed_ticket_json(row) for row in page.items],
        "next": page.next,
        "counts": _counts_json(page.counts),
    }
    return Response(200, answer)
