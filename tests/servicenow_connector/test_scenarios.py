"""Days in the life of an instance, played against the simulator."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import NotAuthorised, OutcomeUnknown, Refused, Throttled, Unavailable
from shared.core.ticket_system import Closure, Draft, Note, Phase, Ticket, TicketKind
from tests.servicenow_connector.conftest import Stages
from tests.servicenow_connector.simulated import SimulatedServiceNow

NOTE = Note("Fired again.\n\n[bridge:0123]", "[bridge:0123]")

pytestmark = pytest.mark.asyncio(loop_scope="module")


def draft(name: str = "a", kind: TicketKind = TicketKind.INCIDENT) -> Draft:
    sys_id = hashlib.sha256(name.encode()).hexdigest()[:32]
    return Draft(kind, sys_id, f"alert:1:{name}", {"short_description": "Disk full"})


async def create(system: ServiceNow, name: str = "a", **fields: str) -> Ticket:
    plain = draft(name)
    return await system.create(replace(plain, fields={**plain.fields, **fields}))


# -- logging in ------------------------------------------------------------------------------------------------------

OAUTH = {"client_id": "{client_id}", "client_secret": {"secret": "demo-client-secret"}}
WAYS: dict[str, dict[str, Any]] = {
    "basic": {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}},
    "api_key": {"type": "api_key", "key": {"secret": "demo-api-key"}},
    "client_credentials": {"type": "oauth_client_credentials", **OAUTH},
    "password": {
        "type": "oauth_password",
        **OAUTH,
        "username": "azure.bridge",
        "password": {"secret": "demo-password"},
    },
    "jwt_bearer": {
        "type": "oauth_jwt_bearer",
        **OAUTH,
        "private_key": {"secret": "demo-jwt-key"},
        "key_id": "{jwt_key_id}",
        "subject": "azure.bridge",
    },
    "mutual_tls": {
        "type": "mutual_tls",
        "certificate": {"secret": "demo-cert"},
        "private_key": {"secret": "demo-cert-key"},
    },
}


@pytest.mark.parametrize(
    ("way", "https"), [(way, https) for way in WAYS for https in (False, True) if https or way != "mutual_tls"]
)
async def test_every_way_to_log_in_opens_a_ticket(stages: Stages, way: str, https: bool) -> None:
    async with stages(WAYS[way], https=https) as stage:
        ticket = await create(stage.system)
        assert ticket.dropped == ()
        assert await stage.field(ticket.ref, "sys_created_by") == "azure.bridge"
        assert (await stage.told("/counters"))["cookies_seen"] == 0


@pytest.mark.parametrize("which", ["all", "access"])
@pytest.mark.parametrize("way", ["client_credentials", "password", "jwt_bearer"])
async def test_tokens_that_end_early_are_replaced_in_the_middle_of_the_work(
    stages: Stages, way: str, which: str
) -> None:
    async with stages(WAYS[way]) as stage:
        await create(stage.system, "a")
        await stage.order(type="expire_tokens", which=which)
        await asyncio.gather(*(create(stage.system, name) for name in "bcdef"))
        assert await stage.requests_to("/oauth_token.do") <= 3
        assert len(await stage.rows("incident", "correlation_idSTARTSWITHalert:1:")) == 6


@pytest.mark.parametrize(
    ("client", "secret", "cause"),
    [
        ("scoped_client_id", "demo-scoped-secret", "useraccount"),
        ("userless_client_id", "demo-userless-secret", "OAuth Application User"),
    ],
)
async def test_oauth_clients_that_are_set_up_wrongly_are_explained(
    stages: Stages, client: str, secret: str, cause: str
) -> None:
    auth = {"type": "oauth_client_credentials", "client_id": f"{{{client}}}", "client_secret": {"secret": secret}}
    async with stages(auth) as stage:
        with pytest.raises(NotAuthorised, match=cause):
            await create(stage.system)


@pytest.mark.parametrize("account", ["locked.out", "inactive.user", "needs.reset", "mfa.user"])
async def test_accounts_that_cannot_log_in(stages: Stages, account: str) -> None:
    auth = {"type": "basic", "username": account, "password": {"secret": "demo-account"}}
    async with stages(auth, account=account) as stage:
        with pytest.raises(NotAuthorised):
            await create(stage.system)


async def test_the_tokens_of_a_rotated_secret_are_revoked_and_the_next_call_logs_in_again(stages: Stages) -> None:
    async with stages(WAYS["jwt_bearer"]) as stage:
        await create(stage.system, "a")
        stage.known["DEMO_JWT_KEY"] += "\n"  # another text, and still the key that the instance trusts
        await create(stage.system, "b")
        assert await stage.requests_to("/oauth_token.do") == 2
        assert await stage.requests_to("/oauth_revoke_token.do", status=200) == 1
        await create(stage.system, "c")
        assert await stage.requests_to("/api/now/table/incident", status=201) == 3
        assert await stage.requests_to("/api/now/table/incident") == 3


# -- habits of instances ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["403", "500"])
async def test_a_duplicate_is_recognised_whatever_its_status(stage: SimulatedServiceNow, status: str) -> None:
    await stage.set(duplicate_key_status=status)
    assert (await create(stage.system)).ref == (await create(stage.system)).ref
    assert stage.system.honours_ids is True


async def test_an_instance_that_ignores_ids_still_gets_one_ticket(stage: SimulatedServiceNow) -> None:
    await stage.set(honour_client_sys_id=False)
    first = await create(stage.system, "other")
    assert first.ref.id != draft("other").id
    assert stage.system.honours_ids is False
    await stage.order(type="cut_after_commit", match={"method": ["POST"]}, times=1)
    with pytest.raises(OutcomeUnknown):
        await create(stage.system)
    found = await stage.system.find(TicketKind.INCIDENT, draft().id, draft().correlation)
    assert found is not None
    assert (await create(stage.system)).ref == found.ref
    assert (await stage.told("/violations"))["duplicates"] == []


@pytest.mark.parametrize("scenario", ["unreadable_after_create", "commit_then_403"])
async def test_a_row_that_was_written_although_the_answer_was_403_is_not_written_twice(
    stage: SimulatedServiceNow, scenario: str
) -> None:
    await stage.order(type=scenario, match={"method": ["POST"], "table": ["incident"]}, times=1)
    with pytest.raises(OutcomeUnknown):
        await create(stage.system)
    await stage.heal()
    await create(stage.system)
    assert len(await stage.rows("incident", f"correlation_id={draft().correlation}")) == 1


async def test_a_user_who_may_create_and_not_read_leaves_the_outcome_open(stages: Stages) -> None:
    auth = {"type": "basic", "username": "create.only", "password": {"secret": "demo-account"}}
    async with stages(auth, account="create.only") as stage:
        with pytest.raises(OutcomeUnknown):
            await create(stage.system)
        with pytest.raises((OutcomeUnknown, NotAuthorised)):
            await create(stage.system)
        assert len(await stage.rows("incident", f"correlation_id={draft().correlation}")) == 1


@pytest.mark.parametrize(
    "scenario", ["partial_result", "missing_result", "wrong_content_type", "truncated_json", "session_queue"]
)
async def test_a_look_up_believes_no_200_that_is_not_an_answer(stage: SimulatedServiceNow, scenario: str) -> None:
    ticket = await create(stage.system)
    await stage.order(type=scenario, match={"method": ["GET"], "path": "^/api/"})
    with pytest.raises(Unavailable):
        await stage.system.find(
            TicketKind.INCIDENT, "f" * 32 if scenario == "partial_result" else ticket.ref.id, ticket.ref.correlation
        )


@pytest.mark.parametrize(
    "scenario", ["missing_result", "wrong_content_type", "session_queue", "slow_quota", "maintenance"]
)
async def test_a_write_believes_no_answer_that_proves_nothing(stage: SimulatedServiceNow, scenario: str) -> None:
    await stage.order(type=scenario, match={"method": ["POST", "PATCH"], "path": "^/api/"})
    with pytest.raises(OutcomeUnknown):
        await create(stage.system)


async def test_an_answer_that_comes_too_late_leaves_the_outcome_open_and_the_ticket_is_there(stages: Stages) -> None:
    async with stages(read_timeout="1s") as stage:
        await stage.order(type="timeout_after_commit", seconds=5.0, match={"method": ["POST"]}, times=1)
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await create(stage.system)
        assert await stage.system.find(TicketKind.INCIDENT, draft().id, draft().correlation) is not None


async def test_a_hibernating_instance_redirects(stage: SimulatedServiceNow) -> None:
    await stage.order(type="hibernate", redirect=True)
    with pytest.raises(Unavailable, match="hibernating"):
        await create(stage.system)


async def test_a_real_rate_limit_says_when_it_ends(stage: SimulatedServiceNow) -> None:
    await stage.order(type="rate_limit", limit=3)
    for name in "abc":
        await create(stage.system, name)
    with pytest.raises(Throttled) as caught:
        await create(stage.system, "d")
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 3600


async def test_silently_ignored_fields_are_reported(stage: SimulatedServiceNow) -> None:
    await stage.order(type="drop_field", field="urgency")
    await stage.order(type="overwrite_field", field="category", value="network")
    ticket = await create(stage.system, urgency="1", impact="1", category="software")
    assert ticket.dropped == ("urgency", "category")


async def test_priority_is_computed_and_a_written_one_is_reported(stage: SimulatedServiceNow) -> None:
    assert (await create(stage.system, priority="1", impact="3", urgency="3")).dropped == ("priority",)


async def test_long_and_strange_text_arrives_as_it_was_sent(stage: SimulatedServiceNow) -> None:
    text = "Zeile 1\r\nZeile 2\tTabelle – «Größe» 一 😀 <b>&amp;</b> ^NQ" + "x" * 5000
    ticket = await create(stage.system, description=text, short_description="s" * 300)
    assert ticket.dropped == ()
    assert len(await stage.field(ticket.ref, "short_description")) == 160


async def test_groups_people_and_configuration_items_are_found_by_name(stage: SimulatedServiceNow) -> None:
    (item, *_) = await stage.rows("cmdb_ci_vm_instance", "object_idISNOTEMPTY", sysparm_limit="1")
    (person, *_) = await stage.rows("sys_user", "user_name=abel.tuter")
    ticket = await create(
        stage.system, assignment_group="network", caller_id=person["email"], cmdb_ci=item["object_id"].upper()
    )
    assert ticket.dropped == ()
    (row,) = await stage.rows("incident", f"sys_id={ticket.ref.id}", sysparm_exclude_reference_link="true")
    assert (row["cmdb_ci"], row["caller_id"]) == (item["sys_id"], person["sys_id"])
    assert row["assignment_group"] == "287ebd7da9fe198100f92cc8d1d2154e"
    assert await stage.methods() == {"GET": 3, "POST": 1}


async def test_an_inactive_person_is_not_found(stage: SimulatedServiceNow) -> None:
    assert (await create(stage.system, assigned_to="inactive.user")).dropped == ("assigned_to",)


async def test_a_missing_configuration_item_is_created_once(stages: Stages) -> None:
    resource = (
        "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Web/sites/shop"
    )
    auth = {"type": "basic", "username": "admin", "password": {"secret": "demo-admin-password"}}
    async with stages(auth, ci={"create_missing": True, "class": "cmdb_ci_appl"}) as stage:
        first = await create(stage.system, "a", cmdb_ci=resource)
        second = await create(stage.system, "b", cmdb_ci=resource.lower())
        assert (first.dropped, second.dropped) == ((), ())
        (item,) = await stage.rows("cmdb_ci", f"object_id={resource}")
        assert (item["name"], item["sys_class_name"]) == ("shop", "cmdb_ci_appl")


# -- the end of a ticket ---------------------------------------------------------------------------------------------


async def test_a_closed_incident_whose_writes_are_ignored_comes_back_closed(stage: SimulatedServiceNow) -> None:
    await stage.set(closed_write="ignore")
    ref = (await create(stage.system)).ref
    await stage.close(ref)
    assert (await stage.system.comment(ref, NOTE)).phase is Phase.CLOSED
    ticket = await stage.system.resolve(ref, Closure())
    assert ticket.phase is Phase.CLOSED
    assert "state" in ticket.dropped


async def test_a_data_policy_names_the_fields_it_wants(stage: SimulatedServiceNow) -> None:
    ref = (await create(stage.system)).ref
    with pytest.raises(Refused, match="mandatory fields") as caught:
        await stage.system.resolve(ref, Closure({"close_code": "", "close_notes": ""}))
    assert "Resolution" in caught.value.advice


async def test_notes_are_found_where_their_own_table_is_for_administrators(stage: SimulatedServiceNow) -> None:
    ref = (await create(stage.system)).ref
    await stage.system.comment(ref, NOTE)
    for marker, noted in ((NOTE.marker, True), ("[bridge:other]", False)):
        found = await stage.system.find(ref.kind, ref.id, ref.correlation, marker)
        assert found is not None
        assert found.noted is noted
    await stage.set(hidden_fields={"incident": ["work_notes"]})
    found = await stage.system.find(ref.kind, ref.id, ref.correlation, NOTE.marker)
    assert found is not None
    assert found.noted is not True


async def test_a_storm_of_alerts_makes_one_ticket_each_within_the_limit(stage: SimulatedServiceNow) -> None:
    names = [f"storm-{n}" for n in range(40)] * 2
    tickets = await asyncio.gather(*(create(stage.system, name) for name in names))
    assert len({ticket.ref for ticket in tickets}) == 40
    counters = await stage.told("/counters")
    assert counters["max_in_flight"] <= 4
    assert (await stage.told("/violations"))["duplicates"] == []


async def test_events_make_one_alert_per_key_that_opens_and_clears(stage: SimulatedServiceNow) -> None:
    event = Draft(TicketKind.EVENT, "0" * 32, "alert:1:event", {"severity": "2", "node": "web01"})
    ref = (await stage.system.create(event)).ref
    await stage.system.comment(ref, NOTE)
    await stage.system.resolve(ref, Closure())
    sent = await stage.rows("em_event", "message_key=alert:1:event^ORDERBYsys_created_on")
    assert [(row["severity"], row["resolution_state"]) for row in sent] == [("2", "New"), ("", "New"), ("0", "Closing")]
    (alert,) = await stage.rows("em_alert", "message_key=alert:1:event")
    assert alert["state"] == "Closed"
