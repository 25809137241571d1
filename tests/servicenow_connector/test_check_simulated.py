"""The connection check against the simulator: what is wrong, and what to do about it."""

from __future__ import annotations

import pytest

from connectors.servicenow.auth.advice import refused_credentials
from connectors.servicenow.settings import ServiceNowSettings
from shared.core.ticket_system import CheckStatus, Draft, Needs, TicketKind
from tests.conformance.stage import Fault
from tests.servicenow_connector.conftest import Stages
from tests.servicenow_connector.findings import ALL, failed, lines, needs
from tests.servicenow_connector.simulated import SimulatedServiceNow

WAYS = "other ways to this instance"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_sound_connection_says_who_we_are_and_what_was_not_tested(stage: SimulatedServiceNow) -> None:
    findings = await stage.system.check(ALL)
    assert failed(findings) == []
    found = lines(findings)
    assert list(found)[:7] == ["secrets", "reachable", "awake", "authenticated", "api access", "user", "roles"]
    assert "'azure.bridge'" in found["user"].detail
    assert "itil" in found["roles"].detail
    assert found["incident: write"].verdict is CheckStatus.WARNING
    assert "not tested" in found["incident: write"].detail
    assert found["event: role"].verdict is CheckStatus.OK
    assert (await stage.told("/journal"))["journal"] == []


async def test_every_line_that_is_not_fine_says_what_to_do(stage: SimulatedServiceNow) -> None:
    await stage.set(close_codes="older", hidden_fields={"incident": ["state"]})
    findings = await stage.system.check(needs(u_nope="x", contact_type="Phone", assignment_group="Netwrk", urgency="9"))
    for finding in findings:
        if finding.verdict is CheckStatus.FAILED:
            assert finding.fix, finding


@pytest.mark.parametrize(
    ("constants", "line", "detail", "fix"),
    [
        ({"u_nope": None}, "incident: fields", "no u_nope", "Correct the names"),
        ({"contact_type": "Phone"}, "incident: contact_type", "does not know Phone", "'phone' for 'Phone'"),
        ({"impact": "9"}, "incident: impact", "1 (1 - High)", "in the routes"),
        ({"state": "99"}, "incident: state", "does not know 99", "'states' of the connection"),
        ({"assignment_group": "Netwrk"}, "incident: assignment_group", "matches 'Netwrk'", "Correct the name"),
    ],
)
async def test_constants_that_the_instance_does_not_know(
    stage: SimulatedServiceNow, constants: dict[str, str | None], line: str, detail: str, fix: str
) -> None:
    findings = await stage.system.check(needs(**constants))
    assert failed(findings) == [line]
    assert detail in lines(findings)[line].detail
    assert fix in lines(findings)[line].fix


async def test_constants_that_the_instance_knows(stage: SimulatedServiceNow) -> None:
    findings = await stage.system.check(
        needs(assignment_group="Network", impact="1", contact_type="phone", category=None)
    )
    assert failed(findings) == []


async def test_close_codes_of_an_older_instance_are_noticed(stage: SimulatedServiceNow) -> None:
    await stage.set(close_codes="older")
    finding = lines(await stage.system.check(needs()))["incident: close_code"]
    assert finding.verdict is CheckStatus.FAILED
    assert "Solved (Permanently)" in finding.detail
    assert failed(await stage.system.check(needs(close_code="Solved (Permanently)"))) == []


async def test_states_of_the_connection_are_checked(stages: Stages) -> None:
    async with stages(states={"incident": {"resolved": "60"}}) as other:
        findings = await other.system.check(needs())
    assert failed(findings) == ["incident: state"]


async def test_states_may_be_written_by_their_names(stages: Stages) -> None:
    async with stages(states={"incident": {"names": {"6": "Erledigt"}, "resolved": "Erledigt"}}) as other:
        assert failed(await other.system.check(needs(state="In Progress"))) == []
        assert failed(await other.system.check(needs(state="In Arbeit"))) == ["incident: state"]


async def test_steps_that_the_instance_does_not_know_are_named(stages: Stages) -> None:
    wanted = Needs(frozenset({TicketKind.PROBLEM}), {})
    async with stages(states={"problem": {"steps": ["102", "105"]}}) as other:
        finding = lines(await other.system.check(wanted))["problem: state"]
    assert finding.verdict is CheckStatus.FAILED
    assert "105" in finding.detail


