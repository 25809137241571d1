"""What ``bridge.py check`` says of Microsoft's services, asked of their stand-ins over TLS, as signed in by the real
libraries. There is no storage: a check that touches it fails."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.container import Container
from app.sources import check
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints
from local.azure import Simulator, running
from shared.core.plugins import SectionCheck
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import CheckLine, CheckStatus
from tests.azure_simulator.support import ARM, GRAPH, NO_AUTHORITIES

ROOT = Path(__file__).parents[2]
OK, WARNING, FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED
PERMISSIONS = "Microsoft.Authorization/permissions/read"
CHANGE_STATE = "Microsoft.AlertsManagement/alerts/changestate/action"
ASSIGNMENTS = "Microsoft.Security/assessments/governanceAssignments"

Said = dict[str, dict[str, CheckLine]]


class World:
    """The clouds, and configurations that ask for them."""

    def __init__(self, clouds: Simulator, control: httpx.AsyncClient, folder: Path) -> None:
        self.clouds = clouds
        self.control = control
        self.folder = folder
        self.later = timedelta()
        self.production, self.development = clouds.subscriptions
        (self.retail,) = clouds.other_subscriptions
        self.reach = CloudEndpoints(
            Endpoint(clouds.https_url, ARM),
            clouds.https_url,
            ssl.create_default_context(cafile=clouds.ca_file),
            {"disable_instance_discovery": True, "connection_verify": clouds.ca_file},
            Endpoint(clouds.https_url, GRAPH),
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def sign_in(self, who: str = "bridge", **changes: Any) -> dict[str, Any]:
        client = self.clouds.client_id if who == "bridge" else getattr(self.clouds, f"{who}_client_id")
        return {
            "tenant": self.clouds.tenant_id,
            "client_id": client,
            "client_secret": {"secret": f"secret-of-{who}"},
            **changes,
        }

    def everything(self, who: str = "bridge") -> dict[str, Any]:
        """All sections, as one identity."""
        return {
            "reconcile": {"subscriptions": [{"id": self.development, "sign_in": self.sign_in(who)}]},
            "resync": {"alerts": {}},
            "defender": self.defender(who),
            "secure_score": {"connection": "desk", "tenants": [{"sign_in": self.sign_in(who)}]},
        }

    def defender(self, who: str = "bridge", **tenant: Any) -> dict[str, Any]:
        return {
            "tenants": [{"sign_in": self.sign_in(who), **tenant}],
            "poll": {"kinds": ["recommendation", "sub_assessment", "security_alert"]},
            "integrations": [{"name": "all", "connection": "desk"}],
            "governance": [{"name": "by tag", "owner": {"tag": "owner"}}],
        }

    def write(self, sections: dict[str, Any]) -> Path:
        desk = {
            "type": "servicenow",
            "url": "https://contoso.service-now.com",
            "auth": {"type": "api_key", "key": {"secret": "desk-key"}},
        }
        path = self.folder / "bridge.yaml"
        path.write_text(
            yaml.safe_dump({"version": 1, "connections": {"desk": desk}, "default": {"connection": "desk"}, **sections})
        )
        return path

    @property
    def secrets(self) -> dict[str, str]:
        names = ("reader", "stranger", "lapsed")
        return {
            "SECRET_OF_BRIDGE": self.clouds.client_secret,
            **{f"SECRET_OF_{name.upper()}": getattr(self.clouds, f"{name}_client_secret") for name in names},
        }

    def services(self, sections: dict[str, Any]) -> Container:
        return Container(
            {"BRIDGE_CONFIG": str(self.write(sections))},
            now=self.now,
            secrets=SettingSecrets(self.secrets),
            given=(self.reach,),
        )

    async def check(self, sections: dict[str, Any]) -> Said:
        """What is said, by section and line."""
        async with aclosing(self.services(sections)) as services:
            found = said(await check(services.sources))
            assert "storage" not in services.__dict__
        every = [line for lines in found.values() for line in lines.values()]
        assert all(line.fix for line in every if line.verdict is FAILED)
        assert not [one for one in self.secrets.values() if one in str(every)]
        return found

    async def tell(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.control.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def said(checked: list[SectionCheck]) -> Said:
    found = {one.name: {line.name: line for line in one.lines} for one in checked}
    assert all(len(found[one.name]) == len(one.lines) for one in checked), "two lines of one name"
    return found


def verdicts(lines: dict[str, CheckLine]) -> dict[str, CheckStatus]:
    """By what was looked at, for one subject."""
    return {name.partition(": ")[2]: line.verdict for name, line in lines.items()}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def world(certificates: Path, tmp_path: Path) -> AsyncIterator[World]:
    async with (
        running(certificates=certificates) as clouds,
        httpx.AsyncClient(base_url=clouds.control_url, verify=NO_AUTHORITIES) as control,
    ):
        yield World(clouds, control, tmp_path)


async def test_all_is_well_and_nothing_is_written(world: World) -> None:
    found = await world.check(world.everything())
    assert {name: verdicts(lines) for name, lines in found.items()} == {
        "reconcile": {"sign-in": OK, "alerts": OK},
        "resync.alerts": {"sign-in": OK, "alerts": OK, "change state": OK},
        "defender": {
            "sign-in": OK,
            "Resource Graph": OK,
            "subscriptions": OK,
            "recommendations": OK,
            "sub-assessments": OK,
            "security alerts": OK,
            "tags": OK,
            "governance assignments": OK,
            "Defender CSPM": WARNING,
        },
        "secure_score": {"sign-in": OK, "controls": OK, "score": OK, "write back": OK},
    }
    assert list(found["reconcile"]) == [f"{world.development}: sign-in", f"{world.development}: alerts"]
    assert "2 can be seen" in found["defender"][f"{world.clouds.tenant_id}: subscriptions"].detail
    counted = (await world.tell("GET", "/counters"))["by_method_and_operation"]
    done = {name: count for name, count in counted.items() if "/" in name}
    assert done == {
        "GET Microsoft.AlertsManagement/alerts/read": 2,
        "GET Microsoft.Authorization/permissions/read": 2,
        "POST Microsoft.ResourceGraph/resources/read": 5,
        "GET secureScoreControlProfiles/read": 1,
        "GET secureScores/read": 1,
    }, "no call more than it takes"


async def test_who_has_no_rights_is_told_which_to_give(world: World) -> None:
    found = await world.check(world.everything("stranger"))
    assert {name: verdicts(lines) for name, lines in found.items()} == {
        "reconcile": {"sign-in": OK, "alerts": FAILED},
        "resync.alerts": {"sign-in": OK, "alerts": FAILED},
        "defender": {"sign-in": OK, "Resource Graph": OK, "subscriptions": FAILED},
        "secure_score": {"sign-in": OK, "controls": FAILED, "score": FAILED, "write back": FAILED},
    }
    tenant = world.clouds.tenant_id
    alerts = found["reconcile"][f"{world.development}: alerts"]
    assert "403 (AuthorizationFailed" in alerts.detail
    assert "docs/reconcile.md" in alerts.fix
    assert "docs/resync.md" in found["resync.alerts"][f"{world.development}: alerts"].fix
    assert "Reader and Security Reader" in found["defender"][f"{tenant}: subscriptions"].fix
    assert "SecurityEvents.Read.All" in found["secure_score"][f"{tenant}: controls"].fix
    back = found["secure_score"][f"{tenant}: write back"]
    assert back.detail == "the identity lacks SecurityEvents.ReadWrite.All (it has none of them)"


async def test_a_secret_that_has_expired_is_named_and_nothing_else_is_tried(world: World) -> None:
    found = await world.check(world.everything("lapsed"))
    for lines in found.values():
        (line,) = lines.values()
        assert (line.name.partition(": ")[2], line.verdict) == ("sign-in", FAILED)
        assert "AADSTS7000222" in line.detail
        assert "Make a new client secret" in line.fix
        assert "'secret-of-lapsed'" in line.fix


async def test_a_secret_without_a_value_and_an_unknown_application(world: World) -> None:
    nowhere, nobody = {"secret": "nowhere"}, "99999999-9999-4999-8999-999999999999"
    sections = {
        "reconcile": {
            "subscriptions": [
                {"id": world.production, "sign_in": world.sign_in(client_secret=nowhere)},
                {"id": world.development, "sign_in": world.sign_in(client_id=nobody)},
            ]
        }
    }
    without, unknown = (await world.check(sections))["reconcile"].values()
    assert "secret 'nowhere' has no value" in without.detail
    assert without.fix == "Give secret 'nowhere' a value, or correct its name in this sign_in."
    assert "AADSTS700016" in unknown.detail
    assert f"register application {nobody}" in unknown.fix


async def test_a_reader_may_not_write(world: World) -> None:
    found = await world.check(world.everything("reader"))
    failed = {line.name.partition(": ")[2]: line for lines in found.values() for line in lines.values()}
    failed = {name: line for name, line in failed.items() if line.verdict is FAILED}
    assert failed.keys() == {"change state", "governance assignments", "write back"}
    assert failed["change state"].detail == (f"the identity may not {CHANGE_STATE} in subscription {world.development}")
    assert f"{ASSIGNMENTS}/write, {ASSIGNMENTS}/delete" in failed["governance assignments"].detail
    assert f"{ASSIGNMENTS}/read" not in failed["governance assignments"].detail
    assert "Security Admin" in failed["governance assignments"].fix
    assert "it has SecurityEvents.Read.All" in failed["write back"].detail
    assert "admin consent" in failed["write back"].fix


async def test_what_is_not_asked_for_is_not_checked(world: World) -> None:
    sections = world.everything("reader")
    sections["resync"] = {"enabled": False, "alerts": {}}
    sections["defender"] |= {"write_back": False, "governance": [], "poll": None}
    sections["secure_score"]["write_back"] = False
    found = await world.check(sections)
    assert found.keys() == {"reconcile", "defender", "secure_score"}
    assert verdicts(found["defender"]).keys() == {"sign-in", "Resource Graph", "subscriptions", "recommendations"}
    assert all(line.verdict is OK for lines in found.values() for line in lines.values())
    assert await world.check({}) == {}


async def test_who_may_not_read_its_own_rights_is_not_accused(world: World) -> None:
    await world.tell("DELETE", "/grants", identity="bridge", actions=[PERMISSIONS])
    found = await world.check(world.everything())
    assert not [line for lines in found.values() for line in lines.values() if line.verdict is FAILED]
    line = found["resync.alerts"][f"{world.development}: change state"]
    assert line.verdict is WARNING
    assert PERMISSIONS in line.fix


async def test_what_one_role_takes_away_counts_only_where_no_other_gives_it(world: World) -> None:
    await world.tell("POST", "/grants", identity="stranger", actions=["*"], not_actions=["*/ChangeState/*"])
    name = f"{world.development}: change state"
    sections = {key: value for key, value in world.everything("stranger").items() if key in ("reconcile", "resync")}
    assert (await world.check(sections))["resync.alerts"][name].verdict is FAILED
    await world.tell("POST", "/grants", identity="stranger", actions=["microsoft.alertsmanagement/*"])
    assert (await world.check(sections))["resync.alerts"][name].verdict is OK


async def test_a_subscription_that_is_listed_and_cannot_be_seen_is_named(world: World) -> None:
    listed = [world.production, world.retail]
    lines = (await world.check({"defender": world.defender(subscriptions=listed)}))["defender"]
    line = lines[f"{world.clouds.tenant_id}: subscriptions"]
    assert (line.verdict, line.detail) == (FAILED, f"1 can be seen, but not {world.retail}")
    assert "defender.tenants" in line.fix
    assert lines[f"{world.clouds.tenant_id}: recommendations"].verdict is OK, "the others are looked at"


async def test_where_nothing_was_found_rights_tell_whether_anything_could_be(world: World) -> None:
    def section(who: str) -> dict[str, Any]:
        return {"defender": world.defender(who, subscriptions=[world.development])}

    name = f"{world.clouds.tenant_id}: sub-assessments"
    well = (await world.check(section("reader")))["defender"][name]
    assert (well.verdict, well.detail.startswith("there are none; the identity may")) == (OK, True)
    await world.tell("POST", "/grants", identity="stranger", actions=["*/read"], not_actions=["Microsoft.Security/*"])
    blind = (await world.check(section("stranger")))["defender"][name]
    assert (blind.verdict, "Security Reader" in blind.fix) == (FAILED, True)


async def test_one_that_fails_hides_none_of_the_others(world: World) -> None:
    watched = [
        {"id": world.development, "sign_in": world.sign_in("stranger")},
        {"id": world.production, "sign_in": world.sign_in()},
        {"id": "99999999-9999-4999-8999-999999999999", "sign_in": world.sign_in()},
        {"id": world.retail, "sign_in": world.sign_in()},
        {"id": "88888888-8888-4888-8888-888888888888", "sign_in": world.sign_in("lapsed")},
    ]
    lines = (await world.check({"reconcile": {"subscriptions": watched}}))["reconcile"]
    assert [line.verdict for line in lines.values()] == [OK, FAILED, OK, OK, OK, FAILED, OK, FAILED, FAILED]
    assert "subscription's id" in lines["99999999-9999-4999-8999-999999999999: alerts"].fix
    assert "belongs to another tenant" in lines[f"{world.retail}: alerts"].fix


async def test_the_wrong_authority_is_told_by_every_section(world: World) -> None:
    world.reach = replace(world.reach, authority="https://127.0.0.1:9")
    found = await world.check(world.everything())
    assert [(len(lines), {line.verdict for line in lines.values()}) for lines in found.values()] == [(1, {FAILED})] * 4
    assert all("reaches Microsoft Entra" in line.fix for lines in found.values() for line in lines.values())


async def test_a_service_that_does_not_answer_costs_its_time_and_no_more(world: World) -> None:
    await world.tell("POST", "/scenarios", type="slow", seconds=60, match={"path": "AlertsManagement"})
    began = asyncio.get_running_loop().time()
    async with aclosing(world.services(world.everything())) as services:
        found = said(await check(services.sources, timedelta(seconds=4)))
    assert asyncio.get_running_loop().time() - began < 30
    assert verdicts(found["reconcile"]) == {"sign-in": OK, "time": FAILED}
    assert verdicts(found["secure_score"])["score"] is OK
    assert "tags" in verdicts(found["defender"])


async def test_a_clock_that_is_off_and_a_score_that_stands_still(world: World) -> None:
    world.later = timedelta(days=5)
    found = await world.check(world.everything())
    clock = found["reconcile"][f"{world.development}: clock"]
    assert (clock.verdict, "s ahead of Azure's" in clock.detail) == (WARNING, True)
    score = found["secure_score"][f"{world.clouds.tenant_id}: score"]
    assert (score.verdict, "days" in score.detail) == (WARNING, True)


async def test_the_apps_own_identity_and_the_subscriptions_that_it_sees(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", world.clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", world.clouds.identity_header)
    found = await world.check({"resync": {"alerts": {}}, "defender": {}, "secure_score": {"connection": "desk"}})
    assert list(found["resync.alerts"]) == [
        "own: sign-in",
        *(f"own: {one}: {what}" for one in world.clouds.subscriptions for what in ("alerts", "change state")),
    ]
    assert all(line.verdict is OK for lines in found.values() for line in lines.values())
    assert list(found["defender"])[-1] == "own: recommendations"


class Command:
    """``bridge.py check --only sources``, aimed at the stand-ins by settings."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.settings = {
            "AZURE_RESOURCE_MANAGER_URL": world.clouds.https_url,
            "AZURE_AUTHORITY": world.clouds.https_url,
            "MICROSOFT_GRAPH_URL": world.clouds.https_url,
            "AZURE_CA_BUNDLE": world.clouds.ca_file,
        }

    async def __call__(self, sections: dict[str, Any], *arguments: str, **options: str) -> tuple[int, str]:
        """Exit code and what it printed."""
        empty = self._world.folder / "settings.json"
        empty.write_text('{"Values": {}}')
        files = {"config": self._world.write(sections), "settings": empty, **options}
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "bridge.py", *(f"--{name}={value}" for name, value in files.items())),
            *("check", *arguments, "--only", "sources"),
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **self._world.secrets, **self.settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        text, problems = await asyncio.wait_for(done.communicate(), 60)
        assert done.returncode is not None
        return done.returncode, (text + problems).decode()


