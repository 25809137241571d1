"""Recommendations become owned, dated tickets, and close themselves when the finding is gone."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.poll.management_groups import ManagementGroupPath
from shared.core.messages import SignalMessage, encode
from shared.core.signal import Signal, SignalState
from shared.platform.tables import RowOvertaken
from tests.defender_assignments.office import Office
from tests.mapping.recommendations import DISKS, SUBSCRIPTION, healed, recommendation

DAY = timedelta(days=1)
PATCHES = "1195afff-c881-495e-9bc5-1486211ae03f"


def found(office: Office, machine: str = "vm-web-01", assessment: str = DISKS, **changes: Any) -> Signal:
    """A recommendation for a machine of this test's own, noticed now."""
    resource = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{office.group}/providers/Microsoft.Compute/virtualMachines"
        f"/{machine}"
    )
    return recommendation(resource, assessment, **{"occurred_at": office.now, "fired_at": office.now, **changes})


def defender(
    *rules: dict[str, Any], integrations: list[dict[str, Any]] | None = None, **integration: Any
) -> dict[str, Any]:
    """The section, with one integration for everything unless others are given."""
    return {
        "integrations": integrations or [{"name": "all", "connection": "desk", **integration}],
        "governance": [{"name": f"rule {n}", "owner": {"value": "david.loo"}, **one} for n, one in enumerate(rules)],
    }


async def test_a_recommendation_is_owned_dated_and_resolved_when_it_is_healthy(office: Office) -> None:
    office.configure(defender({"owner": {"tag": "Owner"}, "days": 7}, caller="abel.tuter"))
    noticed = found(office, tags={"oWNER": "david.loo"})
    await office.deliver(noticed)
    (ticket,) = await office.tickets()
    due = (office.now + 7 * DAY).strftime("%Y-%m-%d %H:%M:%S")
    assert (ticket["assigned_to"], ticket["caller_id"]) == ("David Loo", "Abel Tuter")
    (stored,) = (
        await office.admin.get("/api/now/table/incident", params={"sysparm_query": f"number={ticket['number']}"})
    ).json()["result"]
    assert stored["due_date"] == due
    assert ticket["description"].startswith(f"To be fixed by {due} UTC, owner david.loo. Assigned by")
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert (assignment.owner, assignment.ticket_key, assignment.open) == ("david.loo", noticed.key, True)

    office.now += DAY
    await office.deliver(healed(noticed, office.now))
    (ticket,) = await office.tickets()
    assert ticket["state"] == "Resolved"
    assert ticket["close_notes"].startswith("The resource is healthy.\n\nDisks should be encrypted ended at ")
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert (assignment.ended_at, assignment.outcome) == (office.now, "healthy")
    assert office.line.orders.count(f"assignment:1:{noticed.key}") == 1


@pytest.mark.parametrize(
    ("resolution", "said"),
    [
        ("not_applicable", "The recommendation does not apply to the resource."),
        ("exempted", "The resource is exempted from the recommendation."),
        ("deleted", "The finding was deleted, with its resource or its assessment."),
    ],
)
async def test_each_end_has_a_close_note_of_its_own(office: Office, resolution: str, said: str) -> None:
    office.configure(defender({}))
    noticed = found(office)
    await office.deliver(noticed, healed(noticed, office.now + DAY, resolution, said))
    (ticket,) = await office.tickets()
    assert ticket["state"] == "Resolved"
    assert ticket["close_notes"].startswith(said)
    assert f"({resolution.replace('_', ' ')}), reported by Microsoft Defender for Cloud" in ticket["close_notes"]
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert assignment.outcome == resolution


async def test_the_due_date_stays_whatever_comes_and_an_older_end_ends_nothing(office: Office) -> None:
    office.configure(defender({"days": 7}))
    noticed = found(office)
    await office.deliver(noticed)
    before = await office.assignment(noticed)
    assert before is not None
    office.now += 3 * DAY
    office.configure(defender({"days": 90, "owner": {"value": "beth.anglin"}}, one_ticket_per="owner"))
    await office.deliver(noticed, found(office), healed(noticed, noticed.occurred_at - DAY))
    after = await office.assignment(noticed)
    assert after is not None
    assert replace(after, latest=before.latest) == before
    (ticket,) = await office.tickets()
    assert (ticket["assigned_to"], ticket["state"]) == ("David Loo", "New")