async def test_fields_that_the_user_cannot_read_are_named(stage: SimulatedServiceNow) -> None:
    await stage.set(hidden_fields={"incident": ["correlation_id", "state"]})
    finding = lines(await stage.system.check(needs()))["incident: read"]
    assert finding.verdict is CheckStatus.FAILED
    assert "state, correlation_id" in finding.detail


async def test_without_what_reading_changes_needs_there_is_a_warning(stage: SimulatedServiceNow) -> None:
    assert "incident: changes" not in lines(await stage.system.check(needs()))
    await stage.set(hidden_fields={"incident": ["correlation_display", "sys_mod_count"]})
    finding = lines(await stage.system.check(needs()))["incident: changes"]
    assert finding.verdict is CheckStatus.WARNING
    assert "correlation_display, sys_mod_count" in finding.detail


async def test_an_administrator_is_warned_about(stages: Stages) -> None:
    auth = {"type": "basic", "username": "admin", "password": {"secret": "demo-admin-password"}}
    async with stages(auth) as stage:
        finding = lines(await stage.system.check(needs()))["roles"]
    assert finding.verdict is CheckStatus.WARNING
    assert "closed tickets" in finding.detail


async def test_a_user_without_roles_fails_at_the_tables(stages: Stages) -> None:
    auth = {"type": "basic", "username": "no.roles", "password": {"secret": "demo-account"}}
    async with stages(auth, account="no.roles") as stage:
        findings = await stage.system.check(ALL)
    found = lines(findings)
    assert found["api access"].verdict is CheckStatus.OK
    assert found["incident: read"].verdict is CheckStatus.FAILED
    assert "itil" in found["incident: read"].fix
    assert found["event: role"].verdict is not CheckStatus.OK


async def test_a_rate_limit_rule_is_shown(stage: SimulatedServiceNow) -> None:
    await stage.order(type="rate_limit", limit=5000)
    assert "5000 calls per hour" in lines(await stage.system.check(needs()))["rate limit"].detail


async def test_the_write_test_proves_that_a_repetition_makes_no_second_ticket_and_tidies_up(
    stage: SimulatedServiceNow,
) -> None:
    findings = await stage.system.check(ALL, probe_writes=True)
    assert failed(findings) == []
    found = lines(findings)
    for kind in ("incident", "problem", "change_request"):
        assert "no second one" in found[f"{kind}: write"].detail
        assert "was ended" in found[f"{kind}: clean-up"].detail
        assert await stage.rows(kind, "correlation_idSTARTSWITHcheck:1:^active=true^stateIN1,101,-5") == []
    assert "clearing event was sent" in found["event: write"].detail
    (event,) = await stage.rows("em_event", "message_keySTARTSWITHcheck:1:")
    assert (event["severity"], event["resolution_state"]) == ("0", "Closing")


async def test_the_write_test_of_an_administrator_leaves_nothing(stages: Stages) -> None:
    auth = {"type": "basic", "username": "admin", "password": {"secret": "demo-admin-password"}}
    async with stages(auth) as stage:
        findings = await stage.system.check(needs(), probe_writes=True)
        assert "deleted again" in lines(findings)["incident: clean-up"].detail
        assert await stage.rows("incident", "correlation_idSTARTSWITHcheck:1:") == []


async def test_the_write_test_notices_an_instance_that_ignores_ids(stage: SimulatedServiceNow) -> None:
    await stage.set(honour_client_sys_id=False)
    finding = lines(await stage.system.check(needs(), probe_writes=True))["incident: write"]
    assert finding.verdict is CheckStatus.WARNING
    assert "ignores the sys_id" in finding.detail


async def test_the_write_test_notices_an_instance_on_which_create_cannot_be_repeated(
    stage: SimulatedServiceNow,
) -> None:
    await stage.set(honour_client_sys_id=False, read_only_fields={"incident": ["correlation_id"]})
    findings = await stage.system.check(needs(), probe_writes=True)
    finding = lines(findings)["incident: write"]
    assert finding.verdict is CheckStatus.FAILED
    assert "made two" in finding.detail
    assert len([f for f in findings if f.name == "incident: clean-up"]) == 2


async def test_the_write_test_says_what_a_missing_right_costs(stage: SimulatedServiceNow) -> None:
    await stage.order(type="acl_refuse", match={"method": ["POST"], "path": "^/api/"})
    findings = await stage.system.check(ALL, probe_writes=True)
    assert failed(findings) == ["incident: write", "change_request: write", "problem: write", "event: write"]
    assert "role" in lines(findings)["incident: write"].fix