async def test_the_command_shows_it_and_fails_when_a_line_does(world: World) -> None:
    check = Command(world)
    code, text = await check(world.everything("bridge"))
    assert code == 0, text
    titles = ["reconcile", "resync.alerts", "defender", "secure_score"]
    assert [line.strip() for line in text.splitlines() if line.strip() in titles] == titles
    assert "failed" not in text
    code, text = await check(world.everything("stranger"))
    assert (code, "docs/reconcile.md" in text, "Traceback" in text) == (1, True, False)
    code, text = await check(world.everything("lapsed"))
    assert (code, "get_token failed" in text, "Trace ID" in text) == (1, False, False), "told once, in our words"
    code, text = await check({}, "desk")
    assert (code, "either a connection or only: sources" in text) == (2, True)


async def test_a_running_session_lends_the_command_its_identity(world: World) -> None:
    check = Command(world)
    identity = {
        "IDENTITY_ENDPOINT": world.clouds.identity_endpoint,
        "IDENTITY_HEADER": world.clouds.identity_header,
    }
    session = world.folder / "up.json"
    session.write_text(
        json.dumps({"settings": {**check.settings, **identity}, "app": {"url": "http://127.0.0.1:1", "key": "demo"}})
    )
    check.settings = {}
    code, text = await check({"secure_score": {"connection": "desk"}}, session=str(session))
    assert (code, "own: write back" in text) == (0, True), text
