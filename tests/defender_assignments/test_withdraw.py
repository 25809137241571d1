"""A person takes assignments back: Defender for Cloud is told, and tickets stay or are resolved, as was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.defender.assignments import chosen
from local import azure, servicenow
from local.azurite import Azurite
from shared.core.signal import SignalState
from shared.platform.storage import Storage
from tests.asking import get
from tests.defender_assignments.house import DISKS, NAME, House, simulators
from tests.defender_assignments.taking_back import HOUR, RULE, SAID, known, later, push, signal_of, withdraw

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


# -- tickets stay


async def test_what_is_withdrawn_is_ended_and_told_and_its_ticket_stays_with_people(house: House) -> None:
    resource = await house.finding()
    _, assigned = await house.ask()
    ticket = assigned["items"][0]["ticket"]
    await house.work_off(HOUR)
    await house.calm()
    status, answer = await withdraw(house)
    assert (status, answer["more"]) == (200, False)
    assert answer["items"] == [
        {
            "key": house.key(),
            "status": "withdrawn",
            "ticket": ticket,
            "resolved": False,
            "defender": "written",
        }
    ]
    assignment = await known(house)
    assert (assignment.ended_at, assignment.outcome, assignment.withdrawn) == (house.now, "withdrawn", SAID)
    assert await house.governance(resource) == {}
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] == ["New"]
    assert await house.calls() == [], "the ticket was not even looked at"


async def test_the_same_again_ends_nothing_twice(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    await withdraw(house, tickets="resolve")
    before = await known(house)
    await house.work_off(HOUR)
    await house.calm()
    for tickets in ("resolve", "keep"):
        status, answer = await withdraw(house, tickets=tickets, reason="another", by="somebody else")
        assert (status, answer["items"][0]["status"], answer["items"][0]["resolved"]) == (200, "already_ended", True)
    await house.work_off(HOUR)
    assert replace(await known(house), last_pushed=before.last_pushed) == before
    assert await house.calls() == []
    assert len([one async for one in _deletes(house, resource)]) == 1


async def _deletes(house: House, resource: str) -> AsyncIterator[dict[str, Any]]:
    for one in await house.writes(resource, "Microsoft.Security/assessments/governanceAssignments/delete"):
        yield one


async def test_whoever_kept_a_ticket_may_have_it_resolved_afterwards(house: House) -> None:
    await house.finding()
    await house.ask()
    await withdraw(house)
    status, answer = await withdraw(house, tickets="resolve")
    assert (status, answer["items"][0]["status"], answer["items"][0]["resolved"]) == (200, "already_ended", True)
    (ticket,) = await house.tickets()
    assert ticket["state"] == "Resolved"


async def test_a_finding_that_stays_makes_no_second_ticket_whatever_people_did_with_the_first(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    signal = await signal_of(house, resource)
    await withdraw(house)
    await house.work_off(HOUR)
    await push(house, signal, later(signal, HOUR))
    (ticket,) = await house.tickets()
    await house.change(ticket, state="7", close_code="Solution provided", close_notes="done")
    await house.services.timers.resync()
    await push(house, later(signal, 2 * HOUR))
    await house.work_off(HOUR)
    assert [row["number"] for row in await house.tickets()] == [ticket["number"]]
    assert not (await known(house)).open


async def test_a_kept_ticket_is_resolved_when_its_finding_is_gone(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    signal = await signal_of(house, resource)
    await withdraw(house)
    await push(house, later(signal, HOUR, SignalState.RESOLVED))
    (ticket,) = await house.tickets()
    assert (ticket["state"], "healthy" in ticket["close_notes"]) == ("Resolved", True)
    assignment = await known(house)
    assert (assignment.outcome, assignment.withdrawn) == ("healthy", SAID)


# -- tickets are resolved


async def test_a_ticket_is_resolved_with_who_withdrew_it_and_why(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    await house.calm()
    status, answer = await withdraw(house, tickets="resolve")
    assert (status, answer["items"][0]["status"], answer["items"][0]["resolved"]) == (200, "withdrawn", True)
    (ticket,) = await house.tickets()
    assert ticket["state"] == "Resolved"
    assert ticket["close_notes"].endswith(SAID)
    assert "ended at" not in ticket["close_notes"], "it did not"
    assert len(await house.calls("PATCH")) == 1
    assert await house.governance(resource) == {}
    await house.work_off(HOUR)
    assert len(await house.calls("PATCH")) == 1
    link = await house.link()
    assert link is not None
    assert link.title == (await signal_of(house, resource)).title


@pytest.mark.parametrize("tickets", ["keep", "resolve"])
async def test_a_rule_assigns_anew_only_what_was_healthy_meanwhile(house: House, tickets: str) -> None:
    house.configure(governance=[RULE])
    resource = await house.finding()
    signal = await signal_of(house, resource)
    await push(house, signal)
    await withdraw(house, tickets=tickets)
    # read again, pushed again, read as another event: it is still what was taken back
    await push(house, signal, later(signal, HOUR))
    assert not (await known(house)).open
    assert len(await house.tickets()) == 1
    await push(house, later(signal, 2 * HOUR, SignalState.RESOLVED), later(signal, 3 * HOUR))
    assignment = await known(house)
    assert (assignment.open, assignment.rule, assignment.withdrawn) == (True, "all", "")


async def test_an_end_that_bears_the_time_of_the_finding_counts_after_a_withdrawal(house: House) -> None:
    """As the poll orders it where Azure gives the end no time of its own."""
    house.configure(governance=[RULE])
    resource = await house.finding()
    signal = await signal_of(house, resource)
    await push(house, signal)
    await withdraw(house, tickets="resolve")
    await push(house, later(signal, timedelta(), SignalState.RESOLVED))
    assert (await known(house)).outcome == "healthy"
    await push(house, later(signal, timedelta(milliseconds=1)))
    assert (await known(house)).open


async def test_what_a_person_assigned_and_took_back_does_not_return_but_can_be_assigned_again(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    signal = await signal_of(house, resource)
    await withdraw(house, tickets="resolve")
    status, answer = await house.ask(assigned_to="beth.anglin")
    assert (status, answer["items"][0]["status"]) == (201, "reopened")
    await house.work_off(HOUR)  # with what the withdrawal had ordered
    assert (await known(house)).open
    (ticket,) = await house.tickets()
    assert (ticket["state"], ticket["assigned_to"]) == ("In Progress", "Beth Anglin")
    assert (await house.governance(resource))["owner"] == "beth.anglin@contoso.example"
    await withdraw(house, tickets="resolve")
    await push(
        house,
        *(later(signal, hours * HOUR, state) for hours, state in ((1, SignalState.RESOLVED), (2, SignalState.FIRED))),
    )
    assert not (await known(house)).open


async def test_recommendations_are_named_as_for_an_assignment(house: House) -> None:
    one, two = [await house.finding(house.machine(name)) for name in ("web-01", "web-02")]
    await house.ask(resources=[one, two])
    await house.azure("DELETE", "/requests")
    status, answer = await withdraw(house, recommendation=NAME.upper(), resources=[one.upper().replace("/SUB", "/sub")])
    assert (status, answer["items"][0]["key"]) == (200, house.key(one))
    status, answer = await withdraw(house, recommendation=DISKS.upper(), resources=[two])
    assert (status, answer["items"][0]["key"]) == (200, house.key(two))


# -- shared tickets


async def _shared(house: House, *machines: str) -> tuple[list[str], str]:
    """Findings that share one ticket; their keys, and the ticket's."""
    house.configure(integrations=[{"name": house.group, "one_ticket_per": "recommendation"}])
    assessment = f"disks-{house.group}"
    resources = [await house.finding(house.machine(name), key=assessment) for name in machines]
    await house.ask(recommendation=assessment, resources=resources)
    await house.work_off(HOUR)
    keys = [house.key(one, assessment) for one in resources]
    ticket_key = (await known(house, resources[0], assessment)).ticket_key
    assert ticket_key.startswith("group:")
    return keys, ticket_key


