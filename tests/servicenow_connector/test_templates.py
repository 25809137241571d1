"""Form templates by name: their values below what the route and the alert say."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from connectors.servicenow.states import StateOverrides
from connectors.servicenow.tables import ticket_tables
from connectors.servicenow.templates import TABLE, parse_template
from local.servicenow.demo.people import group_id
from shared.core.errors import Throttled
from shared.core.ticket_system import CheckStatus, Draft, LeftOut, Needs, Ticket, TicketKind
from tests.conformance.stage import Fault
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

INCIDENT = ticket_tables(StateOverrides())[TicketKind.INCIDENT]
DEFAULTS = {"short_description": "Disk full", "impact": "3", "urgency": "3"}


async def create(
    stage: SimulatedServiceNow,
    template: str,
    kind: TicketKind = TicketKind.INCIDENT,
    yielding: frozenset[str] = frozenset({"impact", "urgency"}),
    **fields: str,
) -> Ticket:
    draft = Draft(kind, f"{time.monotonic_ns():032x}", "alert:1:a", {**DEFAULTS, **fields})
    return await stage.system.create(replace(draft, template=template, yielding=yielding))


async def stored(stage: SimulatedServiceNow, ticket: Ticket, *names: str) -> list[Any]:
    (row,) = await stage.rows(ticket.ref.kind.value, f"sys_id={ticket.ref.id}", sysparm_exclude_reference_link="true")
    return [row[name] for name in names]


async def test_a_template_replaces_defaults_and_adds_fields(stage: SimulatedServiceNow) -> None:
    ticket = await create(stage, "azure INCIDENT")
    assert (ticket.dropped, ticket.left_out) == ((), ())
    names = ("short_description", "impact", "urgency", "category", "assignment_group")
    assert await stored(stage, ticket, *names) == ["Disk full", "3", "1", "network", group_id("Network")]


async def test_what_the_route_sets_goes_before_the_template(stage: SimulatedServiceNow) -> None:
    ticket = await create(
        stage,
        "Azure incident",
        yielding=frozenset({"impact"}),
        urgency="2",
        category="software",
        assignment_group="Service Desk",
    )
    assert await stored(stage, ticket, "urgency", "category", "assignment_group") == [
        "2",
        "software",
        group_id("Service Desk"),
    ]


async def test_a_problem_has_templates_of_its_own_and_global_ones_serve_all(stage: SimulatedServiceNow) -> None:
    ticket = await create(stage, "Azure problem", TicketKind.PROBLEM)
    assert await stored(stage, ticket, "impact", "urgency", "category") == ["1", "1", "software"]
    assert (await create(stage, "Azure problem")).left_out == (LeftOut("template", "Azure problem", TABLE),)
    for kind in (TicketKind.INCIDENT, TicketKind.PROBLEM):
        assert await stored(stage, await create(stage, "Contoso defaults", kind), "contact_type") == ["email"]


@pytest.mark.parametrize("active", ["true", "false"])
async def test_an_unknown_template_costs_its_values_and_not_the_ticket(stage: SimulatedServiceNow, active: str) -> None:
    await stage.add(TABLE, name="Old" if active == "false" else "Another", table="incident", active=active)
    ticket = await create(stage, "Old")
    assert ticket.left_out == (LeftOut("template", "Old", TABLE),)
    assert await stored(stage, ticket, "short_description", "urgency") == ["Disk full", "3"]


async def test_two_templates_of_one_name_are_ambiguous(stage: SimulatedServiceNow) -> None:
    await stage.add(TABLE, name="Azure incident", table="incident", template="urgency=2^EQ")
    assert (await create(stage, "Azure incident")).left_out == (LeftOut("template", "Azure incident", TABLE, True),)


async def test_a_template_is_read_once_for_many_tickets(stage: SimulatedServiceNow) -> None:
    for _ in range(3):
        await create(stage, "Azure incident")
    assert await stage.requests_to(f"/api/now/table/{TABLE}") == 1


async def test_a_user_who_may_not_read_templates_makes_tickets_without_them(stage: SimulatedServiceNow) -> None:
    await stage.order(type="acl_refuse", match={"table": TABLE})
    ticket = await create(stage, "Azure incident")
    (left_out,) = ticket.left_out
    assert f"the user may not read {TABLE}" in str(left_out)


async def test_a_ticket_waits_while_the_instance_throttles(stage: SimulatedServiceNow) -> None:
    await stage.strike(Fault.THROTTLED)
    with pytest.raises(Throttled):
        await create(stage, "Azure incident")
    await stage.heal()
    assert await stage.tickets(TicketKind.INCIDENT, "alert:1:a") == 0


async def test_the_check_says_what_a_template_sets_and_what_is_wrong_with_it(stage: SimulatedServiceNow) -> None:
    await stage.add(
        TABLE, name="Scripted", table="incident", template="caller_id=javascript:gs.getUserID()^impact=1^EQ"
    )
    needs = Needs(
        frozenset({TicketKind.INCIDENT}),
        {TicketKind.INCIDENT: {}},
        templates={TicketKind.INCIDENT: frozenset({"Azure incident", "Scripted", "No such"})},
    )
    lines = {line.name: line for line in await stage.system.check(needs)}
    good, odd, bad = (lines[f"incident: template {name}"] for name in ("Azure incident", "Scripted", "No such"))
    assert (good.verdict, good.detail) == (CheckStatus.OK, "sets category, urgency, assignment_group")
    assert odd.verdict is CheckStatus.WARNING
    assert "caller_id: template 'Scripted' sets it by a script" in odd.detail
    assert (bad.verdict, "Correct 'template' of the route" in bad.fix) == (CheckStatus.FAILED, True)


@pytest.mark.parametrize(
    ("encoded", "fields"),
    [
        ("impact=2^urgency=1^EQ", {"impact": "2", "urgency": "1"}),
        ("impact=2", {"impact": "2"}),
        ("", {}),
        ("^EQ", {}),
        ("description=a^^b=c^EQ", {"description": "a^b=c"}),
        ("description=x^^^urgency=2^EQ", {"description": "x^", "urgency": "2"}),
        ("description=two\nlines^EQ^urgency=1", {"description": "two\nlines"}),
        ("assignment_group=^urgency=1", {"urgency": "1"}),
        ("state=2^EQ", {"state": "2"}),
    ],
)
async def test_an_encoded_string_is_read_as_servicenow_writes_it(encoded: str, fields: dict[str, str]) -> None:
    found = parse_template("t", encoded, INCIDENT)
    assert (found.fields, found.left_out) == (fields, ())


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("caller_id=javascript:gs.getUserID()", "by a script"),
        ("caller_id= JavaScript:1", "by a script"),
        ("sys_id=0123", "every ticket has its own"),
        ("correlation_id=x", "every ticket has its own"),
        ("number=INC1", "every ticket has its own"),
        ("caller_id.name=Abel", "no field with a value"),
        ("ORimpact=1", "no field with a value"),
        ("impact", "no field with a value"),
        ("state=6", "ends the ticket (Resolved (6))"),
        ("state=7", "ends the ticket"),
    ],
)
async def test_parts_that_cannot_be_used_are_left_out_with_the_reason(part: str, why: str) -> None:
    found = parse_template("Azure", f"urgency=1^{part}^impact=2^EQ", INCIDENT)
    assert found.fields == {"urgency": "1", "impact": "2"}
    (left_out,) = found.left_out
    assert why in str(left_out)
    assert "template 'Azure'" in str(left_out)