async def test_a_finding_that_returns_reopens_its_ticket_and_is_assigned_anew(office: Office) -> None:
    office.configure(defender({"days": 7}, reopen_window="2d"))
    noticed = found(office)
    await office.deliver(noticed, healed(noticed, office.now + DAY))
    office.now += 2 * DAY
    await office.deliver(found(office))
    (ticket,) = await office.tickets()
    assert ticket["state"] == "In Progress"
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert (assignment.open, assignment.due) == (True, office.now + 7 * DAY)

    await office.deliver(healed(noticed, office.now + DAY))
    office.now += 9 * DAY
    await office.deliver(found(office))
    first, second = await office.tickets()
    assert (first["state"], second["state"]) == ("Resolved", "New")
    due = (office.now + 7 * DAY).strftime("%Y-%m-%d %H:%M:%S")
    assert second["description"].startswith(f"To be fixed by {due}")


async def test_one_ticket_per_recommendation_ends_with_its_last_resource(office: Office) -> None:
    office.configure(defender({}, one_ticket_per="recommendation"))
    assessment = f"{office.group}-disks"
    one, two = (found(office, machine, assessment) for machine in ("vm-1", "vm-2"))
    await office.deliver(one)
    office.now += timedelta(minutes=1)
    await office.deliver(two, two)
    await office.work_off(timedelta(minutes=10))
    (ticket,) = await office.tickets()
    assert ticket["short_description"] == "Disks should be encrypted"
    key = f"group:1:integration:all/{assessment}"
    assert {one.key for one in await office.defender.assignments.of_ticket(key)} == {
        one.key,
        two.key,
    }
    assert f"assignment:1:{two.key}" in office.line.orders, "it joined a ticket that was there"
    await office.deliver(healed(one, office.now))
    await office.work_off(timedelta(minutes=10))
    assert [row["state"] for row in await office.tickets()] == ["New"]
    await office.deliver(healed(two, office.now, "exempted"))
    await office.work_off(timedelta(minutes=10))
    assert [row["state"] for row in await office.tickets()] == ["Resolved"]
    assert [one.outcome for one in await office.defender.assignments.of_ticket(key)] == [
        "healthy",
        "exempted",
    ]


async def test_one_ticket_per_owner_gathers_what_somebody_has_to_fix(office: Office) -> None:
    office.configure(defender({"owner": {"tag": "owner", "otherwise": "beth.anglin"}}, one_ticket_per="owner"))
    mine = f"david.{office.group}@contoso.example"
    for machine, assessment in (("vm-1", DISKS), ("vm-2", PATCHES)):
        await office.deliver(found(office, machine, assessment, tags={"Owner": mine}))
    await office.deliver(found(office, "vm-3", tags={"Owner": mine.upper()}), found(office, "vm-4"))
    await office.work_off(timedelta(minutes=10))
    tickets = await office.tickets(query=f"^descriptionLIKE{office.group}^ORdescriptionLIKEbeth.anglin")
    assert [row["short_description"].rpartition(" for ")[2] for row in tickets] == [mine, "beth.anglin"]


async def test_the_nearest_scope_decides_also_through_management_groups(office: Office) -> None:
    scopes = {
        "all": "/",
        "shop": "/providers/Microsoft.Management/managementGroups/mg-Shop",
        "own": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{office.group}",
    }
    integrations = [{"name": name, "scope": scope, "connection": "desk"} for name, scope in scopes.items()]
    settings = defender({"scope": scopes["shop"]}, integrations=integrations[:2])
    office.configure(settings)
    await office.deliver(found(office, "vm-1"))
    assert [row["assigned_to"] for row in await office.tickets()] == [""], "nothing is known of its management groups"
    await office.defender.group_paths.write("", {SUBSCRIPTION: ManagementGroupPath("", ("mg-shop", "contoso"))})
    second, third = found(office, "vm-2"), found(office, "vm-3")
    await office.deliver(second)
    office.configure({**settings, "integrations": integrations})
    await office.deliver(third)
    for signal, integration in ((second, "shop"), (third, "own")):
        assignment = await office.assignment(signal)
        assert assignment is not None
        assert assignment.integration == integration
    await office.defender.group_paths.write("", {})