async def test_a_shared_ticket_ends_with_the_last_that_is_withdrawn(house: House) -> None:
    (one, two, three), _ = await _shared(house, "web-01", "web-02", "web-03")
    status, answer = await withdraw(house, keys=[one, two], tickets="resolve")
    assert status == 200
    assert [item["resolved"] for item in answer["items"]] == [False, False], "somebody still has to fix the third"
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] != ["Resolved"]
    status, answer = await withdraw(house, keys=[three], tickets="resolve", by="Hugo", reason="sold")
    assert (status, answer["items"][0]["resolved"]) == (202, "pending")
    await house.work_off(HOUR)
    (ticket,) = await house.tickets()
    assert ticket["state"] == "Resolved"
    assert f"{SAID} (2 recommendations)\nWithdrawn by Hugo: sold." in ticket["close_notes"].replace("\r\n", "\n")
    _, answer = await withdraw(house, keys=[three], tickets="resolve")
    assert answer["items"][0]["resolved"] is True


async def test_the_key_of_a_shared_ticket_means_all_who_share_it(house: House) -> None:
    keys, ticket_key = await _shared(house, "web-01", "web-02")
    status, answer = await withdraw(house, keys=[ticket_key.upper()], tickets="resolve")
    assert (status, {item["key"] for item in answer["items"]}) == (202, set(keys))
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] == ["Resolved"]
    _, answer = await withdraw(house, keys=[ticket_key])
    assert {item["status"] for item in answer["items"]} == {"already_ended"}


