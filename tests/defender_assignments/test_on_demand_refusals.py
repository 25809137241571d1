"""A request that names what is not there is refused, in words that say what, and nothing is written anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from local import azure, servicenow
from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.asking import ask
from tests.defender_assignments.house import DISKS, NAME, House, simulators

pytestmark = pytest.mark.asyncio(loop_scope="module")

Sides = tuple[azure.Simulator, servicenow.Simulator, httpx.AsyncClient]
GUID = "00000000-0000-4000-8000-00000000dead"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides() -> AsyncIterator[Sides]:
    async with simulators() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def house(sides: Sides, azurite: Azurite, tmp_path: Path) -> AsyncIterator[House]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    clouds, desk, http = sides
    opened = House(clouds, desk, storage, tmp_path, http)
    await opened.calm()
    await opened.finding()
    yield opened
    await opened.aclose()
    await storage.aclose()


async def refused(house: House, status: int, field: str, *said: str, **body: Any) -> dict[str, Any]:
    """The answer to a request that is refused with a status, for what the field says; nothing was written."""
    answered, answer = await house.ask(**body)
    assert answered == status, answer
    assert (answer["status"], answer["type"]) == (status, "about:blank")
    assert field in [one["field"] for one in answer["errors"]], answer
    for text in said:
        assert text in answer["detail"], answer
        assert text in "".join(one["message"] for one in answer["errors"])
    await untouched(house)
    return answer


async def untouched(house: House) -> None:
    await house.servicenow("DELETE", "/scenarios")  # an instance that is away shows nobody what it holds
    assert house.line.waiting == []
    assert await house.writes() == []
    assert await house.calls("POST") == await house.calls("PATCH") == await house.calls("PUT") == []
    assert (await house.assignment(), await house.link()) == (None, None)
    assert await house.tickets() == []


BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no recommendation": ("recommendation", "required", {"recommendation": None}),
    "empty recommendation": ("recommendation", "at least 1", {"recommendation": "  "}),
    "no resources": ("resources", "at least 1", {"resources": []}),
    "resources as text": ("resources", "list", {"resources": "/subscriptions/x"}),
    "a bare name": ("resources", "'web-01' is not an ARM resource id", {"resources": ["web-01"]}),
    "an id that leads elsewhere": ("resources", "is not an ARM resource id", {"resources": ["/subscriptions/a/../b"]}),
    "an id with a query": (
        "resources",
        "is not an ARM resource id",
        {"resources": ["/subscriptions/a/resourceGroups/b?x=1"]},
    ),
    "a number among resources": ("resources.0", "must be text", {"resources": [7]}),
    "nobody": ("assigned_to", "required", {"assigned_to": None}),
    "a number for a person": ("assigned_to", "must be text", {"assigned_to": 7}),
    "an unknown kind": ("kind", "'problem'", {"kind": "event"}),
    "an unknown member": ("asigned_to", "Did you mean assigned_to", {"asigned_to": "x"}),
    "a date in the past": ("due_date", "in the past", {"due_date": "2020-01-31", "remediation_days": None}),
    "no date": ("due_date", "is not a date", {"due_date": "soon", "remediation_days": None}),
    "a time without zone": ("due_date", "is not a date", {"due_date": "2030-01-31T10:00:00", "remediation_days": None}),
    "two dates": ("due_date", "Give either", {"due_date": "2030-01-31"}),
    "neither": ("due_date", "Give either", {"remediation_days": None}),
    "days that nobody offers": ("remediation_days", "7, 14, 30 or 90", {"remediation_days": 8}),
    "yes for true": ("grace", "must be true or false", {"grace": "yes"}),
    "an object for a person": ("assigned_to", "must be text", {"assigned_to": {"name": "ada"}}),
    "two lines for a person": ("assigned_to", "on one line", {"assigned_to": "ada\nbeth"}),
    "an object for resources": ("resources", "must be a list", {"resources": {"0": "x"}}),
    "half a character": ("", "surrogate", {"assigned_to": "\ud800"}),
    "no number": ("", "NaN", {"fields": {"risk": float("nan")}}),
    "an endless number": ("fields", "must be a JSON object", {"fields": 10**300}),
    "a number for a date": ("due_date", "must be text", {"due_date": 20300131, "remediation_days": None}),
    "a list for a field": ("fields", "'category' must be text", {"fields": {"category": ["a"]}}),
    "a field that is a member": ("fields", "'assigned_to'", {"fields": {"assigned_to": "x"}}),
    "a field of the bridge": ("fields", "'correlation_id' is set by the bridge", {"fields": {"correlation_id": "x"}}),
    "a field of the system": ("fields", "'sys_id' is set by the bridge", {"fields": {"sys_id": "x"}}),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_cannot_be_read_asks_nobody_anything(house: House, name: str) -> None:
    field, said, body = BODIES[name]
    await refused(house, 400, field, said, **body)
    assert await house.calls() == []


async def test_more_than_fifty_resources_are_too_many(house: House) -> None:
    machines = [house.machine(f"web-{n:02}") for n in range(51)]
    await refused(house, 400, "resources", "51 resources", "limit is 50", resources=machines)


@pytest.mark.parametrize("body", [[], [{}], "text", None, 7])
async def test_a_body_that_is_no_object(house: House, body: Any) -> None:
    response = await ask(house.defender.assign, body)
    assert (response.status, "one JSON object" in response.body["detail"]) == (400, True)
    await untouched(house)


async def test_a_resource_that_does_not_have_the_recommendation_is_named(house: House) -> None:
    missing = house.machine("web-99")
    await refused(house, 404, "recommendation", missing, resources=[house.machine(), missing])


async def test_an_unknown_recommendation_is_refused_with_those_of_the_resource(house: House) -> None:
    await refused(house, 404, "recommendation", GUID, recommendation=GUID)
    answer = await refused(house, 404, "recommendation", recommendation="Disks should be encryptd at host")
    assert answer["errors"][0]["suggestions"] == [NAME]


async def test_two_recommendations_of_one_name_have_to_be_told_apart(house: House) -> None:
    await house.finding(key=GUID)
    answer = await refused(house, 404, "recommendation", "Several recommendations of", recommendation=NAME)
    assert set(answer["errors"][0]["suggestions"]) == {DISKS, GUID}


@pytest.mark.parametrize("code", ["Healthy", "NotApplicable"])
async def test_what_is_healthy_needs_nobody(house: House, code: str) -> None:
    healthy = await house.finding(house.machine("web-02"), code=code)
    await refused(house, 409, "resources", healthy, resources=[house.machine(), healthy])


async def test_an_unknown_owner_is_refused_with_suggestions(house: House) -> None:
    answer = await refused(
        house, 422, "assigned_to", "ada.winterfeld@contoso.example", assigned_to="ada.winterfelt@contoso.com"
    )
    assert answer["errors"][0]["suggestions"][0] == "ada.winterfeld@contoso.example"


async def test_everything_that_the_ticket_system_does_not_know_is_told_at_once(house: House) -> None:
    answer = await refused(
        house,
        422,
        "caller",
        assigned_to="inactive.user",
        caller="beth.angln",
        fields={"u_no_such": "x", "category": "software"},
    )
    assert [one["field"] for one in answer["errors"]] == ["assigned_to", "caller", "fields.u_no_such"]
    assert answer["errors"][1]["suggestions"][0] == "beth.anglin@contoso.example"


async def test_a_group_calls_nobody(house: House) -> None:
    await refused(house, 422, "caller", "Cloud Operations", caller="Cloud Operations")


async def test_an_unknown_integration_is_refused_with_those_there_are(house: House) -> None:
    answer = await refused(house, 422, "integration", integration="prodction")
    assert answer["errors"][0]["suggestions"] == ["production"]


async def test_an_integration_that_does_not_cover_the_resource(house: House) -> None:
    elsewhere = f"/subscriptions/{house.clouds.subscriptions[1]}"
    house.configure(integrations=[{"name": "development", "scope": elsewhere}])
    await refused(house, 422, "integration", "development", house.machine(), integration="development")
    await refused(house, 422, "resources", "No integration covers", house.machine())


async def test_a_scope_outside_the_allow_list_is_refused_before_azure_is_asked(house: House) -> None:
    house.configure(accept_only={"subscriptions": [house.clouds.subscriptions[1]]})
    await refused(house, 403, "resources", house.machine(), "accept_only.subscriptions")
    house.configure(accept_only={"resource_groups": ["rg-elsewhere-*"]})
    await refused(house, 403, "resources", "accept_only.resource_groups", recommendation=GUID)
    assert (await house.azure("GET", "/requests"))["requests"] == []


async def test_a_recommendation_outside_the_allow_list(house: House) -> None:
    house.configure(accept_only={"rules": ["Machines *"]})
    await refused(house, 403, "resources", NAME, "accept_only.rules")


async def test_a_ticket_of_another_kind_is_in_the_way(house: House) -> None:
    await house.ask()
    await house.work_off(timedelta(hours=1))
    await house.calm()
    (before,) = await house.tickets()
    status, answer = await house.ask(kind="problem")
    assert (status, answer["errors"][0]["field"]) == (409, "kind")
    assert before["number"] in answer["detail"]
    assert (await house.tickets(), house.line.waiting) == ([before], [])
    assert len(await house.writes()) == 1


@pytest.mark.parametrize(
    ("side", "fault", "status"),
    [
        ("servicenow", {"type": "hibernate"}, 503),
        ("servicenow", {"type": "throttle", "retry_after": 9}, 503),
        ("servicenow", {"type": "reject_credentials"}, 502),
        ("azure", {"type": "deny"}, 502),
        ("azure", {"type": "throttle", "retry_after": 900, "match": {"service": "arm"}}, 503),
    ],
)
async def test_what_cannot_be_asked_is_said_with_its_cause(
    house: House, side: str, fault: dict[str, Any], status: int
) -> None:
    await getattr(house, side)("POST", "/scenarios", fault)
    answer = await refused(house, status, "", "Nothing was written")
    assert answer["title"]


async def test_without_an_integration_there_is_nowhere_to_assign_to(house: House) -> None:
    house.configure(integrations=[])
    status, answer = await house.ask()
    assert (status, answer["title"]) == (404, "Not configured")
    await untouched(house)