async def test_customised_fields_and_other_kinds_reach_the_instance(office: Office) -> None:
    fields = {
        "requested_by": "abel.tuter",
        "assigned_to": "{{ signal.details.owner }}",
        "short_description": "Fix {{ signal.rule }}",
        "assignment_group": "Network",
    }
    rules = ({"recommendations": "Disks*"}, {"ticket": "problem"})
    office.configure(defender(*rules, ticket="change_request", fields={"change_request": fields}))
    await office.deliver(found(office), found(office, assessment=PATCHES, rule="Patches should be installed"))
    (change,) = await office.tickets("change_request")
    assert (change["requested_by"], change["assigned_to"], change["assignment_group"]) == (
        "Abel Tuter",
        "David Loo",
        "Network",
    )
    assert change["short_description"] == "Fix Disks should be encrypted"
    (problem,) = await office.tickets("problem")
    assert problem["assigned_to"] == "David Loo"


async def test_a_removed_integration_leaves_its_tickets_resolvable(office: Office) -> None:
    assessment = f"{office.group}-disks"
    integrations = [
        {"name": "single", "connection": "desk"},
        {
            "name": "shared",
            "connection": "desk",
            "one_ticket_per": "recommendation",
            "scope": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{office.group}-2",
        },
    ]
    office.configure(defender({}, integrations=integrations))
    alone = found(office, assessment=PATCHES)
    resource = alone.resources[0].id or ""
    grouped = [
        recommendation(resource.replace(office.group, f"{office.group}-2") + str(n), assessment, occurred_at=office.now)
        for n in range(2)
    ]
    await office.deliver(alone, *grouped)
    await office.work_off(timedelta(minutes=10))
    assert len(await office.tickets()) == 2
    for default in ({"connection": "desk"}, None):
        office.configure(
            {"integrations": []}, default=default, routes=[{"name": "x", "when": {"kind": "log"}, "connection": "desk"}]
        )
        await office.deliver(grouped[0])
        assert len(await office.tickets()) == 2, "no second ticket for one whose group has it"
    await office.deliver(healed(alone, office.now), healed(grouped[0], office.now))
    assert [row["state"] for row in await office.tickets()].count("Resolved") == 1
    await office.deliver(healed(grouped[1], office.now))
    assert [row["state"] for row in await office.tickets()] == ["Resolved", "Resolved"]


async def test_polled_ones_that_nobody_has_to_fix_make_nothing_and_pushed_ones_take_the_routes(office: Office) -> None:
    polled: dict[str, Any] = {"details": {"polled": "true"}}
    rules = ({"when": {"severity": 0}},)
    office.configure({**defender(*rules), "poll": {"every": "1h"}})
    quiet = found(office, **polled)
    await office.deliver(quiet, healed(quiet, office.now))
    assert await office.tickets() == []
    assert await office.assignment(quiet) is None
    assert await office.services.links.load(quiet.key) is None
    pushed = found(office, "vm-2")
    await office.deliver(pushed)
    assert len(await office.tickets()) == 1
    over = healed(found(office, "vm-2", **polled), office.now)
    await office.deliver(over)
    assert [row["state"] for row in await office.tickets()] == ["Resolved"], "the poll ends what was pushed"
    office.configure({**defender(*rules), "poll": {"every": "1h", "unassigned": "routes"}})
    await office.deliver(found(office, "vm-3", **polled))
    assert len(await office.tickets()) == 2


async def test_a_firing_that_comes_after_its_end_leaves_no_open_assignment(office: Office) -> None:
    office.configure(defender({}))
    noticed = found(office)
    await office.deliver(healed(noticed, office.now + DAY), noticed)
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert (assignment.open, assignment.ticket_key) == (False, "")
    assert {row["state"] for row in await office.tickets()} <= {"Resolved"}


class Died(BaseException):
    """The process is gone: nothing in it catches that."""


