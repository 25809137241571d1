"""Changes made by the Change Management API: the type, the template, and that it stays one change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.core.errors import OutcomeUnknown, Refused
from shared.core.ticket_system import CheckStatus, Draft, Phase, TicketKind, TicketRef
from shared.core.ticket_system import Needs as CheckNeeds
from tests.conformance.stage import Fault
from tests.servicenow_connector.conftest import Connect, Stages
from tests.servicenow_connector.findings import failed, lines
from tests.servicenow_connector.scripted import Instance, refusal, result
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = {"api": "change_management"}
ID = "0123456789abcdef0123456789abcdef"
KEY = "alert:1:a"
TEMPLATE = "Reboot a virtual machine"
NEEDS = CheckNeeds(frozenset({TicketKind.CHANGE_REQUEST}), {})


def draft(**fields: str) -> Draft:
    return Draft(TicketKind.CHANGE_REQUEST, ID, KEY, {"short_description": "Disk full", **fields})


async def paths(stage: SimulatedServiceNow) -> list[str]:
    """Where changes were made."""
    requests = (await stage.told("/requests"))["requests"]
    return [one["path"] for one in requests if one["method"] == "POST" and "sn_chg_rest" in one["path"]]


async def template_of(stage: SimulatedServiceNow, name: str) -> dict[str, str]:
    """A template of standard changes: its record producer."""
    plain = {"sysparm_exclude_reference_link": "true"}
    (found,) = await stage.rows("std_change_record_producer", f"name={name}", **plain)
    return found


async def row(stage: SimulatedServiceNow, ref: TicketRef) -> dict[str, Any]:
    shown = {"sysparm_exclude_reference_link": "true"}
    return (await stage.rows("change_request", f"sys_id={ref.id}", **shown))[0]


async def test_a_change_is_made_with_our_id_and_key_and_all_its_fields(stages: Stages) -> None:
    async with stages(change=API) as stage:
        ticket = await stage.system.create(draft(assignment_group="Network", impact="2", work_notes="made by an alert"))
        assert (ticket.ref.id, ticket.ref.correlation, ticket.phase, ticket.dropped) == (ID, KEY, Phase.OPEN, ())
        assert ticket.ref.number.startswith("CHG")
        assert (await paths(stage)) == ["/api/sn_chg_rest/v1/change/normal"]
        made = await row(stage, ticket.ref)
        assert (made["type"], made["impact"], made["correlation_display"]) == ("normal", "2", "Azure ITSM Bridge")
        assert "made by an alert" in "".join(await stage.notes(ticket.ref))


async def test_the_first_create_looks_for_the_key_and_the_next_is_one_call(stages: Stages) -> None:
    """Nobody says whether this API keeps our ids, so the first create finds out without risking a second change."""
    async with stages(change=API) as stage:
        await stage.system.create(draft())
        assert await stage.methods() == {"GET": 2, "POST": 1}
        other = Draft(TicketKind.CHANGE_REQUEST, "f" * 32, "alert:1:b", {"short_description": "x"})
        await stage.system.create(other)
        assert await stage.methods() == {"GET": 2, "POST": 2}


@pytest.mark.parametrize("honoured", [True, False])
async def test_a_repeated_create_makes_no_second_change_whatever_becomes_of_our_id(
    stages: Stages, honoured: bool
) -> None:
    async with stages(change=API) as stage:
        await stage.set(honour_client_sys_id=honoured)
        await stage.strike(Fault.LOST_ANSWER)
        with pytest.raises(OutcomeUnknown):
            await stage.system.create(draft())
        await stage.heal()
        async with stages(change=API) as another:  # another worker, which has learnt nothing
            await stage.set(honour_client_sys_id=honoured)
            again = await another.system.create(draft())
            assert (again.ref.id == ID) is honoured
        assert await stage.tickets(TicketKind.CHANGE_REQUEST, KEY) == 1


@pytest.mark.asyncio(loop_scope="function")
async def test_where_ids_are_ignored_each_create_looks_for_the_key_first(instance: Instance, connect: Connect) -> None:
    connector = connect(change=API)
    missing = refusal(404, "No Record found")
    theirs = {"sys_id": "f" * 32, "number": "CHG0030001", "state": "-5", "active": "true", "correlation_id": KEY}
    instance.says(missing, result([]), result(shown(**theirs)), missing, result([theirs]))
    first = await connector.create(draft())
    second = await connector.create(draft())
    assert first.ref == second.ref
    assert connector.honours_ids is False
    assert [call.split()[0] for call in instance.calls] == ["GET", "GET", "POST", "GET", "GET"]


def shown(**values: str) -> dict[str, Any]:
    """A change as this API shows it."""
    plain = {"short_description": "Disk full", "correlation_display": "Azure ITSM Bridge", **values}
    return {name: {"display_value": f"shown {text}", "value": text} for name, text in plain.items()}


@pytest.mark.asyncio(loop_scope="function")
async def test_an_answer_with_a_list_of_one_counts_and_one_of_two_does_not(
    instance: Instance, connect: Connect
) -> None:
    made = shown(sys_id=ID, number="CHG0030001", state="-5", active="true", correlation_id=KEY)
    for answer in ([made], [made, made]):
        instance.says(refusal(404, "No Record found"), result([]), result(answer))
        work = connect(change=API).create(draft())
        if len(answer) == 1:
            assert (await work).ref.id == ID
        else:
            with pytest.raises(OutcomeUnknown):
                await work


@pytest.mark.parametrize("array", [False, True])
async def test_both_shapes_of_its_answers_are_understood(stages: Stages, array: bool) -> None:
    async with stages(change=API) as stage:
        await stage.set(change_api_array=array)
        assert (await stage.system.create(draft())).dropped == ()


async def test_at_the_same_time_it_stays_one_change(stages: Stages) -> None:
    async with stages(change=API) as stage:
        tickets = await asyncio.gather(*(stage.system.create(draft()) for _ in range(4)))
        assert len({ticket.ref for ticket in tickets}) == 1
        assert await stage.tickets(TicketKind.CHANGE_REQUEST, KEY) == 1


@pytest.mark.parametrize("api", ["table", "change_management"])
async def test_the_connection_says_the_type_and_the_template_by_name(stages: Stages, api: str) -> None:
    async with stages(change={"api": api, "type": "standard", "template": TEMPLATE}) as stage:
        ticket = await stage.system.create(draft())
        assert ticket.dropped == ()
        template = await template_of(stage, TEMPLATE)
        made = await row(stage, ticket.ref)
        assert (made["type"], made["std_change_producer_version"]) == ("standard", template["current_version"])
        where = [f"/api/sn_chg_rest/v1/change/standard/{template['sys_id']}"] if api == "change_management" else []
        assert await paths(stage) == where


@pytest.mark.parametrize("api", ["table", "change_management"])
async def test_a_route_differs_from_the_connection_by_its_fields(stages: Stages, api: str) -> None:
    async with stages(change={"api": api, "type": "standard", "template": TEMPLATE}) as stage:
        ticket = await stage.system.create(draft(type="emergency"))
        made = await row(stage, ticket.ref)
        assert (made["type"], made["std_change_producer_version"], ticket.dropped) == ("emergency", "", ())


@pytest.mark.parametrize("api", ["table", "change_management"])
async def test_a_route_may_name_another_template(stages: Stages, api: str) -> None:
    other = "Change the firewall rules"
    async with stages(change={"api": api, "type": "standard", "template": TEMPLATE}) as stage:
        ticket = await stage.system.create(draft(std_change_producer_version=other))
        template = await template_of(stage, other)
        assert (await row(stage, ticket.ref))["std_change_producer_version"] == template["current_version"]


@pytest.mark.parametrize("column", ["sys_id", "current_version"])
@pytest.mark.parametrize("api", ["table", "change_management"])
async def test_a_template_may_be_named_by_its_id_or_by_that_of_its_version(
    stages: Stages, api: str, column: str
) -> None:
    """As public clients and people who copy the id from a change do."""
    async with stages() as stage:
        template = await template_of(stage, TEMPLATE)
    async with stages(change={"api": api, "type": "standard", "template": template[column]}) as stage:
        ticket = await stage.system.create(draft())
        assert (await row(stage, ticket.ref))["std_change_producer_version"] == template["current_version"]
        assert ticket.dropped == ()
        found = lines(await stage.system.check(NEEDS))
        assert found["change_request: template"].verdict is CheckStatus.OK


async def test_the_name_of_a_version_is_not_that_of_its_template(stages: Stages) -> None:
    async with stages(change={**API, "type": "standard", "template": f"{TEMPLATE} - 1"}) as stage:
        assert failed(await stage.system.check(NEEDS)) == ["change_request: template"]


async def test_an_id_that_is_no_template_fails_in_the_check(stages: Stages) -> None:
    async with stages(change={**API, "type": "standard", "template": "f" * 32}) as stage:
        assert failed(await stage.system.check(NEEDS)) == ["change_request: template"]


async def test_a_missing_role_is_named(stages: Stages) -> None:
    async with stages(change=API) as stage:
        text = "ACL Exception Insert Failed due to security constraints"
        await stage.order(type="acl_refuse", detail=text, match={"path": "sn_chg_rest"})
        with pytest.raises(Refused, match="may not insert in change_request") as caught:
            await stage.system.create(draft())
        assert "sn_change_write" in caught.value.advice


async def test_a_template_that_does_not_exist_is_refused_and_nothing_is_made(stages: Stages) -> None:
    async with stages(change={**API, "type": "standard", "template": "Reboot everything"}) as stage:
        with pytest.raises(Refused, match="template") as caught:
            await stage.system.create(draft())
        assert "std_change_record_producer" in caught.value.advice
        assert await stage.tickets(TicketKind.CHANGE_REQUEST, KEY) == 0


async def test_a_rule_that_refuses_a_change_is_named(stages: Stages) -> None:
    async with stages(change=API) as stage:
        with pytest.raises(Refused, match="Validate planned dates"):
            await stage.system.create(draft(start_date="2026-01-02 00:00:00", end_date="2026-01-01 00:00:00"))


async def test_the_check_looks_at_the_api_and_the_template(stages: Stages) -> None:
    async with stages(change={**API, "type": "standard", "template": TEMPLATE}) as stage:
        found = lines(await stage.system.check(NEEDS))
        assert found["change_request: change api"].verdict is CheckStatus.OK
        assert found["change_request: template"].verdict is CheckStatus.OK
    async with stages(change={**API, "type": "standard", "template": "Reboot everything"}) as stage:
        await stage.order(type="acl_refuse", detail="User Not Authorized", match={"path": "sn_chg_rest"})
        findings = await stage.system.check(NEEDS)
        assert failed(findings) == ["change_request: change api", "change_request: template"]


async def test_without_such_settings_the_check_has_no_such_lines(stage: SimulatedServiceNow) -> None:
    names = lines(await stage.system.check(NEEDS)).keys()
    assert not {"change_request: change api", "change_request: template"} & names