async def test_a_probe_that_cannot_be_ended_says_its_number(stage: SimulatedServiceNow) -> None:
    await stage.order(type="business_rule_abort", match={"method": ["PATCH"]})
    finding = lines(await stage.system.check(needs(), probe_writes=True))["incident: clean-up"]
    assert finding.verdict is CheckStatus.WARNING
    assert "by hand" in finding.fix
    assert "INC" in finding.detail


PROBLEMS = Needs(frozenset({TicketKind.PROBLEM}), {})
RESOURCE = {"state_resource": "/api/x_demo/azure_itsm_bridge/problem"}


@pytest.mark.parametrize(
    ("habit", "resource", "verdict"),
    [
        ("checked", False, CheckStatus.OK),
        ("ignored", False, CheckStatus.WARNING),
        ("aborted", False, CheckStatus.WARNING),
        ("checked", True, CheckStatus.OK),
        ("ignored", True, CheckStatus.OK),
        ("aborted", True, CheckStatus.OK),
    ],
)
async def test_the_write_test_says_before_production_whether_problems_can_be_resolved(
    stages: Stages, habit: str, resource: bool, verdict: CheckStatus
) -> None:
    async with stages(**{"problem": RESOURCE} if resource else {}) as stage:
        await stage.set(problem_transitions=habit)
        finding = lines(await stage.system.check(PROBLEMS, probe_writes=True))["problem: states"]
        assert finding.verdict is verdict
        if verdict is CheckStatus.WARNING:
            assert "get a note and stay open" in finding.detail
            assert "Problems since Rome" in finding.fix
            assert "problem.state_resource" in finding.fix
        else:
            assert "can be resolved" in finding.detail


async def test_the_write_test_names_a_resource_that_is_not_there(stages: Stages) -> None:
    async with stages(problem={"state_resource": "/api/x_demo/nowhere/problem"}) as stage:
        findings = await stage.system.check(PROBLEMS, probe_writes=True)
        assert failed(findings) == ["problem: states"]
        assert "/api/x_demo/nowhere/problem" in lines(findings)["problem: states"].detail