class Dying:
    """A worker that dies at its n-th step into storage or queue, and is followed by one that does not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, office: Office) -> None:
        self.steps = 0
        self.dies_at = 0
        for owner, name in (
            (AssignmentStore, "load"),
            (AssignmentStore, "write"),
            (AssignmentStore, "_index"),
            (type(office.services.links), "write"),
            (type(office.line), "send"),
        ):
            monkeypatch.setattr(owner, name, self._stepping(getattr(owner, name)))

    def _stepping(self, original: Any) -> Any:
        async def stepping(*args: Any, **kwargs: Any) -> Any:
            self.steps += 1
            if self.steps == self.dies_at:
                raise Died
            return await original(*args, **kwargs)

        return stepping


@pytest.mark.parametrize("per", ["resource", "recommendation"])
async def test_a_crash_at_any_step_and_a_message_that_comes_twice_change_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, per: str
) -> None:
    office.configure(defender({}, one_ticket_per=per))
    dying = Dying(monkeypatch, office)
    died = 0
    for dies_at in range(1, 8):
        # with a ticket per recommendation, the second resource joins what the first one began
        signals = [found(office, f"vm-{dies_at}-{n}", f"{office.group}-{dies_at}") for n in range(2)]
        for message in [*signals, *(healed(one, office.now + timedelta(minutes=5)) for one in signals)]:
            envelope = SignalMessage(id=uuid4().hex, received_at=office.now, signal=message)
            dying.steps, dying.dies_at = 0, dies_at
            with contextlib.suppress(Died):
                await office.services.worker.handle(envelope.id, encode(envelope), 1)
            died += dying.steps >= dies_at
            dying.dies_at = 0
            before = len(office.line.orders)
            await office.services.worker.handle(envelope.id, encode(envelope), 2)
            await office.work_off(timedelta(minutes=10))
            if message.state is SignalState.RESOLVED:
                assert f"assignment:1:{message.key}" in office.line.orders[before:], "the order is repeated"
        for one in signals:
            assignment = await office.assignment(one)
            assert assignment is not None
            assert (assignment.open, assignment.outcome) == (False, "healthy")
            assert assignment.due == assignment.created_at + 30 * DAY
        rows = await office.tickets(query=f"^descriptionLIKE{office.group}-{dies_at}")
        states = [row["state"] for row in rows]
        assert states == ["Resolved"] * (2 if per == "resource" else 1), dies_at
    assert died > 15, "the worker did die"


async def test_who_was_overtaken_reads_again_and_decides_anew(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.configure(defender({"days": 7}))
    noticed = found(office)
    write = AssignmentStore.write
    others = 0

    async def overtaken(store: AssignmentStore, assignment: Any, etag: str | None) -> str:
        nonlocal others
        if others < 2:
            others += 1
            stored = await store.load(assignment.key)
            changed = replace(stored.value if stored is not None else assignment, owner=f"other {others}")
            await write(store, changed, stored.etag if stored is not None else None)
            raise RowOvertaken
        return await write(store, assignment, etag)

    monkeypatch.setattr(AssignmentStore, "write", overtaken)
    await office.deliver(noticed)
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert assignment.owner == "other 1", "the other worker's assignment stands"
    (ticket,) = await office.tickets()
    assert "owner other 1." in ticket["description"]


async def test_what_a_storm_counts_has_its_ticket_there(office: Office) -> None:
    throttle = {"name": office.group, "tickets": 1, "per": "1h", "by": "all"}
    office.configure(defender({}), throttles=[throttle])
    first, second = found(office, "vm-1"), found(office, "vm-2")
    await office.deliver(first, second)
    own, storm = await office.assignment(first), await office.assignment(second)
    assert own is not None
    assert storm is not None
    assert own.ticket_key == first.key
    assert storm.ticket_key.startswith(f"storm:1:{office.group}/all@")
    await office.work_off(timedelta(minutes=10))
    await office.deliver(second, healed(second, office.now))
    await office.work_off(timedelta(minutes=10))
    assert sorted(row["state"] for row in await office.tickets()) == ["New", "Resolved"]


async def test_a_large_recommendation_keeps_its_content_while_the_instance_is_away(office: Office) -> None:
    away = {
        "type": "servicenow",
        "url": "http://127.0.0.1:9",
        "auth": {"type": "api_key", "key": {"secret": "desk-password"}},
    }
    office.configure(defender({}), connections={"desk": away})
    noticed = found(office, description="x" * 60_000)
    envelope = SignalMessage(id=uuid4().hex, received_at=office.now, signal=noticed)
    text = await office.line.encoded(envelope)
    assert '"claim"' in text
    await office.services.worker.handle(envelope.id, text, 1)
    ((_, postponed),) = office.line.waiting
    assert postponed.claim == "", "its blob is gone with the message that named it"
    assert isinstance(postponed, SignalMessage)
    assert (len(postponed.signal.description), postponed.signal.details["owner"]) == (60_000, "david.loo")


async def test_a_repeated_firing_after_the_end_is_not_assigned_again(office: Office) -> None:
    office.configure(defender({}))
    noticed = found(office)
    await office.deliver(noticed, healed(noticed, office.now + DAY), noticed)
    assignment = await office.assignment(noticed)
    assert assignment is not None
    assert not assignment.open
    assert [row["state"] for row in await office.tickets()] == ["Resolved"]
