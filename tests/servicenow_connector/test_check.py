"""The connection check of instances that are down, refuse, or show less than everything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from connectors.servicenow import ServiceNow
from shared.core.ticket_system import CheckStatus, Needs, TicketKind
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.findings import ALL, failed, lines, needs
from tests.servicenow_connector.scripted import HIBERNATING, Asked, Instance, Say, page, refusal, result


@pytest.mark.parametrize(
    ("answer", "place", "skipped"),
    [
        (page(HIBERNATING), "awake", "api access"),
        (page("<html>maintenance</html>", 503), "awake", "authenticated"),
        (refusal(429, "Rate limit exceeded"), "awake", "roles"),
        (refusal(401, "User Not Authenticated"), "authenticated", "api access"),
        (refusal(403, "User Not Authorized", "Access to unscoped api is not allowed"), "api access", "user"),
        (refusal(400, "Requested URI does not represent any resource"), "api access", "clock"),
    ],
)
async def test_one_failed_line_and_the_rest_skipped_with_the_reason(
    instance: Instance, connector: ServiceNow, answer: Say, place: str, skipped: str
) -> None:
    instance.handler = lambda asked: answer
    findings = await connector.check(ALL)
    assert failed(findings) == [place]
    found = lines(findings)
    assert found[skipped].detail.startswith("not tested: ")
    order = list(found)
    assert all(found[name].verdict is CheckStatus.OK for name in order[: order.index(place)])
    assert all(found[name].verdict is CheckStatus.WARNING for name in order[order.index(place) + 1 :])
    assert order[-4:] == ["incident", "change_request", "problem", "event"]


async def test_a_dead_instance_gives_one_failed_line(connect: Connect) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    findings = await connect(url=f"http://127.0.0.1:{port}").check(ALL)
    assert failed(findings) == ["reachable"]
    assert "refused" in lines(findings)["reachable"].detail


async def test_a_missing_secret_is_the_first_thing_said(connect: Connect) -> None:
    findings = await connect(secrets={"OTHER": "x"}).check(ALL)
    assert failed(findings) == ["secrets"]
    assert "demo-password" in lines(findings)["secrets"].detail


async def test_a_token_that_is_refused_is_about_the_credentials(instance: Instance, connect: Connect) -> None:
    auth = {"type": "oauth_client_credentials", "client_id": "c", "client_secret": {"secret": "demo-client-secret"}}
    for status in (400, 401, 403):
        instance.says(Say(status, '{"error":"server_error","error_description":"access_denied"}'))
        findings = await connect(auth=auth).check(ALL)
        assert failed(findings) == ["authenticated"]
        assert "OAuth Application User" in lines(findings)["authenticated"].fix


class Tables:
    """An instance with a few system tables; those not given are forbidden."""

    def __init__(self, **tables: list[dict[str, str]] | Say) -> None:
        self.tables: Mapping[str, Any] = tables

    def __call__(self, asked: Asked) -> Say:
        found = self.tables.get(asked.path.split("/")[4], refusal(403, "Insufficient rights to query records"))
        return found if isinstance(found, Say) else result(found)


ME = [{"sys_id": "1" * 32, "user_name": "azure.bridge"}]
ROW = {"sys_id": "2" * 32, "number": "INC0010001", "state": "1", "active": "true", "correlation_id": ""}


async def test_an_instance_that_hides_its_system_tables_is_checked_as_far_as_it_goes(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.handler = Tables(sys_user=ME, incident=[ROW])
    findings = await connector.check(needs())
    assert failed(findings) == []
    found = lines(findings)
    for name, role in (
        ("roles", "itil"),
        ("incident: fields", "personalize_dictionary"),
        ("incident: choices", "personalize_choices"),
    ):
        assert found[name].verdict is CheckStatus.WARNING
        assert role in found[name].fix


async def test_our_own_record_that_cannot_be_told_apart_is_not_guessed(
    instance: Instance, connector: ServiceNow
) -> None:
    """As when the condition was dropped and everybody comes back."""
    everybody = [{"user": str(n), "role.name": "admin"} for n in range(3)]
    instance.handler = Tables(sys_user=[*ME, *ME], sys_user_has_role=everybody, incident=[ROW])
    found = lines(await connector.check(needs()))
    assert found["user"].verdict is CheckStatus.WARNING
    assert "cannot be read" in found["roles"].detail


def column(name: str, **more: str) -> dict[str, str]:
    return {
        "name": "task",
        "element": name,
        "internal_type": "string",
        "max_length": "100",
        "read_only": "false",
        **more,
    }


NAMES = ("correlation_id", "correlation_display", "state", "work_notes", "parent", "close_code", "close_notes")


def dictionary(*more: dict[str, str]) -> list[dict[str, str]]:
    changed = {entry["element"] for entry in more}
    return [*(column(name) for name in NAMES if name not in changed), *more]


@pytest.mark.parametrize(
    ("entry", "constants", "line", "verdict"),
    [
        (column("correlation_id", max_length="40"), {}, "incident: correlation_id", CheckStatus.FAILED),
        (column("close_notes", read_only="true"), {}, "incident: fields", CheckStatus.WARNING),
        (
            column("u_owner", internal_type="reference", reference="sys_user"),
            {"u_owner": "sam"},
            "incident: u_owner",
            CheckStatus.FAILED,
        ),
    ],
)
async def test_what_the_dictionary_tells(
    instance: Instance,
    connector: ServiceNow,
    entry: dict[str, str],
    constants: dict[str, str | None],
    line: str,
    verdict: CheckStatus,
) -> None:
    instance.handler = Tables(sys_user=ME, incident=[ROW], sys_dictionary=dictionary(entry))
    finding = lines(await connector.check(needs(**constants)))[line]
    assert finding.verdict is verdict
    assert finding.fix


def choice(table: str, element: str, value: str, label: str = "") -> dict[str, str]:
    return {"name": table, "element": element, "value": value, "label": label or value}


async def test_choices_of_a_table_replace_those_of_its_parent_as_a_whole(
    instance: Instance, connector: ServiceNow
) -> None:
    states = [choice("task", "state", value) for value in ("2", "6", "7", "8")]
    codes = [choice("task", "close_code", "Solution provided"), choice("incident", "close_code", "Fixed")]
    parents = [{"name": "incident", "super_class.name": "task"}, {"name": "task", "super_class.name": ""}]
    instance.handler = Tables(
        sys_user=ME, incident=[ROW], sys_db_object=parents, sys_dictionary=dictionary(), sys_choice=[*states, *codes]
    )
    findings = await connector.check(needs())
    assert failed(findings) == ["incident: close_code"]
    assert "it has Fixed" in lines(findings)["incident: close_code"].detail
    assert failed(await connector.check(needs(close_code="Fixed"))) == []


async def test_an_empty_table_is_not_called_readable(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Tables(sys_user=ME, incident=[])
    assert lines(await connector.check(needs()))["incident: read"].verdict is CheckStatus.WARNING


async def test_without_the_event_role_the_check_fails(instance: Instance, connector: ServiceNow) -> None:
    roles = [{"user": "1", "role.name": "itil"}]
    instance.handler = Tables(sys_user=ME, sys_user_has_role=roles)
    findings = await connector.check(Needs(frozenset({TicketKind.EVENT}), {}))
    assert failed(findings) == ["event: role"]


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(600, CheckStatus.WARNING), (-600, CheckStatus.WARNING), (30, CheckStatus.OK)]
)
async def test_a_clock_that_is_wrong_is_noticed(
    instance: Instance, connector: ServiceNow, seconds: float, verdict: CheckStatus
) -> None:
    def answer(asked: Asked) -> Say:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        return result([] if "sys_user_has_role" in asked.path else ME, Date=date)

    instance.handler = answer
    finding = lines(await connector.check(Needs(frozenset(), {})))["clock"]
    assert finding.verdict is verdict
    assert ("Correct the clock" in finding.fix) is (verdict is CheckStatus.WARNING)