REFUSED = (
    ({"type": "api_key", "key": {"secret": "demo-account"}}, ("REST API Key", "x-sn-apikey", "demo-account")),
    (
        {"type": "api_key", "key": {"secret": "demo-api-key"}, "header": "x-other"},
        ("takes the header 'x-other'", "access policy"),
    ),
    (
        {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-account"}},
        ("the secret 'demo-account'", "basic authentication restriction"),
    ),
)


@pytest.mark.parametrize(("auth", "advice"), REFUSED)
async def test_the_advice_for_refused_credentials_fits_the_kind_of_log_in(
    stages: Stages, auth: dict[str, object], advice: tuple[str, ...]
) -> None:
    async with stages(auth, account="no.roles") as stage:
        stage.known["DEMO_ACCOUNT"] = "expired"
        findings = await stage.system.check(needs())
    assert failed(findings) == ["authenticated"]
    fix = lines(findings)["authenticated"].fix
    assert all(part in fix for part in advice)
    if auth["type"] == "api_key":
        assert "password" not in fix
        assert "basic" not in fix


_CLIENT = {"client_id": "{client_id}", "client_secret": {"secret": "demo-client-secret"}}

REFUSED_TOKENS = (
    (
        {"type": "oauth_client_credentials", **_CLIENT},
        ("OAuth Application User who is active", "credential.grant_type.enabled"),
        ("user name and password", "JWT", "REST API Key", "basic"),
    ),
    (
        {"type": "oauth_password", "username": "azure.bridge", "password": {"secret": "demo-password"}, **_CLIENT},
        ("user name and password", "ropc.grant_type.disabled"),
        ("JWT", "OAuth Application User", "basic"),
    ),
    (
        {
            "type": "oauth_jwt_bearer",
            "private_key": {"secret": "demo-jwt-key"},
            "key_id": "unknown",
            "subject": "azure.bridge",
            **_CLIENT,
        },
        ("JWT verifier map", "has not ended", "both clocks agree"),
        ("user name and password", "OAuth Application User", "basic"),
    ),
)


@pytest.mark.parametrize(("auth", "advice", "never"), REFUSED_TOKENS)
async def test_the_advice_for_a_refused_token_names_only_what_this_grant_uses(
    stages: Stages, auth: dict[str, object], advice: tuple[str, ...], never: tuple[str, ...]
) -> None:
    async with stages(auth) as stage:
        stage.known["DEMO_CLIENT_SECRET"] = "expired"
        findings = await stage.system.check(needs())
    (name,) = failed(findings)
    fix = lines(findings)[name].fix
    assert all(part in fix for part in advice)
    assert not any(part in fix for part in never)


@pytest.mark.parametrize(
    ("auth", "whose"),
    [
        (REFUSED_TOKENS[0][0], "the OAuth Application User of the record"),
        (REFUSED_TOKENS[1][0], "the user 'azure.bridge'"),
        (REFUSED_TOKENS[2][0], "the user whom the subject 'azure.bridge' names"),
    ],
)
async def test_the_advice_for_a_token_that_is_issued_and_refused_names_its_user(
    auth: dict[str, object], whose: str
) -> None:
    settings = ServiceNowSettings.model_validate(
        {"type": "servicenow", "url": "https://contoso.service-now.com", "auth": auth}
    )
    assert whose in refused_credentials(settings.auth)
    assert "basic" not in refused_credentials(settings.auth)


async def test_an_unmapped_certificate_is_answered_with_advice_about_certificates(stages: Stages) -> None:
    auth = {
        "type": "mutual_tls",
        "certificate": {"secret": "demo-cert"},
        "private_key": {"secret": "demo-cert-key"},
    }
    async with stages(auth, https=True) as stage:
        await stage.strike(Fault.NOT_AUTHORISED)
        findings = await stage.system.check(needs())
        await stage.heal()
    assert failed(findings) == ["authenticated"]
    assert "Map the certificate of the secret 'demo-cert'" in lines(findings)["authenticated"].fix


@pytest.mark.parametrize(
    ("user", "detail", "fix"),
    [("no.roles", "no roles", "Give it itil"), ("read.only", "snc_read_only", "Take the role snc_read_only away")],
)
async def test_a_user_that_may_write_nothing_fails_the_check(stages: Stages, user: str, detail: str, fix: str) -> None:
    auth = {"type": "basic", "username": user, "password": {"secret": "demo-account"}}
    async with stages(auth, account=user) as stage:
        await stage.set(read_refusal="empty")  # nothing else says that the user may not
        findings = await stage.system.check(needs())
    assert failed(findings) == ["roles"]
    assert detail in lines(findings)["roles"].detail
    assert fix in lines(findings)["roles"].fix


async def test_owners_that_the_configuration_names_are_looked_up(stage: SimulatedServiceNow) -> None:
    wanted = Needs(frozenset(), {}, frozenset({"beth.anglin", "David Loo", "Network", "nobody@contoso.example"}))
    findings = await stage.system.check(wanted)
    assert failed(findings) == ["owner nobody@contoso.example"]
    found = lines(findings)
    assert "Beth Anglin" in found["owner beth.anglin"].detail
    assert "is the group Network" in found["owner Network"].detail
    assert "governance rule" in found["owner nobody@contoso.example"].fix


async def test_tickets_of_another_connector_about_the_same_alerts_are_found(stage: SimulatedServiceNow) -> None:
    alert = "9f1e2d3c-0000-4000-8000-0000000000ab"
    path = f"/subscriptions/s/providers/Microsoft.AlertsManagement/alerts/{alert}"
    other = path.replace("00ab", "00ac")
    assert WAYS not in lines(await stage.system.check(ALL))
    await stage.add("incident", description=f'{{"alertId": "{path}"}}', short_description="made by ITSMC")
    await stage.add("incident", description=f'{{"alertId": "{other}"}}', short_description="made by ITSMC, not by us")
    assert WAYS not in lines(await stage.system.check(ALL)), "the bridge has no ticket for these alerts"
    ours = Draft(
        kind=TicketKind.INCIDENT,
        id="ab" * 16,
        correlation=f"alert:1:{alert}",
        fields={"short_description": "cpu high", "description": f"see {path}"},
    )
    ticket = await stage.system.create(ours)
    found = lines(await stage.system.check(ALL))[WAYS]
    assert found.verdict is CheckStatus.WARNING
    assert found.detail.startswith("1 of the newest alerts have a ticket of somebody else, too (INC")
    assert ticket.ref.number in found.detail
    assert "out of the action groups" in found.fix
