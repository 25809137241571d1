"""Forty days in the life of credentials: one warning for each step, and none for what was replaced."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.checks import run_checks
from connectors.servicenow import ServiceNow
from connectors.servicenow.settings import ServiceNowSettings
from shared.core.errors import StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.log_in import LogIn
from shared.core.secrets import SettingSecrets
from shared.operations.credential_watch import CredentialWatch
from shared.operations.credentials import CredentialReading, log_in_credentials
from shared.operations.measures import Measures
from tests.credentials.conftest import START, World
from tests.credentials.vault import certificate

DAY = timedelta(days=1)


def reason(report: Any) -> list[str]:
    return [one.text for one in report.reasons if one.code == "credential_ends"]


async def lines(world: World) -> dict[str, tuple[str, str]]:
    sections = [one async for one in run_checks(world.services) if one.name == "credentials"]
    return {line.name: (line.verdict.value, line.detail) for section in sections for line in section.lines}


async def test_given_forty_days_when_the_timer_runs_six_times_a_day_and_the_app_restarts_then_each_step_warns_once(
    world: World,
) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 40 * DAY)
    for quarter in range(42 * 6):
        world.at = START + quarter * timedelta(hours=4)
        if quarter % 30 == 0:
            await world.restart()
        if quarter % 3 == 0 or quarter > 39 * 6:
            await world.check()
    warned = world.said("credential_ends")
    assert [one["step"] for one in warned] == [30, 14, 7, 1, 0]
    assert [one["days_left"] for one in warned] == [30, 14, 7, 1, 0]
    assert {one["credential"] for one in warned} == {"desk-key"}
    assert "az keyvault secret set --vault-name contoso --name desk-key" in warned[0]["advice"]
    assert "demo-key-0001" not in str(world.events)
    assert "desk-key" not in world.vault.values_read  # its end needs no value


async def test_given_a_warning_when_a_new_version_is_stored_then_that_is_said_once_and_health_is_well_again(
    world: World,
) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 5 * DAY)
    await world.check()
    report = await world.services.health_report()
    assert reason(report) == ["The secret desk-key (connections.desk.auth.key) ends in 5 days."]
    shown = report.shown()["connections"]["desk"]["log_in"]
    assert shown == {
        "kind": "api_key",
        "user": "",
        "token_ends": None,
        "secret_ends": "2027-03-06T00:00:00.000Z",
        "access_ends": None,
        "days_left": 5,
        "problem": "",
    }
    world.vault.store("desk-key", "demo-key-0002", START + 300 * DAY)
    await world.restart()
    await world.check()
    await world.check()
    assert len(world.said("credential_replaced")) == 1
    assert reason(await world.services.health_report()) == []
    world.at = START + 299 * DAY
    await world.check()
    assert [one["step"] for one in world.said("credential_ends")] == [7, 1]


async def test_given_two_workers_when_both_look_at_once_then_the_warning_is_given_once(world: World) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 20 * DAY)
    other = world.process()
    try:
        await asyncio.gather(world.check(), other.timers.check_credentials())
        await asyncio.gather(world.check(), other.timers.check_credentials())
    finally:
        await other.aclose()
    assert [one["step"] for one in world.said("credential_ends")] == [30]


async def test_given_a_certificate_when_it_ends_before_its_secret_then_its_end_counts(world: World) -> None:
    world.vault.store("other-cert", certificate(START + 6 * DAY), START + 90 * DAY)
    await world.check()
    (warned,) = world.said("credential_ends")
    assert (warned["kind"], warned["step"], warned["places"]) == (
        "certificate",
        7,
        ["connections.other.auth.certificate"],
    )
    assert "Have a new certificate signed" in warned["advice"]
    assert "az keyvault secret set --vault-name contoso --name other-cert" in warned["advice"]
    report = (await world.services.health_report()).shown()
    assert report["connections"]["other"]["log_in"]["days_left"] == 6
    assert report["connections"]["desk"]["log_in"]["days_left"] is None


async def test_given_the_vault_is_away_when_it_was_read_before_then_the_known_end_still_warns(world: World) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 31 * DAY)
    await world.check()
    world.vault.away = True
    world.at = START + 2 * DAY
    result = await world.check()
    await world.check()
    assert result.unread == 3
    assert [one["step"] for one in world.said("credential_ends")] == [30]
    assert [one["credential"] for one in world.said("credential_not_read")] == ["desk-key", "other-cert", "other-key"]
    world.vault.away = False
    await world.check()
    assert (await world.rows())["desk-key"].problem == ""
    assert [one["step"] for one in world.said("credential_ends")] == [30]


async def test_given_a_certificate_that_cannot_be_read_when_looked_at_then_its_secret_is_named_and_not_quoted(
    world: World,
) -> None:
    world.vault.store("other-cert", "-----BEGIN CERTIFICATE-----\ndemo-rubbish\n-----END CERTIFICATE-----")
    await world.check()
    (event,) = world.said("credential_not_read")
    assert event["reason"] == "secret 'other-cert': it holds no certificate that can be read"
    assert (await lines(world))["other-cert"] == ("warning", event["reason"])
    assert "rubbish" not in str(world.events)


async def test_given_secrets_without_an_end_when_checked_then_one_line_says_so(world: World) -> None:
    found = await lines(world)
    assert found["without an end"] == ("ok", "No end is known of: desk-key, other-key")
    assert found["other-cert"][1].endswith("ends in 400 days")
    assert set(found) == {"without an end", "other-cert"}


@pytest.mark.parametrize(("days", "verdict"), [(31, "ok"), (30, "warning"), (0, "failed"), (-3, "failed")])
async def test_given_an_end_when_checked_then_the_verdict_follows_the_days(
    world: World, days: int, verdict: str
) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + days * DAY)
    assert (await lines(world))["desk-key"][0] == verdict


async def test_given_a_dry_run_when_asked_for_then_nothing_is_written_and_the_samples_say_what_ends(
    world: World,
) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 3 * DAY)
    run = JobRun(dry_run=True)
    await world.check(run)
    assert run.samples == ["warn: secret desk-key (connections.desk.auth.key) ends in 3 days"]
    assert await world.rows() == {}
    assert world.said("credential_ends") == []


async def test_given_a_secret_that_the_file_no_longer_names_when_looked_at_then_it_is_forgotten(world: World) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 3 * DAY)
    await world.check()
    world.path.write_text(world.path.read_text().replace("desk-key", "desk-key-2"))
    world.vault.store("desk-key-2", "demo-key-0002", START + 300 * DAY)
    await world.restart()
    await world.check()
    assert set(await world.rows()) == {"desk-key-2", "other-cert", "other-key"}
    assert reason(await world.services.health_report()) == []


async def test_given_warnings_when_counted_then_metrics_have_the_step_and_the_days_left(world: World) -> None:
    world.vault.store("desk-key", "demo-key-0001", START + 3 * DAY)
    await world.check()
    measures = Measures()
    found = [
        (one.name, one.value, dict(one.attributes))
        for event in world.events
        for one in measures.of_event(event["event"], event)
    ]
    assert ("bridge.credential_ends", 1, {"kind": "secret", "step": "7"}) in found
    assert ("bridge.credential_days_left", 3, {}) in found


async def test_given_a_log_in_of_a_person_when_it_ends_then_it_warns_once_and_stays_known_while_it_cannot_be_read(
    world: World,
) -> None:
    ends = START + 6 * DAY + timedelta(microseconds=123456)
    away = False

    async def log_in(_connection: str) -> LogIn:
        if away:
            raise StorageUnavailable("the table does not answer")
        return LogIn("oauth_authorization_code", "azure.bridge", token_ends=ends)

    async def look() -> tuple[list[CredentialReading], list[str]]:
        return await log_in_credentials(["desk"], log_in)

    watch = CredentialWatch(world.services.credentials, look, world.now)
    await watch.run(JobRun())
    await watch.run(JobRun())
    away = True
    result = await watch.run(JobRun())
    assert result.unread == 1
    (row,) = (await world.rows()).values()
    assert (row.id, row.step) == ("log-in:desk", 7)
    (warned,) = world.said("credential_ends")
    assert (warned["kind"], warned["days_left"]) == ("log-in", 6)
    assert "Sign in again as azure.bridge: bridge.py connect desk" in warned["advice"]
    assert reason(await world.services.health_report()) == ["The log-in of connection desk ends in 6 days."]


@pytest.mark.parametrize(
    ("auth", "user"),
    [
        ({"type": "basic", "username": "azure.bridge", "password": {"secret": "s"}}, "azure.bridge"),
        ({"type": "api_key", "key": {"secret": "s"}}, ""),
        ({"type": "oauth_client_credentials", "client_id": "c1", "client_secret": {"secret": "s"}}, "client c1"),
        (
            {
                "type": "oauth_authorization_code",
                "client_id": "c1",
                "client_secret": {"secret": "s"},
                "refresh_token": {"secret": "t"},
            },
            "",
        ),
        (
            {"type": "oauth_jwt_bearer", "client_id": "c1", "private_key": {"secret": "s"}, "key_id": "k"},
            "azure.bridge",
        ),
    ],
)
async def test_a_log_in_says_whose_it_is_and_no_secret(auth: dict[str, Any], user: str) -> None:
    if auth["type"] == "oauth_jwt_bearer":
        auth = auth | {"subject": "azure.bridge"}
    settings = ServiceNowSettings.model_validate(
        {"type": "servicenow", "url": "https://contoso.service-now.com", "auth": auth}
    )
    system = ServiceNow("desk", settings, SettingSecrets({"S": "demo-secret-0001"}))
    assert await system.log_in() == LogIn(auth["type"], user)
    await system.aclose()
