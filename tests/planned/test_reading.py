"""What an instance answers to the question for planned work, page by page, and what of it is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.servicenow import ServiceNow, ServiceNowSettings
from connectors.servicenow.planned import PAGE
from shared.core.errors import NotAuthorised
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import PlannedWork, PlansWork, WorkItem

Answer = Callable[[str, str], Any]


@asynccontextmanager
async def instance(answer: Answer, **settings: Any) -> AsyncIterator[ServiceNow]:
    """A connector whose instance answers by table and query: rows, or a status."""

    def handle(request: httpx.Request) -> httpx.Response:
        found = answer(request.url.path.rpartition("/")[2], request.url.params["sysparm_query"])
        if isinstance(found, int):
            error = {"message": "Insufficient rights to query records", "detail": ""}
            return httpx.Response(found, json={"error": error, "status": "failure"})
        return httpx.Response(200, json={"result": found})

    data = {
        "type": "servicenow",
        "url": "https://contoso.service-now.com",
        "auth": {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}},
        **settings,
    }
    secrets = SettingSecrets({"DEMO_PASSWORD": "demo-password"})
    validated = ServiceNowSettings.model_validate(data)
    connector = ServiceNow("contoso", validated, secrets, transport=httpx.MockTransport(handle))
    yield connector
    await connector.aclose()


def row(number: int, **more: str) -> dict[str, str]:
    return {
        "sys_id": f"{number:032x}",
        "number": f"CHG{number:07}",
        "state": "-1",
        "end_date": "",
        "cmdb_ci.object_id": "",
        "cmdb_ci.fqdn": "",
        "cmdb_ci.name": f"vm-{number}",
        **more,
    }


async def test_the_change_its_item_and_its_affected_items_become_one_piece_of_work() -> None:
    change = row(1, end_date="2026-03-01 12:30:00", **{"cmdb_ci.fqdn": "vm-1.contoso.example"})
    affected = [
        {"sys_id": "a" * 32, "task": change["sys_id"], "ci_item.name": "vm-2"},
        {"sys_id": "b" * 32, "task": change["sys_id"], "ci_item.name": ""},
        {"sys_id": "c" * 32, "task": "d" * 32, "ci_item.name": "somebody else's"},
    ]
    async with instance(lambda table, _query: affected if table == "task_ci" else [change]) as connector:
        assert isinstance(connector, PlansWork)
        assert await connector.planned_work() == [
            PlannedWork(
                "CHG0000001",
                datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
                (WorkItem("", "vm-1.contoso.example", "vm-1"), WorkItem("", "", "vm-2")),
            )
        ]


async def test_rows_in_another_state_show_that_the_condition_was_dropped() -> None:
    async with instance(lambda table, _query: [] if table == "task_ci" else [row(1), row(2, state="-2")]) as connector:
        assert [work.number for work in await connector.planned_work()] == ["CHG0000001"]


async def test_the_state_is_the_one_that_the_connection_calls_implement() -> None:
    asked: list[str] = []

    def answer(_table: str, query: str) -> list[dict[str, str]]:
        asked.append(query)
        return []

    async with instance(answer, states={"change_request": {"reopened": 20}}) as connector:
        assert await connector.planned_work() == []
    assert asked == ["state=20^ORDERBYsys_id"]


async def test_pages_follow_each_other_by_id() -> None:
    asked: list[str] = []

    def answer(table: str, query: str) -> list[dict[str, str]]:
        if table == "task_ci":
            return []
        asked.append(query)
        return [row(number) for number in range(PAGE)] if "sys_id>" not in query else [row(PAGE)]

    async with instance(answer) as connector:
        assert len(await connector.planned_work()) == PAGE + 1
    assert asked == ["state=-1^ORDERBYsys_id", f"state=-1^sys_id>{PAGE - 1:032x}^ORDERBYsys_id"]


async def test_affected_items_that_may_not_be_read_leave_the_change_with_its_own_item() -> None:
    async with instance(lambda table, _query: 403 if table == "task_ci" else [row(1)]) as connector:
        (work,) = await connector.planned_work()
        assert work.items == (WorkItem("", "", "vm-1"),)


async def test_credentials_that_are_not_accepted_are_an_error() -> None:
    async with instance(lambda _table, _query: 401) as connector:
        with pytest.raises(NotAuthorised):
            await connector.planned_work()
