"""A person assigns recommendations: the tickets are in the answer, and Defender for Cloud knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from app.container import Container
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.source import DefenderSource
from local import azure, servicenow
from local.azurite import Azurite
from shared.core.messages import SignalMessage
from shared.core.signal import Signal
from shared.delivery.links import LinkStore
from shared.operations.ticket_list import TicketQuery
from shared.platform.storage import Storage
from tests.defender_assignments.house import DISKS, NAME, House, simulators
from tests.payloads.support import parse

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


async def test_a_recommendation_is_assigned_and_its_ticket_is_in_the_answer(house: House) -> None:
    resource = await house.finding()
    status, answer = await house.ask(caller="beth.anglin", grace=True, notify_manager=True, by="Grace Moreau")
    (item,) = answer["items"]
    assert status == 201
    (ticket,) = await house.tickets()
    assert item["status"] == "created"
    assert (item["ticket"]["number"], item["ticket"]["id"]) == (ticket["number"], ticket["sys_id"])
    assert list(item["ticket"]) == ["id", "number", "kind", "connection", "url"]
    assert (item["ticket"]["kind"], item["ticket"]["connection"]) == ("incident", house.connection)
    assert ticket["sys_id"] in item["ticket"]["url"]
    assert (ticket["assigned_to"], ticket["caller_id"]) == ("Ada Winterfeld", "Beth Anglin")
    due = house.now + timedelta(days=30)
    assert (await house.tickets(display="false"))[0]["due_date"] == f"{due:%Y-%m-%d %H:%M:%S}"
    assert NAME in ticket["short_description"]
    assert "Grace Moreau" in ticket["description"]
    assert item["assignment"]["owner"] == "ada.winterfeld@contoso.example"
    told = await house.governance(resource)
    assert told["owner"] == "ada.winterfeld@contoso.example"
    assert told["remediationDueDate"] == f"{due:%Y-%m-%dT%H:%M:%SZ}"
    assert told["isGracePeriod"] is True
    assert told["governanceEmailNotification"] == {
        "disableManagerEmailNotification": False,
        "disableOwnerEmailNotification": False,
    }
    data = told["additionalData"]
    assert data["ticketNumber"] == int(ticket["number"].removeprefix("INC"))
    assert (data["ticketLink"], data["ticketStatus"]) == (item["ticket"]["url"], "New")
    assert item["defender"] == "written"


async def test_a_due_date_at_the_end_of_the_calendar_is_a_date(house: House) -> None:
    await house.finding()
    status, answer = await house.ask(due_date="9999-12-31", remediation_days=None)
    assert (status, answer["items"][0]["assignment"]["due"]) == (201, "9999-12-31T23:59:59.000Z")
    await house.work_off(timedelta(hours=1))
    await house.defender.remind()


async def test_what_lies_on_the_queue_afterwards_changes_nothing(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    await house.calm()
    await house.work_off(timedelta(hours=1))
    assert await house.calls() == []
    assert len(await house.tickets()) == 1
    assert len(await house.writes(resource)) == 1
    assert house.line.waiting == []


async def test_many_resources_have_a_ticket_each(house: House) -> None:
    machines = [await house.finding(house.machine(f"web-{n:02}")) for n in range(6)]
    status, answer = await house.ask(
        resources=[*machines, machines[0].upper().replace("SUBSCRIPTIONS", "subscriptions")]
    )
    assert status == 201
    assert [item["resource"] for item in answer["items"]] == machines
    assert len({item["ticket"]["number"] for item in answer["items"]}) == len(await house.tickets()) == 6


async def test_a_recommendation_may_be_named_as_people_name_it(house: House) -> None:
    await house.finding()
    status, answer = await house.ask(recommendation=NAME.lower())
    assert (status, answer["items"][0]["key"]) == (201, house.key())


async def test_a_kind_and_fields_of_the_person_go_before_the_integrations(house: House) -> None:
    await house.finding()
    fields = {"risk": "2", "short_description": "{{ not a template }}", "on_hold": False}
    status, answer = await house.ask(kind="change_request", fields=fields, caller="beth.anglin")
    (change,) = await house.tickets("change_request", display="false")
    assert (status, answer["items"][0]["ticket"]["kind"]) == (201, "change_request")
    assert (change["risk"], change["short_description"]) == ("2", "{{ not a template }}")


async def test_a_group_may_have_to_fix_it(house: House) -> None:
    resource = await house.finding()
    status, answer = await house.ask(assigned_to="cloud operations")
    (ticket,) = await house.tickets()
    assert (status, ticket["assignment_group"], ticket["assigned_to"]) == (201, "Cloud Operations", "")
    assert answer["items"][0]["assignment"]["owner"] == "Cloud Operations"
    assert "owner" not in await house.governance(resource)  # which takes addresses only


async def test_the_same_request_again_makes_no_second_ticket_and_costs_no_write(house: House) -> None:
    await house.finding()
    due = f"{house.now + timedelta(days=9):%Y-%m-%dT%H:%M:%S}Z"
    _, first = await house.ask(due_date=due, remediation_days=None)
    await house.calm()
    status, second = await house.ask(due_date=due, remediation_days=None)
    assert (status, second["items"][0]["status"]) == (201, "existing")
    assert second["items"][0]["ticket"] == first["items"][0]["ticket"]
    assert await house.calls("PATCH") == await house.calls("POST") == []
    assert len(await house.writes()) == 1


async def test_owner_and_due_date_of_a_changed_assignment_are_in_the_list_at_once(house: House) -> None:
    await house.finding()
    await house.ask()
    due = (house.now + timedelta(days=5)).replace(microsecond=0)
    given = f"{due:%Y-%m-%dT%H:%M:%S}Z"
    _, second = await house.ask(due_date=given, remediation_days=None, assigned_to="beth.anglin")
    (item,) = second["items"]
    assert item["status"] == "updated"
    assert "not_applied" not in item
    page = await house.services.ticket_list.page(TicketQuery())
    (row,) = [one for one in page.items if one.id == item["ticket"]["id"]]
    assert (row.due, row.owner) == (due, item["assignment"]["owner"])


async def test_another_owner_and_date_go_to_the_same_ticket_in_one_write(house: House) -> None:
    resource = await house.finding()
    await house.ask()
    await house.calm()
    status, answer = await house.ask(
        assigned_to="beth.anglin", remediation_days=7, fields={"category": "software"}, by="Hugo"
    )
    assert (status, answer["items"][0]["status"]) == (201, "updated")
    (ticket,) = await house.tickets()
    assert (ticket["assigned_to"], ticket["category"]) == ("Beth Anglin", "Software")
    due = house.now + timedelta(days=7)
    assert (await house.tickets(display="false"))[0]["due_date"] == f"{due:%Y-%m-%d %H:%M:%S}"
    assert len(await house.calls("PATCH")) == 1
    (note,) = [note for note in await house.notes(ticket) if "Assigned anew by Hugo" in note]
    assert "beth.anglin@contoso.example" in note
    assert (await house.governance(resource))["owner"] == "beth.anglin@contoso.example"
    link = await house.link()
    assert link is not None
    assert link.due == due.astimezone(UTC)
    await house.work_off(timedelta(hours=1))
    assert len(await house.calls("PATCH")) == 1


async def test_from_a_person_to_a_group_and_back(house: House) -> None:
    await house.finding()
    await house.ask()
    await house.ask(assigned_to="Cloud Operations")
    (ticket,) = await house.tickets()
    assert (ticket["assignment_group"], ticket["assigned_to"]) == ("Cloud Operations", "")
    await house.ask(assigned_to="ada.winterfeld")
    (ticket,) = await house.tickets()
    assert ticket["assigned_to"] == "Ada Winterfeld"


async def test_a_due_date_that_people_move_in_the_ticket_goes_back(house: House) -> None:
    resource = await house.finding()
    await house.ask(remediation_days=7)
    await house.services.timers.resync()
    await house.work_off(timedelta(hours=1))
    (ticket,) = await house.tickets()
    assert len(await house.writes(resource)) == 1  # the ticket's own date, read back, is no news
    later = house.now + timedelta(days=21)
    await house.change(ticket, due_date=f"{later:%Y-%m-%d %H:%M:%S}")
    await house.services.timers.resync()
    await house.work_off(timedelta(hours=1))
    assert (await house.governance(resource))["remediationDueDate"] == f"{later:%Y-%m-%dT%H:%M:%SZ}"
    assignment = await house.assignment()
    assert assignment is not None
    assert assignment.due == later
    await house.ask(remediation_days=14)  # and a person's word counts again
    again = house.now + timedelta(days=14)
    await house.services.timers.resync()
    await house.work_off(timedelta(hours=1))
    assert (await house.governance(resource))["remediationDueDate"] == f"{again:%Y-%m-%dT%H:%M:%SZ}"


async def test_a_ticket_that_people_closed_is_never_written_and_another_follows_it(house: House) -> None:
    await house.finding()
    await house.ask()
    (ticket,) = await house.tickets()
    await house.work_off(timedelta(hours=1))
    await house.change(ticket, state="7", close_code="Solution provided", close_notes="done")
    before = (await house.tickets())[0]["sys_mod_count"]
    status, answer = await house.ask(assigned_to="beth.anglin")
    tickets = await house.tickets()
    assert (status, answer["items"][0]["status"], len(tickets)) == (201, "created", 2)
    assert tickets[0]["sys_mod_count"] == before
    assert tickets[1]["assigned_to"] == "Beth Anglin"
    assert answer["items"][0]["ticket"]["number"] == tickets[1]["number"]
    await house.work_off(timedelta(hours=1))
    assert len(await house.tickets()) == 2


async def test_a_ticket_that_people_resolved_is_reopened_for_whoever_is_to_fix_it_now(house: House) -> None:
    await house.finding()
    await house.ask()
    (ticket,) = await house.tickets()
    await house.change(ticket, state="6", close_code="Solution provided", close_notes="done")
    await house.services.timers.resync()
    link = await house.link()
    assert link is not None
    assert link.stage.value == "resolved"
    status, answer = await house.ask(assigned_to="beth.anglin")
    (ticket,) = await house.tickets()
    assert (status, answer["items"][0]["status"]) == (201, "reopened")
    assert (ticket["state"], ticket["assigned_to"]) == ("In Progress", "Beth Anglin")


async def test_a_ticket_that_a_route_made_becomes_the_owners(house: House) -> None:
    resource = await house.finding()
    origin = f"{resource}/providers/Microsoft.Security/assessments/{DISKS}"
    found = await house.defender.clouds.assessments(resource).get(origin)
    (signal,) = parse(found, house.now)
    assert isinstance(signal, Signal)
    await house.line.send(SignalMessage(id=uuid4().hex, received_at=house.now, signal=signal))
    await house.work_off()
    (ticket,) = await house.tickets()
    assert (ticket["assigned_to"], await house.assignment()) == ("", None)
    status, answer = await house.ask()
    (after,) = await house.tickets()
    assert (status, answer["items"][0]["status"]) == (201, "updated")
    assert (after["number"], after["assigned_to"]) == (ticket["number"], "Ada Winterfeld")
    assert (await house.governance(resource))["additionalData"]["ticketLink"] == answer["items"][0]["ticket"]["url"]
    await house.work_off(timedelta(hours=1))
    assert len(await house.tickets()) == 1


async def test_resources_may_share_a_ticket(house: House) -> None:
    shared = {"name": "shared", "one_ticket_per": "recommendation"}
    house.configure(integrations=[shared])
    key = house.group.removeprefix("rg-")
    one, two = [await house.finding(house.machine(name), key=f"disks-{key}") for name in ("web-01", "web-02")]
    status, answer = await house.ask(recommendation=f"disks-{key}", resources=[one, two])
    assert {item["status"] for item in answer["items"]} <= {"created", "pending", "existing"}
    assert (status == 202) is ("pending" in {item["status"] for item in answer["items"]})
    await house.work_off(timedelta(hours=1))
    (ticket,) = await house.tickets()
    status, answer = await house.ask(recommendation=f"disks-{key}", resources=[one, two])
    assert {item["ticket"]["number"] for item in answer["items"]} == {ticket["number"]}
    assert len(await house.tickets()) == 1
    _, answer = await house.ask(recommendation=f"disks-{key}", resources=[one], assigned_to="beth.anglin")
    assert answer["items"][0]["not_applied"] == ["assigned_to", "due_date", "caller", "fields"]
    assert (await house.tickets())[0]["assigned_to"] == ticket["assigned_to"]


async def test_write_back_may_be_off(house: House) -> None:
    house.configure(write_back=False)
    await house.finding()
    status, answer = await house.ask()
    assert (status, answer["items"][0]["defender"]) == (201, "off")
    await house.work_off(timedelta(hours=1))
    assert await house.writes() == []


# -- what is left undone is done later


async def test_a_ticket_system_that_throttles_is_waited_for(house: House) -> None:
    resource = await house.finding()
    match = {"method": "POST", "path": "^/api/now/table/incident"}
    await house.servicenow("POST", "/scenarios", {"type": "throttle", "retry_after": 17, "times": 1, "match": match})
    status, answer = await house.ask()
    (item,) = answer["items"]
    assert (status, item["status"], item["ticket"]) == (202, "pending", None)
    assert "limit" in item["reason"]
    await house.work_off(timedelta(hours=1))
    assert len(await house.tickets()) == 1
    assert (await house.governance(resource))["additionalData"]["ticketStatus"] == "New"
    _, answer = await house.ask(remediation_days=None, due_date=_text(await house.assignment()))
    assert answer["items"][0]["status"] == "existing"


async def test_defender_for_cloud_that_fails_is_told_later_and_nothing_is_doubled(house: House) -> None:
    resource = await house.finding()
    await house.azure("POST", "/scenarios", {"type": "deny", "match": {"path": "governanceAssignments"}})
    status, answer = await house.ask()
    (item,) = answer["items"]
    assert (status, item["status"], item["defender"]) == (202, "created", "refused")
    assert "Defender CSPM" in item["defender_reason"]
    await house.work_off(timedelta(minutes=1))
    refused = [row async for row in house.services.parked.list("dead-letter") if house.group in row.key]
    assert "Defender CSPM" in refused[0].reason
    await house.calm()
    async for result in house.services.parked_items.replay("dead-letter", [row.id for row in refused]):
        assert result.outcome == "replayed"
    await house.work_off(timedelta(hours=1))
    assert not [row async for row in house.services.parked.list("dead-letter") if house.group in row.key]
    assert len(await house.tickets()) == 1
    assert (await house.governance(resource))["owner"] == "ada.winterfeld@contoso.example"


async def test_at_whatever_step_it_dies_the_queue_completes_it(house: House) -> None:
    """The process dies before or after its nth write to storage, queue, ServiceNow or Azure; the queue is what is
    left of it."""
    for step in range(60):
        resource = await house.finding(house.machine(f"died-{step:02}"))
        services = house.configure()
        death = Death(step)
        death.hangs_over(house, services)
        try:
            status, _ = await house.ask(resources=[resource])
            died = False
        except Died:
            died = True
        house.line.tick = lambda: None
        house.configure()
        await house.work_off(timedelta(hours=2))
        written = await house.assignment(resource) is not None
        tickets = [one for one in await house.tickets() if f"died-{step:02}" in one["description"]]
        assert len(tickets) == (1 if written else 0), step
        assert bool(await house.governance(resource)) is written, step
        link = await house.link(resource)
        assert (link is not None and link.pending is None) or not written, step
        if not died:
            assert (status, written) == (201, True)
            break
        if written:
            _, again = await house.ask(
                resources=[resource], remediation_days=None, due_date=_text(await house.assignment(resource))
            )
            assert again["items"][0]["status"] == "existing"
    assert step > 12, "far more can go wrong than that"


async def test_a_change_is_completed_at_whatever_step_it_dies(house: House) -> None:
    for step in range(60):
        resource = await house.finding(house.machine(f"died-{step:02}"))
        services = house.configure()
        await house.ask(resources=[resource])
        await house.work_off(timedelta(hours=1))
        death = Death(step)
        death.hangs_over(house, services)
        try:
            await house.ask(resources=[resource], assigned_to="beth.anglin")
            died = False
        except Died:
            died = True
        house.line.tick = lambda: None
        house.configure()
        await house.work_off(timedelta(hours=2))
        assignment = await house.assignment(resource)
        assert assignment is not None
        (ticket,) = [one for one in await house.tickets() if f"died-{step:02}" in one["description"]]
        told = await house.governance(resource)
        if assignment.owner.startswith("beth"):
            assert (ticket["assigned_to"], told["owner"]) == ("Beth Anglin", "beth.anglin@contoso.example"), step
            assert len([note for note in await house.notes(ticket) if "Assigned anew" in note]) == 1, step
        else:
            assert (ticket["assigned_to"], told["owner"]) == ("Ada Winterfeld", "ada.winterfeld@contoso.example"), step
        if not died:
            break
    assert step > 8


class Died(BaseException):
    """The process is gone."""


class Death:
    """Counts the steps of a process, and ends it at one of them."""

    def __init__(self, step: int) -> None:
        self._left = step

    def tick(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Died

    def hangs_over(self, house: House, services: Container) -> None:
        """Before and after every write."""
        house.line.tick = self.tick
        services.source(DefenderSource).__dict__["assignments"] = _mortal(
            AssignmentStore(house.storage), self.tick, "write"
        )
        services.__dict__["links"] = _mortal(LinkStore(house.storage), self.tick, "write")
        system = services.system(house.connection)
        _mortal(system, self.tick, "create", "update", "comment")
        clouds = services.source(DefenderSource).clouds
        governance = clouds.governance(house.machine())
        _mortal(governance, self.tick, "put", "delete")


def _mortal(part: Any, tick: Callable[[], None], *names: str) -> Any:
    """The part, whose methods may be its process's last."""
    for name in names:
        method = getattr(part, name)

        async def dying(*given: Any, method: Any = method, **named: Any) -> Any:
            tick()
            done = await method(*given, **named)
            tick()
            return done

        setattr(part, name, dying)
    return part


def _text(assignment: Assignment | None) -> str:
    assert assignment is not None
    return f"{assignment.due:%Y-%m-%dT%H:%M:%S}Z"
