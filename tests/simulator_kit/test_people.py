"""The demo's owners are people of ServiceNow: whoever Azure, Defender, an alert or a page of docs names, has a user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from local import azure, servicenow
from local.demo.alerts import Azure
from local.demo.clouds import SECTIONS
from local.simulator_kit.people import DOMAIN, PEOPLE, address, mail_of
from tests.simulators import NO_AUTHORITIES, in_background

ROOT = Path(__file__).parents[2]
_ADDRESS = re.compile(r"[\w.-]+@[\w-]+(?:\.[\w-]+)*\.\w+")
_TAGS = "Resources | where isnotempty(tags) | extend owner = coalesce(tags.owner, tags.Owner) | project owner"
_SCORES = "/v1.0/security/secureScoreControlProfiles"
#: What the docs show as a mistake of somebody.
_MISTAKES = {"ada.winterfelt"}


@pytest.fixture(scope="module")
def desk() -> Iterator[httpx.Client]:
    """ServiceNow as the bridge's own user."""
    with in_background(servicenow.running) as simulator:
        user = (simulator.integration_username, simulator.integration_password)
        with httpx.Client(base_url=simulator.url, auth=user, verify=NO_AUTHORITIES) as client:
            yield client


@pytest.fixture(scope="module")
def clouds() -> Iterator[azure.Simulator]:
    with in_background(azure.running) as simulator:
        yield simulator


def users(desk: httpx.Client, mail: str) -> list[str]:
    """User names of the active users with this address."""
    params = {"sysparm_query": f"email={mail}^active=true", "sysparm_fields": "user_name"}
    rows = desk.get("/api/now/table/sys_user", params=params).json()["result"]
    return [row["user_name"] for row in rows]


def _signed_in(clouds: azure.Simulator, tenant: str, resource: str) -> httpx.Client:
    order = {"identity": "bridge", "tenant": tenant, "resource": resource}
    token = httpx.post(f"{clouds.control_url}/tokens", json=order, verify=NO_AUTHORITIES).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=clouds.url, headers=headers, verify=NO_AUTHORITIES)


def _owners_in_azure(clouds: azure.Simulator) -> set[str]:
    found = set()
    path = "/providers/Microsoft.ResourceGraph/resources"
    for tenant in ("contoso", "fabrikam"):
        with _signed_in(clouds, tenant, "https://management.azure.com") as arm:
            answer = arm.post(path, params={"api-version": "2022-10-01"}, json={"query": _TAGS})
            found |= {row["owner"] for row in answer.json()["data"]}
        with _signed_in(clouds, tenant, "https://graph.microsoft.com") as graph:
            for profile in graph.get(_SCORES).json()["value"]:
                found |= {update["updatedBy"] for update in profile["controlStateUpdates"]}
    return found


def test_every_owner_in_azure_is_an_active_user_of_servicenow(clouds: azure.Simulator, desk: httpx.Client) -> None:
    owners = _owners_in_azure(clouds)
    assert {mail_of("lee.gu"), mail_of("ada.winterfeld"), mail_of("kim.akers")} <= owners
    for owner in owners:
        assert len(users(desk, owner)) == 1, owner


def test_every_owner_whom_the_demo_s_governance_rules_name_is_an_active_user_of_servicenow(desk: httpx.Client) -> None:
    rules = yaml.safe_load(SECTIONS.read_text("utf-8"))["defender"]["governance"]
    owners = [rule["owner"]["value"] for rule in rules]
    assert owners
    for owner in owners:
        assert len(users(desk, owner)) == 1, owner


def test_whoever_caused_an_alert_of_the_demo_is_an_active_user_of_servicenow(desk: httpx.Client) -> None:
    alerts = Azure()
    caller = alerts.activity()["data"]["alertContext"]["caller"]
    creator = alerts.budget()["data"]["alertContext"]["AlertData"]["BudgetCreator"]
    for person in (caller, creator):
        assert len(users(desk, person)) == 1, person


def test_all_of_the_demo_s_people_can_be_given_a_ticket(desk: httpx.Client) -> None:
    for user_name, name in PEOPLE.items():
        assert users(desk, mail_of(user_name)) == [user_name]
        params = {"sysparm_query": f"name={name}", "sysparm_fields": "email"}
        found = desk.get("/api/now/table/sys_user", params=params).json()["result"]
        assert found == [{"email": address(user_name)}]


@pytest.mark.parametrize("file", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"], ids=lambda file: file.name)
def test_every_address_in_the_docs_belongs_to_an_active_user_of_servicenow(file: Path, desk: httpx.Client) -> None:
    for mail in sorted(set(_ADDRESS.findall(file.read_text("utf-8")))):
        name, _, domain = mail.partition("@")
        if name in _MISTAKES:
            continue
        assert domain == DOMAIN, f"{mail}: people of the docs have addresses of {DOMAIN}"
        assert len(users(desk, mail)) == 1, f"{mail}: write one of local/simulator_kit/people.py"


def test_the_demo_cannot_name_an_owner_who_is_nobody() -> None:
    with pytest.raises(ValueError, match=r"'lee\.guu' is none of the demo's people"):
        mail_of("lee.guu")