async def test_who_shares_a_ticket_may_be_assigned_again(house: House) -> None:
    (one, two), _ = await _shared(house, "web-01", "web-02")
    await withdraw(house, keys=[one, two], tickets="resolve")
    await house.work_off(HOUR)
    await house.ask(recommendation=f"disks-{house.group}", resources=[house.machine("web-01")])
    await house.work_off(HOUR)
    assert [row["state"] for row in await house.tickets()] == ["In Progress"]


# -- integrations


@pytest.mark.parametrize("routes", ["default", "none"])
@pytest.mark.parametrize("per", ["resource", "recommendation"])
async def test_all_of_a_removed_integration_with_its_tickets(house: House, per: str, routes: str) -> None:
    house.configure(integrations=[{"name": house.group, "one_ticket_per": per}])
    assessment = f"disks-{house.group}"
    resources = [await house.finding(house.machine(f"web-{n}"), key=assessment) for n in range(3)]
    await house.ask(recommendation=assessment, resources=resources)
    await house.work_off(HOUR)
    elsewhere = [{"name": "x", "when": {"kind": "log"}, "connection": house.connection}]
    sections: dict[str, Any] = {} if routes == "default" else {"default": None, "routes": elsewhere}
    house.configure(integrations=[], **sections)
    status, answer = await withdraw(house, integration=house.group, tickets="resolve")
    await house.work_off(HOUR)
    assert (len(answer["items"]), answer["more"]) == (3, False)
    tickets = await house.tickets()
    assert [row["state"] for row in tickets] == ["Resolved"] * (3 if per == "resource" else 1)
    assert all(SAID.rstrip(".") in row["close_notes"] for row in tickets), tickets[0]["close_notes"]
    assert [await house.governance(one) for one in resources] == [{}, {}, {}]
    status, answer = await withdraw(house, integration=house.group)
    assert (status, answer) == (200, {"items": [], "more": False})
    (listed,) = [one for one in (await get(house.defender.integrations))["integrations"] if one["name"] == house.group]
    assert (listed["status"], listed["assignments"]["open"], listed["assignments"]["ended"]) == ("removed", 0, 3)


async def test_many_are_withdrawn_by_several_requests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "MOST", 2)
    house.configure(integrations=[{"name": house.group}])
    resources = [await house.finding(house.machine(f"web-{n}")) for n in range(3)]
    await house.ask(resources=resources)
    seen: list[str] = []
    for more in (True, False):
        status, answer = await withdraw(house, integration=house.group)
        assert (status, answer["more"]) == (200, more)
        seen += [item["key"] for item in answer["items"]]
    assert sorted(seen) == sorted(house.key(one) for one in resources)


async def test_what_takes_too_long_for_an_answer_is_done_by_the_queue(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.defender.assignments.withdraw._TIMEOUT", 0.0)
    resource = await house.finding()
    await house.ask()
    status, answer = await withdraw(house, tickets="resolve")
    (item,) = answer["items"]
    assert (status, item["status"], item["resolved"], item["defender"]) == (202, "withdrawn", "pending", "pending")
    await house.work_off()
    assert [row["state"] for row in await house.tickets()] == ["Resolved"]
    assert await house.governance(resource) == {}
