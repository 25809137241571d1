"""The list of tickets, against real tables: what it shows, filters, sorts, pages and counts."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.registry import REGISTRY
from local.azurite import Azurite
from shared.core.http import Handler
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import TicketKind, TicketRef
from shared.delivery.links import PARTS, LinkStore
from shared.operations.ticket_list import TicketList, TicketQuery, TicketSort
from shared.platform.storage import Storage
from shared.web.tickets import list_tickets
from tests.asking import ask, get

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = {"1": "New", "2": "In Progress", "6": "Resolved", "-1": "Implement"}
NOWHERE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=bm90IGEga2V5;"
    "TableEndpoint=http://127.0.0.1:9/a;"
)


def called(connection: str, kind: TicketKind, state: str) -> str:
    return NAMES.get(state, state)


def listed(tickets: TicketList) -> Handler:
    return lambda request: list_tickets(request, tickets, [source.name for source in REGISTRY.sources])


class Tickets:
    """Links of one connection, and the list of them."""

    def __init__(self, links: LinkStore) -> None:
        self.connection = f"desk-{uuid4().hex[:8]}"
        self._links = links
        self._list = TicketList(links, called, now=lambda: NOW)

    async def add(self, number: str, title: str = "disk full", **changes: Any) -> Link:
        kind = changes.pop("kind", TicketKind.INCIDENT)
        link = Link(
            key=f"alert:1:{uuid4()}",
            generation=1,
            stage=LinkStage.OPEN,
            connection=self.connection,
            kind=kind,
            route="production",
            ticket=TicketRef(kind, uuid4().hex, "", number, f"https://contoso.example.com/{number}"),
            title=title,
            source="azure_monitor",
            opened_at=NOW - HOUR,
            state="1",
            created_at=NOW - 2 * HOUR,
        )
        link = replace(link, **changes)
        await self._links.write(link, None)
        return link

    async def ask(self, **query: str) -> dict[str, Any]:
        return await get(listed(self._list), **{"connection": self.connection, **query})

    async def numbers(self, **query: str) -> list[str]:
        return [item["number"] for item in (await self.ask(**query))["items"]]

    async def refused(self, **query: str) -> str:
        response = await ask(listed(self._list), method="GET", query=query)
        assert response.status == 400
        assert all(f"'{one['field']}': {one['message']}" in response.body["detail"] for one in response.body["errors"])
        return str(response.body["detail"])


@pytest.fixture
async def links(azurite: Azurite) -> AsyncIterator[LinkStore]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield LinkStore(storage)
    await storage.aclose()


@pytest.fixture
def tickets(links: LinkStore) -> Tickets:
    return Tickets(links)


async def test_an_item_says_all_that_a_card_shows(tickets: Tickets) -> None:
    due = NOW - timedelta(minutes=5)
    link = await tickets.add("INC0010001", state="2", owner="Beth Anglin", due=due)
    answer = await tickets.ask()
    assert answer["items"] == [
        {
            "id": link.ticket.id if link.ticket else None,
            "number": "INC0010001",
            "kind": "incident",
            "connection": tickets.connection,
            "url": "https://contoso.example.com/INC0010001",
            "source": "azure_monitor",
            "key": link.key,
            "title": "disk full",
            "state": "In Progress",
            "stage": "open",
            "owner": "Beth Anglin",
            "due": "2026-03-01T11:55:00.000Z",
            "overdue": True,
            "age": 3600,
            "opened_at": "2026-03-01T11:00:00.000Z",
            "ended_at": None,
            "route": "production",
        }
    ]
    assert answer["next"] is None
    assert answer["counts"] == {
        "total": 1,
        "overdue": 1,
        "kinds": {"incident": 1},
        "states": {"incident": {"In Progress": 1}},
    }


async def test_a_row_of_an_earlier_release_has_an_age_all_the_same(tickets: Tickets) -> None:
    await tickets.add("INC0010001", opened_at=None, state="", source="")
    (item,) = (await tickets.ask())["items"]
    assert (item["age"], item["state"], item["due"], item["overdue"]) == (7200, "", None, False)


async def test_links_without_a_ticket_are_not_listed_and_closed_ones_are(tickets: Tickets) -> None:
    await tickets.add("", ticket=None, stage=LinkStage.NONE)
    await tickets.add("INC0010002", stage=LinkStage.CLOSED, due=NOW - HOUR)
    answer = await tickets.ask()
    assert [(one["number"], one["overdue"]) for one in answer["items"]] == [("INC0010002", False)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kind": "change_request"}, ["CHG0030001"]),
        ({"source": "defender"}, ["INC0010002"]),
        ({"stage": "resolved"}, ["INC0010002"]),
        ({"state": "new"}, ["INC0010001"]),
        ({"state": "6"}, ["INC0010002"]),
        ({"owner": "BETH anglin"}, ["INC0010001"]),
        ({"overdue": "true"}, ["INC0010001"]),
        ({"overdue": "false"}, ["CHG0030001", "INC0010002"]),
        ({"number": "inc0010002"}, ["INC0010002"]),
        ({"q": "DISK"}, ["INC0010001", "INC0010002"]),
        ({"q": "disk", "stage": "open"}, ["INC0010001"]),
        ({"q": "nothing of the kind"}, []),
        ({"connection": "desk of others"}, []),
    ],
)
async def test_filters(tickets: Tickets, query: dict[str, str], expected: list[str]) -> None:
    await tickets.add("INC0010001", "disk is full", owner="Beth Anglin", due=NOW - HOUR)
    await tickets.add(
        "INC0010002", "Disk is slow", stage=LinkStage.RESOLVED, state="6", source="defender", due=NOW - HOUR
    )
    await tickets.add("CHG0030001", "renew certificate", kind=TicketKind.CHANGE_REQUEST, state="-1", due=NOW + HOUR)
    answer = await tickets.ask(**query, sort="number")
    assert [item["number"] for item in answer["items"]] == expected
    assert answer["counts"]["total"] == len(expected)


async def test_a_filter_is_a_value_and_no_query(tickets: Tickets) -> None:
    await tickets.add("INC0010001")
    assert await tickets.numbers(connection="' or TicketId ne '") == []
    assert await tickets.numbers(source="azure_monitor", code="a function key") == ["INC0010001"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", "cab"),
        ("opened_at", "bac"),
        ("age", "cab"),
        ("-age", "bac"),
        ("title", "acb"),
        ("-title", "bca"),
        ("due", "bac"),
        ("-due", "abc"),
        ("-overdue", "b"),
        ("owner", "c"),
        ("-owner", "c"),
    ],
)
async def test_sorts_with_what_has_no_value_last_either_way(tickets: Tickets, sort: str, expected: str) -> None:
    await tickets.add("a", "Alpha", opened_at=NOW - 2 * HOUR, due=NOW + HOUR)
    await tickets.add("b", "gamma", opened_at=NOW - 3 * HOUR, due=NOW - HOUR)
    await tickets.add("c", "beta", opened_at=NOW - HOUR, owner="Abel Tuter")
    found = "".join(await tickets.numbers(**({"sort": sort} if sort else {})))
    assert found.startswith(expected)  # those that are equal follow in an order of their own


@pytest.mark.parametrize("sort", ["-opened_at", "number", "-number", "due", "-due", "age", "overdue"])
async def test_pages_hold_everything_once_in_one_order(tickets: Tickets, sort: str) -> None:
    for number in range(11):
        due = NOW + (number % 3 - 1) * HOUR if number % 4 else None
        await tickets.add(f"INC{number:07}", opened_at=NOW - (number % 5) * HOUR, due=due)
    whole = await tickets.numbers(sort=sort)
    assert len(set(whole)) == 11
    found, cursor, pages = list[str](), "", 0
    while cursor is not None and pages < 10:
        answer = await tickets.ask(sort=sort, limit="4", **({"cursor": cursor} if cursor else {}))
        assert answer["counts"]["total"] == 11  # of the whole, on each page
        found += [item["number"] for item in answer["items"]]
        cursor, pages = answer["next"], pages + 1
    assert (found, pages) == (whole, 3)


async def test_counts_are_by_kind_and_by_the_names_of_states(tickets: Tickets) -> None:
    for state in ("1", "1", "2", "9"):
        await tickets.add("INC0010001", state=state)
    await tickets.add("CHG0030001", kind=TicketKind.CHANGE_REQUEST, state="-1")
    counts = (await tickets.ask(limit="1"))["counts"]
    assert counts["kinds"] == {"change_request": 1, "incident": 4}
    assert counts["states"] == {"change_request": {"Implement": 1}, "incident": {"New": 2, "In Progress": 1, "9": 1}}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"assignee": "x"}, "'assignee': Unknown parameter. Known are: source, kind"),
        ({"kind": "request"}, "'kind': It must be 'incident', 'change_request'"),
        ({"stage": "none"}, "'stage': It must be 'open', 'resolved' or 'closed'"),
        ({"overdue": "yes"}, "'overdue'"),
        ({"sort": "colour"}, "'sort': It must be one of these columns"),
        ({"sort": "--due"}, "'sort'"),
        ({"limit": "0"}, "'limit': It must be a whole number from 1 to 500"),
        ({"limit": "501"}, "'limit'"),
        ({"limit": "²"}, "'limit'"),
        ({"q": "x" * 201}, "'q'"),
        ({"source": ""}, "'source'"),
        ({"owner": "a\nb"}, "'owner'"),
        ({"cursor": "x"}, "'cursor'"),
        ({"cursor": "W10"}, "'cursor'"),
        ({"cursor": "x" * 5000}, "'cursor'"),
        ({"cursor": "é"}, "'cursor'"),
    ],
)
async def test_what_is_not_known_is_named(tickets: Tickets, query: dict[str, str], named: str) -> None:
    assert named in await tickets.refused(**query)


async def test_a_cursor_belongs_to_its_sort_and_filters(tickets: Tickets) -> None:
    for number in ("INC0010001", "INC0010002"):
        await tickets.add(number)
    cursor = (await tickets.ask(sort="number", limit="1"))["next"]
    own = {"connection": tickets.connection, "cursor": cursor}
    assert await tickets.numbers(sort="number", cursor=cursor) == ["INC0010002"]
    assert "'cursor'" in await tickets.refused(**own, sort="-number")
    assert "'cursor'" in await tickets.refused(**own, sort="number", stage="open")


async def test_without_storage_it_says_so() -> None:
    storage = Storage({"AzureWebJobsStorage": NOWHERE})
    response = await ask(listed(TicketList(LinkStore(storage), called, now=lambda: NOW)), method="GET")
    await storage.aclose()
    assert (response.status, response.headers["Retry-After"]) == (503, "5")


class Many(LinkStore):
    """A table of any size that is never in memory."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def tickets(self, parts: range, **equal: str) -> AsyncGenerator[Link, None]:
        for number in range(parts.start * self._count // PARTS, parts.stop * self._count // PARTS):
            ref = TicketRef(TicketKind.INCIDENT, str(number), "", f"INC{number:07}")
            yield Link(f"alert:1:{number}", ticket=ref, stage=LinkStage.OPEN, opened_at=NOW, state="1")


async def test_memory_does_not_grow_with_the_number_of_links() -> None:
    peaks = {}
    for count in (2_000, 20_000):
        tickets = TicketList(Many(count), called, now=lambda: NOW)
        tracemalloc.start()
        page = await tickets.page(TicketQuery(sort=TicketSort("number", descending=True), limit=100))
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (len(page.items), page.counts.total) == (100, count)
    assert peaks[20_000] < peaks[2_000] * 1.5


async def test_an_unknown_source_is_refused_like_an_unknown_kind(tickets: Tickets) -> None:
    assert "kind" in await tickets.refused(kind="foo")
    assert "azure_monitor, defender, secure_score" in await tickets.refused(source="foo")
