"""What goes wrong while assignments are taken back, and requests that are refused: nothing is lost or half done."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.defender.assignments.assignment import Assignment
from local import azure, servicenow
from local.azurite import Azurite
from shared.core.messages import decode
from shared.platform.storage import Storage
from tests.asking import ask
from tests.defender_assignments.house import DISKS, NAME, House, simulators
from tests.defender_assignments.taking_back import HOUR, PATCHES, RULE, SAID, known, later, push, signal_of, withdraw
from tests.defender_assignments.test_on_demand import Death, Died

pytestmark = pytest.mark.asyncio(loop_scope="module")

Sides = tuple[azure.Simulator, servicenow.Simulator, httpx.AsyncClient]


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
    yield opened
    await opened.aclose()
    await storage.aclose()


# -- what goes wrong


async def test_a_ticket_system_and_an_azure_that_are_busy_are_waited_for(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    signal = await signal_of(house, resource)
    match = {"method": "PATCH", "path": "^/api/now/table/incident"}
    await house.servicenow("POST", "/scenarios", {"type": "throttle", "retry_after": 17, "times": 1, "match": match})
    await house.azure("POST", "/scenarios", {"type": "deny", "match": {"path": "governanceAssignments"}, "times": 1})
    status, answer = await withdraw(house, tickets="resolve")
    (item,) = answer["items"]
    assert (status, item["status"], item["resolved"], item["defender"]) == (202, "withdrawn", "pending", "refused")
    assert "limit" in item["reason"]
    await push(house, later(signal, HOUR))  # what is noticed meanwhile does not come in between
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] == ["Resolved"]
    assert await house.governance(resource) == {}


async def test_a_route_that_resolves_nothing_says_so(house: House) -> None:
    await house.finding()
    await house.ask()
    house.configure(integrations=[], default={"connection": house.connection, "resolve": {"action": "nothing"}})
    status, answer = await withdraw(house, tickets="resolve")
    (item,) = answer["items"]
    assert (status, item["status"], item["resolved"]) == (200, "withdrawn", False)
    assert "(noted)" in item["reason"]


async def test_what_is_not_accepted_any_more_keeps_its_ticket_and_says_so(house: House) -> None:
    await house.finding()
    await house.ask()
    house.configure(accept_only={"resource_groups": ["another"]})
    status, answer = await withdraw(house, tickets="resolve")
    (item,) = answer["items"]
    assert (status, item["status"], item["resolved"]) == (200, "withdrawn", False)
    assert "accept_only.resource_groups" in item["reason"]
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] == ["New"]


@pytest.mark.parametrize("tickets", ["keep", "resolve"])
async def test_at_whatever_step_it_dies_it_is_completed_or_was_not_begun(house: House, tickets: str) -> None:
    for step in range(40):
        resource = await house.finding(house.machine(f"died-{step:02}"))
        await house.ask(resources=[resource])
        await house.work_off(HOUR)
        death = Death(step)
        death.hangs_over(house, house.configure())
        try:
            await withdraw(house, keys=[house.key(resource)], tickets=tickets)
            died = False
        except Died:
            died = True
        house.line.tick = lambda: None
        house.configure()
        await house.work_off(2 * HOUR)
        ended = not (await known(house, resource)).open
        (ticket,) = [one for one in await house.tickets() if f"died-{step:02}" in one["description"]]
        link = await house.link(resource)
        assert link is not None
        assert link.pending is None, step
        assert (await house.governance(resource) == {}) is ended, step
        assert (ticket["state"] == "Resolved") is (ended and tickets == "resolve"), step
        assert ended or step < 8, step
        if ended:
            assert (await known(house, resource)).withdrawn == SAID
        if not died:
            break
    assert step > 5


async def test_whoever_dies_while_it_is_assigned_again_leaves_assignment_and_ticket_alike(house: House) -> None:
    for step in range(3, 9):
        resource = await house.finding(house.machine(f"again-{step}"))
        await house.ask(resources=[resource])
        await withdraw(house, keys=[house.key(resource)], tickets="resolve")
        death = Death(step)
        death.hangs_over(house, house.configure())
        with contextlib.suppress(Died):
            await house.ask(resources=[resource], assigned_to="beth.anglin")
        house.line.tick = lambda: None
        house.configure()
        again = (await known(house, resource)).open
        await house.work_off(2 * HOUR)
        assert (await known(house, resource)).open is again, step
        (ticket,) = [one for one in await house.tickets() if f"again-{step}" in one["description"]]
        assert (ticket["state"] != "Resolved") is again, step
        assert bool(await house.governance(resource)) is again, step


async def test_an_event_that_comes_in_between_is_overtaken(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker takes a newer event between the look and the write; the ticket is resolved all the same."""
    house.configure(governance=[RULE])
    resource = await house.finding()
    signal = await signal_of(house, resource)
    await push(house, signal)
    store = house.defender.assignments
    write, came = store.write, False

    async def overtaken(assignment: Assignment, etag: str | None) -> str:
        nonlocal came
        if assignment.taken_back and not came:
            came = True
            await push(house, later(signal, HOUR))
        return await write(assignment, etag)

    monkeypatch.setattr(store, "write", overtaken)
    status, answer = await withdraw(house, tickets="resolve")
    assert came
    safe = [getattr(decode(text), "signal", None) for _, text in house.line.waiting]
    assert (await known(house)).latest in [one.order for one in safe if one is not None], "a crash would lose it"
    assert (status, answer["items"][0]["status"], answer["items"][0]["resolved"]) == (200, "withdrawn", True)
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] == ["Resolved"]


