"""Tickets that are created through an import set: one for each key, and no row is believed without its status."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from connectors.servicenow import ServiceNow, ServiceNowSettings
from local.servicenow.demo.people import group_id
from shared.core.errors import NotAuthorised, OutcomeUnknown, Refused, TicketSystemError
from shared.core.ticket_system import CheckStatus, Closure, Draft, Needs, Note, Phase, TicketKind, TicketRef
from tests.conformance.stage import Fault
from tests.servicenow_connector.conftest import Connect, Stages
from tests.servicenow_connector.scripted import Asked, Instance, Say, refusal, result
from tests.servicenow_connector.simulated import SimulatedServiceNow

STAGED: dict[str, Any] = {"import_set": {"incident": {"table": "u_azure_incident"}}}
OMS: dict[str, Any] = {"import_set": {"incident": {"table": "x_mioms_microsoft_oms_incident", "prefix": ""}}}
PATH = "/api/now/import/u_azure_incident"
ID, MADE = "0123456789abcdef" * 2, "fedcba9876543210" * 2
KEY = "alert:1:a"
DRAFT = Draft(TicketKind.INCIDENT, ID, KEY, {"short_description": "Disk full", "urgency": "1"}, note="opened")

module = pytest.mark.asyncio(loop_scope="module")


@module
async def test_a_ticket_is_made_with_its_key_its_references_and_its_note(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        draft = replace(DRAFT, fields={**DRAFT.fields, "assignment_group": "Network"})
        ticket = await stage.system.create(draft)
        assert (ticket.phase, ticket.dropped, ticket.ref.correlation) == (Phase.OPEN, (), KEY)
        (row,) = await stage.rows("incident", f"correlation_id={KEY}", sysparm_exclude_reference_link="true")
        assert (row["sys_id"], row["number"]) == (ticket.ref.id, ticket.ref.number)
        assert (row["urgency"], row["assignment_group"]) == ("1", group_id("Network"))
        assert row["correlation_display"] == "Azure ITSM Bridge"
        assert await stage.notes(ticket.ref) == ["opened"]
        assert await stage.requests_to(PATH, 201) == 1
        assert await stage.requests_to("/api/now/table/incident", 201) == 0


@module
async def test_a_staging_table_may_name_its_columns_like_the_tickets(stages: Stages) -> None:
    async with stages(**OMS) as stage:
        ticket = await stage.system.create(DRAFT)
        assert await stage.field(ticket.ref, "short_description") == "Disk full"


@module
async def test_what_follows_goes_through_the_table_api(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        ref = (await stage.system.create(DRAFT)).ref
        await stage.system.comment(ref, Note("Fired again. [bridge:1]", "[bridge:1]"))
        assert (await stage.system.resolve(ref, Closure())).phase is Phase.RESOLVED
        assert await stage.requests_to(PATH) == 1


@module
async def test_a_problem_that_has_ended_already_makes_a_resolved_ticket(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        ticket = await stage.system.create(replace(DRAFT, closure=Closure()))
        assert ticket.phase is Phase.RESOLVED


@module
async def test_a_repeated_create_finds_the_first_ticket(stages: Stages) -> None:
    async with stages(**STAGED) as one, stages(**STAGED) as other:
        first = await one.system.create(DRAFT)
        assert (await other.system.create(DRAFT)).ref == first.ref
        assert await one.tickets(TicketKind.INCIDENT, KEY) == 1


@module
async def test_two_workers_at_once_make_one_ticket(stages: Stages) -> None:
    async with stages(**STAGED) as one, stages(**STAGED) as other:
        made = await asyncio.gather(*(stage.system.create(DRAFT) for stage in (one, other, one, other)))
        assert len({ticket.ref.id for ticket in made}) == 1
        assert await one.tickets(TicketKind.INCIDENT, KEY) == 1


@module
@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.FAILED_ANSWER, Fault.GARBLED_ANSWER])
async def test_a_lost_answer_is_found_out_and_makes_no_second_ticket(stages: Stages, fault: Fault) -> None:
    async with stages(**STAGED) as stage:
        await stage.strike(fault)
        with pytest.raises(OutcomeUnknown):
            await stage.system.create(DRAFT)
        await stage.heal()
        found = await stage.system.find(TicketKind.INCIDENT, ID, KEY)
        assert found is not None
        assert (await stage.system.create(DRAFT)).ref == found.ref
        assert await stage.tickets(TicketKind.INCIDENT, KEY) == 1


@module
async def test_a_closed_ticket_of_another_generation_is_followed_and_never_written(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        first = (await stage.system.create(DRAFT)).ref
        await stage.close(first)
        second = (await stage.system.create(replace(DRAFT, id=MADE, correlation=f"{KEY}#2", follows=first))).ref
        assert second.id != first.id
        (row,) = await stage.rows("incident", f"sys_id={second.id}", sysparm_exclude_reference_link="true")
        assert row["parent"] == first.id


@module
async def test_a_rule_that_refuses_the_record_refuses_the_ticket_and_is_named(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        with pytest.raises(Refused) as caught:
            await stage.system.create(replace(DRAFT, fields={**DRAFT.fields, "state": "Resolved"}))
        assert "data policy" in str(caught.value)
        assert "Resolution notes" in caught.value.advice


@module
async def test_the_check_tells_whether_columns_and_map_are_complete(stages: Stages) -> None:
    needs = Needs(frozenset({TicketKind.INCIDENT}), {TicketKind.INCIDENT: {"short_description": frozenset()}})
    lacking = Needs(needs.kinds, {TicketKind.INCIDENT: {"caller_id": frozenset()}})
    missing = {"import_set": {"incident": {"table": "u_azure_incident", "prefix": "x_"}}}
    elastic = {"import_set": {"incident": {"table": "x_elas2_inc_int_elastic_incident"}}}
    unknown = {"import_set": {"incident": {"table": "u_nothing"}}}
    for settings, wanted, verdicts, said in (
        (STAGED, needs, (CheckStatus.OK, CheckStatus.OK), "coalesces on correlation_id"),
        (STAGED, lacking, (CheckStatus.WARNING, CheckStatus.OK), "has no u_caller_id"),
        (missing, needs, (CheckStatus.FAILED, CheckStatus.OK), "no ticket could be found again"),
        (elastic, needs, (CheckStatus.OK, CheckStatus.WARNING), "two deliveries at the same time"),
        (unknown, needs, (CheckStatus.FAILED, None), "u_nothing"),
    ):
        async with stages(**settings) as stage:
            lines = {line.name: line for line in await stage.system.check(wanted)}
        found = [lines.get("incident: import set"), lines.get("incident: transform map")]
        assert tuple(line.verdict if line else None for line in found) == verdicts, settings
        assert said in " ".join(f"{line.detail} {line.fix}" for line in found if line)


@module
async def test_the_write_test_makes_one_record_through_the_import_set(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        needs = Needs(frozenset({TicketKind.INCIDENT}), {TicketKind.INCIDENT: {}})
        lines = {line.name: line for line in await stage.system.check(needs, probe_writes=True)}
        assert lines["incident: write"].verdict is CheckStatus.OK


@module
async def test_a_user_who_may_not_import_is_told_the_role(stages: Stages) -> None:
    basic = {"type": "basic", "username": "itil", "password": {"secret": "demo-account"}}
    async with stages(basic, account="itil", **STAGED) as stage:
        with pytest.raises(TicketSystemError) as caught:
            await stage.system.create(DRAFT)
    assert isinstance(caught.value, Refused | NotAuthorised)
    assert "import_transformer" in caught.value.advice
    assert "u_azure_incident" in str(caught.value)


def answers(*rows: dict[str, str], record: dict[str, str] | None = None, known: bool = False) -> Any:
    """An instance that answers an import with these results, and reads with a record."""
    row = {"sys_id": MADE, "number": "INC1", "state": "1", "active": "true", "correlation_id": KEY, **(record or {})}

    def say(asked: Asked) -> Say:
        if asked.method == "POST":
            return Say(201, json.dumps({"import_set": "ISET1", "staging_table": "u_azure_incident", "result": rows}))
        if "sysparm_query" in asked.query:
            posted = any(one.method == "POST" for one in INSTANCES[0].asked)
            return result([row] if known and posted else [])
        return result(row) if asked.path.endswith(MADE) else refusal(404, "No Record found", "ACL")

    return say


INSTANCES: list[Instance] = []


@pytest.fixture
def staged(instance: Instance, connect: Connect) -> ServiceNow:
    INSTANCES[:] = [instance]
    return connect(**STAGED)


def row(status: str, **more: str) -> dict[str, str]:
    return {"transform_map": "Azure Incident", "table": "incident", "status": status, **more}


@pytest.mark.parametrize(
    ("results", "error", "said"),
    [
        ([row("ignored", sys_id=MADE)], Refused, "ignored the row"),
        ([row("skipped", status_message="no coalesce value")], Refused, "skipped the row"),
        ([row("pending")], OutcomeUnknown, "not transformed yet"),
        ([row("delayed")], OutcomeUnknown, "'delayed', which is not known"),
        ([row("")], OutcomeUnknown, "not known"),
        ([row("error", error_message="Target record not found")], Refused, "coalesces on a column"),
        ([row("error", error_message="Invalid table incidnt")], Refused, "target table of the transform map"),
        ([row("error", error_message="Invalid staging table")], Refused, "Correct 'import_set'"),
        ([row("error", error_message="Operation aborted by Business Rule 'Must have caller'")], Refused, "Must have"),
        ([row("error", error_message="Data Policy Exception: Category is mandatory")], Refused, "Category"),
        ([row("error", error_message="Something else")], Refused, "Something else"),
        ([row("error", error_message="maximum execution time exceeded")], OutcomeUnknown, "ran out of time"),
        ([row("error", error_message="Error during insert of incident")], OutcomeUnknown, "as for a duplicate"),
        ([{**row("inserted", sys_id=MADE), "table": "sys_user"}], Refused, "the row became sys_user"),
        ([], Refused, "no transform map"),
        ([row("inserted")], OutcomeUnknown, "does not say which record"),
    ],
)
async def test_only_inserted_and_updated_are_a_ticket(
    instance: Instance, staged: ServiceNow, results: list[dict[str, str]], error: type[TicketSystemError], said: str
) -> None:
    instance.handler = answers(*results)
    with pytest.raises(error) as caught:
        await staged.create(DRAFT)
    assert said in f"{caught.value} {caught.value.advice}"
    assert caught.value.advice


@pytest.mark.parametrize("status", ["ignored", "skipped", "error"])
async def test_a_row_that_changed_nothing_is_a_success_where_the_ticket_is_there(
    instance: Instance, staged: ServiceNow, status: str
) -> None:
    """Another worker made it between the look and the row, or the map wrote what was there already."""
    instance.handler = answers(row(status), known=True)
    assert (await staged.create(DRAFT)).ref.id == MADE


async def test_of_several_maps_the_one_that_leads_to_the_ticket_counts(instance: Instance, staged: ServiceNow) -> None:
    other = {"transform_map": "Audit", "table": "u_audit", "status": "error", "error_message": "x"}
    instance.handler = answers(other, row("inserted", sys_id=MADE))
    assert (await staged.create(DRAFT)).ref == TicketRef(
        TicketKind.INCIDENT, MADE, KEY, "INC1", f"{instance.url}/nav_to.do?uri=incident.do%3Fsys_id%3D{MADE}"
    )


async def test_a_map_that_writes_into_another_ticket_is_refused(instance: Instance, staged: ServiceNow) -> None:
    instance.handler = answers(row("updated", sys_id=MADE), record={"correlation_id": "somebody's"})
    with pytest.raises(Refused, match="wrote into INC1, which is another ticket") as caught:
        await staged.create(DRAFT)
    assert "coalesce on the column of correlation_id" in caught.value.advice


async def test_fields_that_the_map_forgot_are_reported(instance: Instance, staged: ServiceNow) -> None:
    instance.handler = answers(row("inserted", sys_id=MADE), record={"short_description": "Disk full", "urgency": "3"})
    ticket = await staged.create(DRAFT)
    assert ticket.dropped == ("urgency", "correlation_display")


async def test_a_record_that_cannot_be_read_back_leaves_the_outcome_open(
    instance: Instance, staged: ServiceNow
) -> None:
    instance.handler = answers(row("inserted", sys_id=ID))
    with pytest.raises(OutcomeUnknown, match="reading it failed"):
        await staged.create(DRAFT)


async def test_a_staging_table_without_a_map_is_refused_with_advice(instance: Instance, staged: ServiceNow) -> None:
    instance.handler = lambda asked: (
        refusal(500, "null value in entry: transform_map=null") if asked.method == "POST" else result([])
    )
    with pytest.raises(Refused) as caught:
        await staged.create(DRAFT)
    assert "Make a transform map" in caught.value.advice


def test_changes_are_made_by_one_way_only() -> None:
    settings = {
        "type": "servicenow",
        "url": "https://contoso.service-now.com",
        "auth": {"type": "api_key", "key": {"secret": "key"}},
        "change": {"api": "change_management"},
        "import_set": {"change_request": {"table": "u_changes"}},
    }
    with pytest.raises(ValueError, match="either through an import set or by the Change Management API"):
        ServiceNowSettings.model_validate(settings)


@module
async def test_other_kinds_are_inserted_directly(stages: Stages) -> None:
    async with stages(**STAGED) as stage:
        assert isinstance(stage, SimulatedServiceNow)
        await stage.system.create(replace(DRAFT, kind=TicketKind.PROBLEM))
        assert await stage.requests_to("/api/now/table/problem") == 1
        assert await stage.requests_to(PATH) == 0
