"""A ticket for a control because somebody asks for it: made at once, once, or refused with nothing written."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.config.access import AcceptOnly
from shared.config.load import LoadedConfig
from shared.core.http import Response
from shared.operations.ticket_list import TicketQuery
from tests.asking import ask
from tests.secure_score.world import EVERYTHING, World

ASKS = {"requested_by": "abel.tuter"}


async def file(world: World, control: str, body: object = ASKS) -> tuple[int, dict[str, Any]]:
    """POST /api/secure-score/{control}/ticket."""
    response = await ask(world.scores.ticket, body, control=control)
    return response.status, dict(response.body)


async def shown_before(world: World, control: str, body: object = ASKS) -> dict[str, Any]:
    """POST /api/secure-score/{control}/preview, which must succeed."""
    response = await ask(world.scores.ticket_preview, body, control=control)
    assert response.status == 200, response.body
    return dict(response.body)


async def refused(world: World, control: str, body: object, status: int) -> Response:
    """The problem that a request meets, and the preview of it too; neither may write anything."""
    preview = await ask(world.scores.ticket_preview, body, control=control)
    ticket = await ask(world.scores.ticket, body, control=control)
    assert (ticket.status, preview.status, preview.body) == (status, status, ticket.body)
    assert await world.writes() == 0
    assert world.line.waiting == world.line.later == []
    assert await world.link(control) is None
    return ticket


async def test_a_change_is_made_at_once_with_the_agreed_data(world: World) -> None:
    world.configure()
    due = (world.now() + timedelta(days=30)).date().isoformat()
    body = {
        **ASKS,
        "priority": 2,
        "name": "MFA for every administrator",
        "description": "Auditors ask for it.\nSee the plan of March.",
        "due_date": due,
    }
    status, answer = await file(world, "adminmfav2", body)
    ticket = await world.ticket()
    assert (status, answer["outcome"], answer["control"]) == (201, "created", "AdminMFAV2")
    made = answer["ticket"]
    assert (made["number"], made["id"], made["kind"]) == (ticket["number"], ticket["sys_id"], "change_request")
    assert (list(made), made["connection"]) == (["id", "number", "kind", "connection", "url"], world.desk)
    assert made["url"].startswith(world.instance.url)
    assert ticket["sys_id"] in made["url"]
    assert ticket["short_description"] == (
        "Microsoft 365 Security and Configuration Change Request: MFA for every administrator"
    )
    assert (ticket["requested_by"], ticket["priority"][:1]) == ("Abel Tuter", "2")
    assert (ticket["due_date"], ticket["requested_by_date"]) == (f"{due} 23:59:59", f"{due} 23:59:59")
    for part in (
        "Auditors ask for it.\nSee the plan of March.",
        "Score 6.5 of 10 (65 %).",
        "Task: MFA for every administrator",
        "Recommendation source: Microsoft",
        "Requested by: abel.tuter",
    ):
        assert part in ticket["description"], part
    assert answer["signal"] in ticket["work_notes"]


async def test_asking_again_names_the_ticket_until_it_is_closed(world: World) -> None:
    world.configure(desk={"change": {"type": "standard"}}, states=[{"state": "Closed", "control": "nothing"}])
    _, first = await file(world, "AdminMFAV2", ASKS)
    writes = await world.writes()
    status, again = await file(world, "AdminMFAV2", {**ASKS, "priority": 1})
    assert (status, again["outcome"], again["ticket"]["number"]) == (200, "existing", first["ticket"]["number"])
    assert "not_applied" not in first
    given = [
        name
        for name in ("requested_by", "priority", "name", "description", "due_date")
        if name in {**ASKS, "priority": 1}
    ]
    assert again["not_applied"] == given
    assert await world.writes() == writes
    # Closed by people a moment ago, which the bridge has not heard of yet.
    await world.close_change(first["ticket"]["id"])
    status, third = await file(world, "AdminMFAV2", ASKS)
    assert (status, third["outcome"]) == (201, "created")
    assert third["ticket"]["number"] != first["ticket"]["number"]


async def test_the_due_date_that_the_bridge_set_is_in_the_list_at_once(world: World) -> None:
    world.configure()
    due = f"{world.now() + timedelta(days=9):%Y-%m-%d}"
    _, made = await file(world, "AdminMFAV2", {**ASKS, "due_date": due})
    page = await world.services.ticket_list.page(TicketQuery())
    (row,) = [one for one in page.items if one.id == made["ticket"]["id"]]
    assert row.due is not None
    assert f"{row.due:%Y-%m-%d %H:%M:%S}" == f"{due} 23:59:59"


async def test_many_ask_at_the_same_time(world: World) -> None:
    world.configure()
    answers = await asyncio.gather(*(file(world, "DLPEnabled", ASKS) for _ in range(5)))
    assert {status for status, _ in answers} <= {200, 201, 202}
    await world.work_off()
    assert len(await world.tickets()) == 1


async def test_what_was_asked_for_ends_by_itself_and_is_not_filed_again(world: World) -> None:
    world.configure(ticket="incident")
    await file(world, "AdminMFAV2", ASKS)
    world.configure(EVERYTHING, ticket="incident")
    await world.file(timedelta())
    assert len(await world.tickets("incident")) == 6
    await world.score("AdminMFAV2", 10.0)
    assert (await world.file()).resolved == 1
    assert [row["state_value"] for row in await world.tickets("incident")].count("6") == 1


async def test_an_incident_instead(world: World) -> None:
    world.configure()
    status, answer = await file(world, "DLPEnabled", {**ASKS, "ticket": "incident", "priority": 1})
    ticket = await world.ticket("incident")
    assert (status, answer["ticket"]["kind"], answer["ticket"]["number"]) == (201, "incident", ticket["number"])
    assert (ticket["caller_id"], ticket["priority"][:1]) == ("Abel Tuter", "1")
    assert ticket["short_description"] == "Microsoft 365 Secure Score: Apply Data Loss Prevention policies"


async def test_the_preview_shows_the_ticket_and_writes_nothing(world: World) -> None:
    world.configure(fields={"assignment_group": "Service Desk"})
    shown = await shown_before(world, "DLPEnabled", {**ASKS, "priority": 3})
    fields = shown["ticket"]["fields"]
    assert (shown["ticket"]["kind"], shown["route"], shown["existing"]) == ("change_request", "secure_score", None)
    assert (fields["requested_by"], fields["priority"], fields["impact"], fields["urgency"]) == (
        "abel.tuter",
        "3",
        "2",
        "2",
    )
    assert fields["assignment_group"] == "Service Desk"
    assert await world.writes() == 0
    assert await world.link("DLPEnabled") is None
    _, made = await file(world, "DLPEnabled", ASKS)
    shown = await shown_before(world, "DLPEnabled", ASKS)
    assert shown["existing"] == made["ticket"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "requested_by"),
        ({"requested_by": " "}, "requested_by"),
        ({"requested_by": 7}, "requested_by"),
        ({**ASKS, "priority": 5}, "priority"),
        ({**ASKS, "priority": "2"}, "priority"),
        ({**ASKS, "priority": True}, "priority"),
        ({**ASKS, "due_date": "2020-01-31"}, "due_date"),
        ({**ASKS, "due_date": "2031-02-30"}, "due_date"),
        ({**ASKS, "due_date": "2031-01-31T12:00:00"}, "due_date"),
        ({**ASKS, "due_date": "next week"}, "due_date"),
        ({**ASKS, "name": "two\nlines"}, "name"),
        ({**ASKS, "description": "x" * 3001}, "description"),
        ({**ASKS, "ticket": "problem"}, "ticket"),
        ({**ASKS, "tenant": "00000000-0000-4000-8000-000000000000"}, "tenant"),
        ({**ASKS, "prioritiy": 1}, "prioritiy"),
        ({**ASKS, "priority": 10**30}, "priority"),
        ({**ASKS, "due_date": ["2031-01-31"]}, "due_date"),
        ({**ASKS, "due_date": "9999-12-31T23:59:59-23:00"}, "due_date"),
        ({**ASKS, "description": "a\x00b"}, "description"),
        ({**ASKS, "tenant": {}}, "tenant"),
        ({**ASKS, "name": float("nan")}, ""),
        ({**ASKS, "name": "\ud800"}, ""),
        ([ASKS], ""),
        ("text", ""),
    ],
)
async def test_bodies_with_mistakes(world: World, body: Any, named: str) -> None:
    world.configure()
    problem = await refused(world, "AdminMFAV2", body, 400)
    assert [one["field"] for one in problem.body["errors"]] == [named]


async def test_a_date_in_the_past_and_a_tenant_that_is_not_configured_are_named_together(world: World) -> None:
    world.configure()
    body = {**ASKS, "due_date": "2020-01-31", "tenant": "00000000-0000-4000-8000-000000000000"}
    problem = await refused(world, "AdminMFAV2", body, 400)
    assert [one["field"] for one in problem.body["errors"]] == ["due_date", "tenant"]


async def test_a_due_date_at_the_end_of_the_calendar_is_a_date(world: World) -> None:
    world.configure()
    status, answer = await file(world, "DLPEnabled", {**ASKS, "due_date": "9999-12-31"})
    assert (status, answer["ticket"]["kind"]) == (201, "change_request")


async def test_every_mistake_is_named_at_once(world: World) -> None:
    world.configure()
    problem = await refused(world, "AdminMFAV2", {"priority": 0, "due_date": "x", "prio": 1}, 400)
    errors = {one["field"]: one for one in problem.body["errors"]}
    assert errors.keys() == {"requested_by", "priority", "due_date", "prio"}
    assert errors["prio"]["suggestions"] == ["priority"]


@pytest.mark.parametrize(
    ("control", "status", "said"),
    [
        ("AdminMFAV3", 404, "AdminMFAV2"),
        ("require mfa for admin roles", 404, "AdminMFAV2"),
        ("Nothing/like-it", 404, "no control 'Nothing/like-it'"),
        ("\x00\r\n", 404, "no control"),
        ("x" * 5000, 404, "no control 'xxx"),
        ("NonOwnerAccess", 409, "retired"),
        ("MFARegistrationV2", 409, "full score"),
        ("aad_linkedin_connection_disables", 409, "full score"),
    ],
)
async def test_controls_that_get_no_ticket(world: World, control: str, status: int, said: str) -> None:
    world.configure()
    problem = await refused(world, control, ASKS, status)
    assert said in problem.body["detail"]


async def test_a_control_that_was_settled_in_the_portal(world: World) -> None:
    world.configure()
    await world.settle("DLPEnabled", "ThirdParty")
    problem = await refused(world, "DLPEnabled", ASKS, 409)
    assert "Another product takes care of it" in problem.body["detail"]


async def test_somebody_whom_the_ticket_system_does_not_know(world: World) -> None:
    world.configure()
    problem = await refused(world, "AdminMFAV2", {"requested_by": "able.tuter"}, 422)
    (error,) = problem.body["errors"]
    assert error["field"] == "requested_by"
    assert "abel.tuter@contoso.example" in error["suggestions"]


async def test_fields_of_the_configuration_that_the_table_lacks(world: World) -> None:
    world.configure(fields={"u_secure_score": "{{ signal.details.score }}"})
    problem = await refused(world, "AdminMFAV2", ASKS, 422)
    assert "fields.u_secure_score" in problem.body["detail"]


async def test_what_may_not_become_a_ticket_at_all(world: World) -> None:
    allowed = AcceptOnly.model_validate({"rules": "Apply *"})
    world.services.__dict__["_loaded"] = LoadedConfig(
        world.services.config.model_copy(update={"accept_only": allowed}), ()
    )
    problem = await refused(world, "AdminMFAV2", ASKS, 422)
    assert "accept_only.rules does not allow 'Require MFA for administrative roles'" in problem.body["detail"]
    assert (await file(world, "DLPEnabled", ASKS))[0] == 201


async def test_several_tenants_have_to_be_told_apart(world: World) -> None:
    other = world.clouds.other_tenant_id
    world.configure(tenants=[{"sign_in": world.sign_in()}, {"sign_in": world.sign_in(other)}])
    problem = await refused(world, "AdminMFAV2", ASKS, 400)
    (error,) = problem.body["errors"]
    assert (error["field"], set(error["suggestions"])) == ("tenant", {world.clouds.tenant_id, other})
    status, _ = await file(world, "AdminMFAV2", {**ASKS, "tenant": other.upper()})
    assert status == 201
    assert await world.link("AdminMFAV2") is None
    assert await world.link("AdminMFAV2", other) is not None


async def test_what_may_pass_is_made_later(world: World) -> None:
    world.configure()
    await world.instance_fault("throttle", match={"method": "POST", "table": "change_request"}, times=1)
    status, answer = await file(world, "AdminMFAV2", ASKS)
    assert (status, answer["outcome"]) == (202, "pending")
    unmade = {"id": None, "number": None, "kind": "change_request", "connection": world.desk, "url": None}
    assert answer["ticket"] == unmade
    world.later += timedelta(minutes=2)
    world.line.waiting, world.line.later = world.line.later, []
    await world.work_off()
    assert answer["signal"] in (await world.ticket())["work_notes"]


async def test_an_answer_that_was_lost_makes_no_second_ticket(world: World) -> None:
    world.configure()
    await world.instance_fault("cut_after_commit", match={"method": "POST", "table": "change_request"}, times=1)
    status, _ = await file(world, "AdminMFAV2", ASKS)
    assert status == 202
    assert (await file(world, "AdminMFAV2", ASKS))[0] == 202
    world.line.waiting, world.line.later = world.line.later, []
    await world.work_off()
    assert len(await world.tickets()) == 1
    assert (await file(world, "AdminMFAV2", ASKS))[0] == 200


async def test_microsoft_is_away_or_says_no(world: World) -> None:
    world.configure()
    await world.cloud("throttle", match={"operation": "secureScores/read"}, retry_after=300)
    problem = await refused(world, "AdminMFAV2", ASKS, 503)
    assert problem.headers["Retry-After"] == "60"
    world.configure(tenants=[{"sign_in": world.sign_in(who="lapsed")}])
    problem = await refused(world, "AdminMFAV2", ASKS, 502)
    assert "AADSTS7000222" in problem.body["detail"]


async def test_without_the_section_there_is_nothing_to_ask(world: World) -> None:
    world.services.__dict__["_loaded"] = LoadedConfig(
        world.services.config.model_copy(update={"secure_score": None}), ()
    )
    await refused(world, "AdminMFAV2", ASKS, 404)
    assert await world.scores.poll_scores() == []


async def test_a_throttle_counts_it_and_says_so(world: World) -> None:
    world.configure(throttles=[{"name": "few", "tickets": 1, "per": "1d", "by": "all"}])
    assert (await file(world, "AdminMFAV2", ASKS))[0] == 201
    status, answer = await file(world, "DLPEnabled", ASKS)
    assert (status, answer["outcome"], answer["rule"]) == (202, "throttled", "few")


async def test_what_the_ticket_system_refuses_is_kept(world: World) -> None:
    world.configure()
    await world.instance_fault("business_rule_abort", match={"method": "POST", "table": "change_request"})
    status, answer = await file(world, "AdminMFAV2", ASKS)
    assert status == 502
    assert "dead letter" in answer["detail"]
    assert await world.tickets() == []