# -- what is refused

BODIES: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "nothing": (400, "keys", "Give one of", {"keys": None}),
    "two at once": (400, "keys", "Give one of", {"keys": ["recommendation:1:/a/b"], "integration": "production"}),
    "resources alone": (400, "keys", "go together", {"resources": ["/subscriptions/a/resourceGroups/b"]}),
    "no keys": (400, "keys", "at least 1", {"keys": []}),
    "an empty key": (400, "keys", "is not a key", {"keys": [" "]}),
    "a number for a key": (400, "keys.0", "must be text", {"keys": [7]}),
    "too many keys": (400, "keys", "51 keys", {"keys": [f"recommendation:1:/a/{n}" for n in range(51)]}),
    "no reason": (400, "reason", "required", {"reason": None}),
    "an empty reason": (400, "reason", "at least 1", {"reason": " "}),
    "a long reason": (400, "reason", "500", {"reason": "x" * 501}),
    "nobody": (400, "by", "required", {"by": None}),
    "a number for somebody": (400, "by", "must be text", {"by": 7}),
    "to cancel": (400, "tickets", "'keep' or 'resolve'", {"tickets": "cancel"}),
    "a misspelt member": (400, "reasons", "Did you mean reason, resources?", {"reasons": "x"}),
    "a bare name": (400, "resources", "not an ARM resource id", {"recommendation": DISKS, "resources": ["web-01"]}),
    "an unknown integration": (422, "integration", "Did you mean production", {"integration": "prodction"}),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_request_that_is_wrong_names_the_member_and_writes_nothing(house: House, name: str) -> None:
    status, field, said, body = BODIES[name]
    await refused(house, status, field, said, **body)


async def test_what_nobody_assigned_is_refused_with_what_may_have_been_meant(house: House) -> None:
    resource = await house.finding()
    await house.finding(house.machine("web-02"))
    await house.ask()
    own = house.key()
    await refused(house, 404, "keys", own, keys=[own, own[:-1] + ("0" if own[-1] != "0" else "1")])
    await refused(house, 404, "keys", "not the key of an assignment", keys=["alert:1:x"])
    await refused(
        house, 404, "recommendation", NAME, recommendation=NAME.replace("host", "hosts"), resources=[resource]
    )
    both = [resource, house.machine("web-02")]
    await refused(house, 404, "recommendation", both[1], recommendation=DISKS, resources=both)
    await refused(house, 404, "recommendation", "was never assigned", recommendation=PATCHES, resources=[resource])
    assert (await known(house)).open


@pytest.mark.parametrize("body", [[], None, "text"])
async def test_a_body_that_is_no_object(house: House, body: Any) -> None:
    response = await ask(house.defender.withdraw, body)
    assert (response.status, "one JSON object" in response.body["detail"]) == (400, True)


async def refused(house: House, status: int, field: str, said: str, **body: Any) -> None:
    waiting = len(house.line.waiting)
    answered, answer = await withdraw(house, **body)
    assert answered == status, answer
    assert field in [one["field"] for one in answer["errors"]], answer
    assert said in answer["detail"], answer
    assert len(house.line.waiting) == waiting
