"""The examples of docs/log-analytics.md are queries that Log Analytics takes, and they answer what the page says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.log_analytics.columns import TICKETS_TABLE
from local.workbook.kusto import analyse
from local.workbook.queries import FUNCTIONS, ROOT
from local.workbook.workspace import Workspace
from tests.docs.pages import blocks_of
from tests.workbook.scenario import SQL, ago, filled_logs, ticket

PAGE = ROOT / "docs" / "log-analytics.md"


@pytest.fixture(scope="module")
def examples() -> list[str]:
    blocks = blocks_of("docs/log-analytics.md", PAGE.read_text(encoding="utf-8"))
    return [one.text for one in blocks if one.language == "kusto"]


@pytest.fixture(scope="module")
def logs() -> Iterator[Workspace]:
    found = filled_logs()
    # A person's ticket about a database, half an hour after an alert on it.
    known: dict[str, Any] = {
        "CreatedDate_t": ago(6, minutes=-28),
        "AzureResourceId": SQL,
        "ServiceDeskId_s": "INC0000010",
    }
    found.add(TICKETS_TABLE, [ticket("id-10", ago(5), Title_s="Shop is slow", Fields={"u_region": "EMEA"}, **known)])
    yield found
    found.close()


def test_every_example_is_a_query_that_log_analytics_takes(examples: list[str]) -> None:
    assert len(examples) == 5
    assert {query: found.remarks for query, found in analyse({q: q for q in examples}).items() if found.remarks} == {}


def rows(logs: Workspace, examples: list[str], begins: str, *, now: str = "") -> list[dict[str, Any]]:
    """The answer to the example with this line."""
    (query,) = [one for one in examples if begins in one]
    return logs.run(query.replace("ago(1d)", now) if now else query).dicts()


def test_alert_decision_and_ticket_stand_in_one_row(logs: Workspace, examples: list[str]) -> None:
    found = rows(logs, examples, "StatusLogTime_t > ago(1d)", now="ago(365d)")
    by_decision = {(row["AlertRule"], row["Decision"]): row for row in found}
    assert by_decision["High CPU", "created"]["State"] == "Resolved"
    assert by_decision["High CPU", "created"]["ServiceDeskId_s"] == "INC0000001"
    assert by_decision["Slow queries", "suppressed"]["Rule"] == "maintenance of sql-01"
    assert len(found) == 11


def test_tickets_of_people_stand_beside_the_alert_before_them(logs: Workspace, examples: list[str]) -> None:
    (found,) = rows(logs, examples, "not(OfBridge)")
    assert (found["ServiceDeskId_s"], found["Alert"]) == ("INC0000010", "Slow queries")


def test_open_tickets_by_group(logs: Workspace, examples: list[str]) -> None:
    found = rows(logs, examples, "ServiceDeskOpenTickets()")
    assert sum(row["Tickets"] for row in found) == 6
    assert max(row["Oldest"] for row in found) in (371, 372)


def test_states_of_a_ticket_in_order(logs: Workspace, examples: list[str]) -> None:
    known: dict[str, Any] = {"connection": "servicenow", "ServiceDeskId_s": "INC0000001"}
    new, closed = ticket("id-11", ago(2), **known), ticket("id-11", ago(1), 1, State="Closed", **known)
    logs.add(TICKETS_TABLE, [new, closed])
    found = rows(logs, examples, "INC0000001")
    assert [(row["State"], row["Changes"]) for row in found] == [("New", 1), ("Closed", 1)]


def test_columns_of_the_configuration(logs: Workspace, examples: list[str]) -> None:
    found = {row["Region"]: row["Tickets"] for row in rows(logs, examples, "u_region")}
    assert found["EMEA"] == 1


def test_the_page_names_the_functions_that_are_saved() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"\n| `{name}()` |" in text for name in FUNCTIONS)
