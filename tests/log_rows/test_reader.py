"""Rows of alerts that embed none, read over real sockets from the simulator of Log Analytics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.azure_monitor.log_rows.check import LogRowsCheck
from connectors.azure_monitor.log_rows.reader import LogRowReader
from connectors.azure_monitor.log_rows.shown import ShownRows
from connectors.azure_monitor.payloads.search_link import LogSearch
from connectors.azure_monitor.settings import LogRowsSettings
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.clients import MicrosoftClients
from local.azure.demo.inventory import PRODUCTION
from local.azure.logs.store import WORKSPACE
from shared.core.errors import SourceRefused, SourceUnavailable
from shared.core.signal import Signal
from tests.mapping.signals import signal
from tests.microsoft.world import World, built

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE = f"workspaces/{WORKSPACE}"
COLUMNS = [
    {"name": "Computer", "type": "string"},
    {"name": "FreeMB", "type": "real"},
    {"name": "Token", "type": "string"},
]
ROWS = [["web-01", 1, "t0p"], ["web-02", 80, "t0p"]]

Build = Callable[..., LogRowReader]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def world(certificates: Path) -> AsyncIterator[World]:
    async with built(certificates) as one:
        yield one


@pytest.fixture
async def clients(world: World) -> AsyncIterator[MicrosoftClients]:
    async with aclosing(MicrosoftClients(world.vault, world.endpoints())) as found:
        yield found


@pytest.fixture
def reader(world: World, clients: MicrosoftClients) -> Build:
    def build(now: Callable[[], datetime] = lambda: NOW, **options: Any) -> LogRowReader:
        settings = LogRowsSettings.model_validate({"sign_in": world.sign_in(), **options})
        return LogRowReader(
            settings,
            ShownRows(settings).shown,
            lambda: clients.log_analytics("public", settings.sign_in),
            lambda: clients.resource_manager("public", settings.sign_in),
            now,
        )

    return build


def alert(query: str = "Disks | where x", scope: str = SCOPE, **details: str) -> Signal:
    found = LogSearch(scope, query, NOW - timedelta(hours=1), NOW)
    return replace(signal(kind="log", details=details), rows_from=found.text())


async def save(world: World, query: str = "Disks | where x", **result: Any) -> None:
    await world.tell("POST", "/log-queries", query=query, **{"columns": COLUMNS, "rows": ROWS, **result})


async def queries(world: World) -> list[dict[str, Any]]:
    found = (await world.tell("GET", "/requests"))["requests"]
    return [one for one in found if one["operation"] in ("logs/query", "Microsoft.ResourceGraph/resources/read")]


async def test_the_query_of_an_alert_is_run_and_its_rows_are_shown_without_hidden_columns(
    world: World, reader: Build
) -> None:
    await save(world)
    found = await reader().read(alert(), waiting=True)
    assert found.details["result_rows"] == "Computer | FreeMB | Token\nweb-01 | 1 | (hidden)\nweb-02 | 80 | (hidden)"
    assert found.rows is not None
    assert [row.resource.name for row in found.rows.rows if row.resource] == ["web-01", "web-02"]
    assert found.rows.by == ("Computer",)
    (asked,) = await queries(world)
    assert asked["path"] == f"/v1/{SCOPE}/query"
    assert "| take 500" in asked["body"]
    assert "2026-03-01T11:00:00.000Z/2026-03-01T12:00:00.000Z" in asked["body"]


async def test_only_rows_beyond_the_threshold_of_the_rule_are_shown(world: World, reader: Build) -> None:
    await save(world)
    limits = {"measure_column": "FreeMB", "operator": "LessThan", "threshold": "10"}
    found = await reader().read(alert(**limits), waiting=True)
    assert found.details["result_rows"] == "Computer: web-01\nFreeMB: 1\nToken: (hidden)"
    none = await reader().read(alert(**{**limits, "threshold": "0"}), waiting=True)
    assert none.rows is not None
    assert none.rows.total == 2, "the rule combines several rows"


async def test_a_rule_over_resource_graph_is_asked_there(world: World, reader: Build) -> None:
    await save(world, "healthresources | where y", resource_graph=True)
    scope = f"subscriptions/{PRODUCTION}"
    found = await reader().read(alert('arg("").healthresources | where y', scope), waiting=True)
    assert found.rows is not None
    assert found.rows.total == 2
    (asked,) = await queries(world)
    assert (asked["operation"], PRODUCTION in asked["body"]) == ("Microsoft.ResourceGraph/resources/read", True)


async def test_an_answer_in_part_says_so_and_ends_no_rows(world: World, reader: Build) -> None:
    await save(world, partial=True)
    found = await reader().read(alert(), waiting=True)
    assert found.rows is not None
    assert not found.rows.whole
    assert "Log Analytics gave only a part of the rows (PartialError)." in found.warnings


async def test_a_query_without_rows_leaves_the_alert_as_it_is(world: World, reader: Build) -> None:
    await save(world, rows=[])
    assert await reader().read(alert(), waiting=True) == alert()


async def test_more_rows_than_are_asked_for_are_no_whole_list(world: World, reader: Build) -> None:
    await save(world, rows=[[f"web-{number}", number, ""] for number in range(700)])
    found = await reader().read(alert(), waiting=True)
    assert found.rows is not None
    assert (len(found.rows.rows), found.rows.unread) == (500, 1)
    assert found.details["result_rows"].endswith("... and 491 more rows")


async def test_a_ticket_waits_a_moment_and_then_not_at_all_for_a_minute(world: World, reader: Build) -> None:
    await save(world)
    await world.tell("POST", "/scenarios", type="slow", match={"path": "/v1/*"}, seconds=20, times=1)
    now = [NOW]
    slow = reader(lambda: now[0], wait="1s")
    with pytest.raises(SourceUnavailable, match="no rows within 1 seconds"):
        await slow.read(alert(), waiting=True)
    before = len(await queries(world))
    with pytest.raises(SourceUnavailable, match="failed a moment ago"):
        await slow.read(alert(), waiting=True)
    assert len(await queries(world)) == before
    assert (await slow.read(alert(), waiting=False)).rows is not None, "what no ticket waits for is asked all the same"
    assert (await slow.read(alert(), waiting=True)).rows is not None


async def test_a_query_that_the_service_breaks_off_may_be_tried_again(world: World, reader: Build) -> None:
    await save(world, seconds=50)
    with pytest.raises(SourceUnavailable):
        await reader(wait="1s").read(alert(), waiting=True)


async def test_who_may_not_query_is_refused_with_the_fix(world: World, reader: Build) -> None:
    await save(world)
    await world.tell("DELETE", "/grants", identity="bridge", tenant="contoso")
    with pytest.raises(SourceRefused, match=r"403 \(InsufficientAccessError.*docs/rows\.md"):
        await reader().read(alert(), waiting=True)


async def test_a_wrong_query_is_refused(reader: Build) -> None:
    with pytest.raises(SourceRefused, match=r"400.*BadArgumentError"):
        await reader().read(alert("Nowhere"), waiting=True)


async def test_an_answer_that_is_too_large_is_refused(world: World, reader: Build) -> None:
    await save(world, rows=[["x" * 20_000, 1, ""]] * 205)
    with pytest.raises(SourceRefused, match="answered more than 4,000,000 bytes"):
        await reader(wait="10s").read(alert(), waiting=True)


async def test_nothing_is_asked_outside_of_the_scopes_of_the_configuration(world: World, reader: Build) -> None:
    await save(world)
    bounded = reader(scopes=[f"workspaces/{WORKSPACE[:8].upper()}*"])
    assert (await bounded.read(alert(), waiting=True)).rows is not None
    with pytest.raises(SourceRefused, match=r"log_rows\.scopes does not allow subscriptions/"):
        await bounded.read(alert(scope=f"subscriptions/{PRODUCTION}"), waiting=True)
    with pytest.raises(SourceRefused, match=r"leaves log_rows\.scopes"):
        await bounded.read(alert('workspace("x").Disks'), waiting=True)
    assert len(await queries(world)) == 1


def test_only_alerts_with_a_query_and_without_rows_are_read(reader: Build) -> None:
    assert reader().can_read(alert())
    assert not reader().can_read(replace(alert(), rows_from=""))
    assert not reader().can_read(replace(alert(), rows_from="https://evil.example/"))
    assert not reader(query=False).can_read(alert())


async def test_the_check_tells_whether_the_app_may_query(world: World, clients: MicrosoftClients) -> None:
    async def lines(**options: Any) -> list[tuple[str, str, str]]:
        settings = LogRowsSettings.model_validate({"sign_in": world.sign_in(), **options})
        found = CheckLines("log_rows")
        await LogRowsCheck(clients, settings, lambda: NOW).run(found)
        return [(line.name, line.verdict.value, line.fix) for line in found.findings]

    good = await lines(scopes=[SCOPE, f"subscriptions/{PRODUCTION}"])
    assert [status for _, status, _ in good] == ["ok", "ok", "ok"]
    (_, unnamed) = await lines()
    assert unnamed[1] == "warning"
    missing = await lines(scopes=["workspaces/00000000-0000-0000-0000-000000000000"])
    assert missing[-1][1] == "failed"
    assert "log_rows.scopes" in missing[-1][2]
    await world.tell("DELETE", "/grants", identity="bridge", tenant="contoso")
    refused = await lines(scopes=[SCOPE])
    assert refused[-1][1] == "failed"
    assert "docs/rows.md" in refused[-1][2]
