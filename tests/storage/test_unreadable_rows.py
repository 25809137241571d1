"""Rows that are damaged, or were written by another release: every list goes on without them, and the log says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from connectors.azure_monitor.reconcile.state import TABLE as RECONCILED
from connectors.azure_monitor.reconcile.state import ReconciledAlert, ReconcileProgress, ReconcileState
from connectors.defender.assignments import store as assignments
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.poll.changes import Entry, FindingStage
from connectors.defender.poll.management_groups import BLOB, ManagementGroupPath, ManagementGroupPaths
from connectors.defender.poll.management_groups import CONTAINER as FINDINGS
from connectors.defender.poll.snapshot import PollProgress, Snapshot, write_entry
from connectors.secure_score.poll.states import CONTAINER as SCORES
from connectors.secure_score.poll.states import ScoreStates, TenantState
from local.azurite import Azurite
from shared.core.errors import StorageUnavailable, UnreadableRow
from shared.core.link import Link, LinkStage, link_id
from shared.core.messages import SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import SignalState
from shared.core.ticket_system import TicketKind, TicketRef
from shared.delivery import links as link_rows
from shared.delivery.grouping.model import Member
from shared.delivery.grouping.store import MEMBERS, GroupStore
from shared.delivery.links import PARTS, LinkStore
from shared.delivery.parked import TABLE as PARKED
from shared.delivery.parked import ParkedStore
from shared.operations.connection_health import TABLE as HEALTH
from shared.operations.connection_health import ConnectionHealthStore
from shared.operations.ticket_list import TicketFilter, TicketList, TicketQuery
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress
from shared.resync.progress import CONTAINER as RESYNC
from shared.resync.progress import FullCheckPosition, ResyncPosition, ResyncProgress
from tests.mapping.signals import signal
from tests.storage.damage import MISSING, damage, damage_blob, heard

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

#: What may have happened to the row of a link, and what the log says of it.
DAMAGES: list[tuple[dict[str, Any], str]] = [
    ({"Stage": "opened"}, "stage: 'opened' is not a valid LinkStage"),
    ({"Kind": "major_incident"}, "kind: 'major_incident' is not a valid TicketKind"),  # a newer release knows it
    ({"Ticket": '{"kind": "incident", '}, "ticket: "),
    ({"Ticket": '{"kind": "incident"}'}, "ticket: id is missing"),
    ({"Ticket": "[]"}, "ticket: "),
    ({"Key": MISSING}, "key is missing"),
    ({"CreatedAt": "yesterday"}, "created_at: "),
    ({"CreatedAt": "2026-03-01T12:00:00"}, "does not name its offset"),
    ({"Generation": "two"}, "generation: 'two' is not of type int"),
]


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


def link(connection: str) -> Link:
    key = f"alert:1:{uuid4()}"
    ticket = TicketRef(TicketKind.INCIDENT, uuid4().hex, key, f"INC{uuid4().hex[:7]}")
    return Link(
        key, 1, LinkStage.OPEN, connection, TicketKind.INCIDENT, "r", ticket, source="azure_monitor", created_at=NOW
    )


@pytest.mark.parametrize(("cells", "reason"), DAMAGES, ids=[reason for _, reason in DAMAGES])
async def test_a_link_that_cannot_be_read_is_left_out_of_every_list_and_said_once(
    storage: Storage, cells: dict[str, Any], reason: str
) -> None:
    links, connection = LinkStore(storage), f"desk-{uuid4().hex[:8]}"
    good, bad = link(connection), link(connection)
    for one in (good, bad):
        await links.write(one, None)
    row = link_id(bad.key)
    await damage(storage, link_rows.TABLE, link_rows.address(row), **cells)
    with heard() as said:
        for _ in range(2):
            keys = {one.key async for one in links.all()}
            assert good.key in keys
            assert bad.key not in keys
        assert [one.key for number in range(PARTS) for one in await links.part(number, connection)] == [good.key]
        tickets = TicketList(links, lambda _c, _k, state: state, now=lambda: NOW)
        page = await tickets.page(TicketQuery(TicketFilter(connection=connection)))
    assert [item.key for item in page.items] == [good.key]
    (report,) = [one for one in said if one["row"] == row]
    assert report["table"] == "links"
    assert reason in report["reason"]


async def test_read_by_its_key_it_is_an_error_that_waits(storage: Storage) -> None:
    links, one = LinkStore(storage), link("desk")
    await links.write(one, None)
    await damage(storage, link_rows.TABLE, link_rows.address(link_id(one.key)), Stage="opened")
    with heard() as said, pytest.raises(UnreadableRow, match="deploy the release that wrote it") as caught:
        await links.load(one.key)
    assert caught.value.retry
    assert isinstance(caught.value, StorageUnavailable), "who answers requests answers 503"
    assert len(said) == 1


async def test_a_column_that_a_row_does_not_have_has_its_default(storage: Storage) -> None:
    links, one = LinkStore(storage), replace(link("desk"), title="a title", revision=4)
    await links.write(one, None)
    address = link_rows.address(link_id(one.key))
    await damage(storage, link_rows.TABLE, address, Title=MISSING, Revision=MISSING, Ticket=MISSING, ANewOne="x")
    stored = await links.load(one.key)
    assert stored is not None
    assert stored.value == replace(one, title="", revision=0, ticket=None)


async def test_parked_items(storage: Storage) -> None:
    parked = ParkedStore(storage)
    good, bad = (SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal()) for _ in range(2))
    for one in (good, bad):
        await parked.park("dead-letter", one, code="refused", reason="why")
    keys = [key async for key, row in parked.rows("dead-letter") if row.id == bad.id]
    keys += [key async for key, row in parked.rows("dead-letter", newest=True) if row.id == bad.id]
    for key in (*keys, f"i-{bad.id}"):
        await damage(storage, PARKED, RowAddress("dead-letter", key), Attempts="many", ParkedAt="then")
    with heard() as said:
        listed = {row.id async for row in parked.list("dead-letter")}
        with pytest.raises(UnreadableRow):
            await parked.show("dead-letter", bad.id)
    assert good.id in listed
    assert bad.id not in listed
    assert any(one["row"] == f"i-{bad.id}" and "parked_at" in one["reason"] for one in said)
    await parked.park("dead-letter", bad, code="refused", reason="again")
    assert [r.reason async for r in parked.list("dead-letter") if r.id == bad.id] == ["again"], (
        "and nothing is left over"
    )
    await damage(storage, PARKED, RowAddress("dead-letter", f"i-{bad.id}"), Attempts="many")
    assert await parked.forget("dead-letter", bad.id)
    assert [r async for r in parked.list("dead-letter") if r.id == bad.id] == []


async def test_members_of_a_group(storage: Storage) -> None:
    groups, key = GroupStore(storage), f"group:1:{uuid4()}"
    for number in range(3):
        await groups.write_member(key, Member(f"alert:1:{number}", (NOW, 0)), None)
    found = [row async for row in storage.table(MEMBERS).query_entities(f"PartitionKey eq '{link_id(key)}'")]
    bad = next(row for row in found if row["Key"] == "alert:1:1")
    await damage(storage, MEMBERS, RowAddress(bad["PartitionKey"], bad["RowKey"]), Latest="")
    with heard() as said:
        assert sorted(one.value.key for one in await groups.members(key)) == ["alert:1:0", "alert:1:2"]
        with pytest.raises(UnreadableRow):
            await groups.member(key, "alert:1:1")
    assert [one["row"] for one in said] == [bad["RowKey"]]


async def test_assignments(storage: Storage) -> None:
    store, integration, ticket = AssignmentStore(storage), uuid4().hex, f"group:1:{uuid4()}"
    good, bad = (
        Assignment(f"recommendation:1:{uuid4()}", "", "", NOW, integration, TicketKind.INCIDENT, NOW, ticket_key=ticket)
        for _ in range(2)
    )
    for one in (good, bad):
        await store.write(one, None)
    await damage(storage, assignments.TABLE, assignments.address(bad.key), Fields="{", Kind="story")
    with heard() as said:
        assert [one.key async for one in store.open_of(integration)] == [good.key]
        assert [one.key for one in await store.of_ticket(ticket)] == [good.key]
        assert bad.key not in {one.key async for one in store.open_due_before(NOW + timedelta(days=1))}
        assert bad.key not in {one.key async for one in store.all()}
        with pytest.raises(UnreadableRow):
            await store.load(bad.key)
    assert len([one for one in said if one["row"] == link_id(bad.key)]) == 1


async def test_what_reconcile_knows(storage: Storage) -> None:
    state, subscription = ReconcileState(storage), str(uuid4())
    names = ["good", "bad"]
    await state.settle(subscription, [ReconciledAlert(name, SignalState.FIRED, NOW, NOW) for name in names])
    await state.note(subscription, ReconcileProgress(NOW, None))
    await damage(storage, RECONCILED, RowAddress(subscription, "bad"), Condition="acknowledged")
    await damage(storage, RECONCILED, RowAddress(subscription, "~progress"), RanAt="never")
    with heard() as said:
        settled, progress = await state.load(subscription)
    assert (list(settled), progress) == (["good"], ReconcileProgress())
    assert sorted(one["row"] for one in said) == ["bad", "~progress"]


async def test_health_of_connections(storage: Storage) -> None:
    health = ConnectionHealthStore(storage, lambda: NOW)
    good, bad = f"good-{uuid4()}", f"bad-{uuid4()}"
    for name in (good, bad):
        await health.ended(Outcome(OutcomeKind.POSTPONED, connection=name, call_error="not_sent"))
    await damage(storage, HEALTH, RowAddress("connection", bad), LastErrorStatus="none")
    with heard() as said:
        found = await health.read()
    assert (found[good].last_success, found[good].last_error, found[good].last_error_code) == (None, NOW, "not_sent")
    assert bad not in found
    assert bad in [one["row"] for one in said]


async def test_documents_count_as_none_and_are_replaced_by_the_next_write(storage: Storage) -> None:
    progress, scores = ResyncProgress(storage), ScoreStates(storage)
    paths = ManagementGroupPaths(storage, now=lambda: NOW)
    desk, tenant = f"desk-{uuid4().hex[:8]}", str(uuid4())
    await progress.note_reading(desk, TicketKind.INCIDENT, ResyncPosition("w", NOW))
    await progress.note_checking(desk, FullCheckPosition(7, NOW))
    await scores.save(tenant, TenantState(NOW, "rules"))
    await paths.write("own", {"one": ManagementGroupPath(tenant, ("a", "b"))})
    assert await progress.reading(desk, TicketKind.INCIDENT) == ResyncPosition("w", NOW)
    assert await progress.checking(desk) == FullCheckPosition(7, NOW)
    assert await scores.load(tenant) == TenantState(NOW, "rules")
    names = [(RESYNC, f"{desk}/incident.json"), (RESYNC, f"{desk}/full-check.json")]
    names += [(SCORES, f"{tenant}.json"), (FINDINGS, BLOB)]
    for (container, name), data in zip(names, (b"{", b'{"next": "x"}', b"[]", b"\xff"), strict=True):
        await damage_blob(storage, container, name, data)
    with heard() as said:
        assert await progress.reading(desk, TicketKind.INCIDENT) == ResyncPosition()
        assert await progress.checking(desk) == FullCheckPosition()
        assert await scores.load(tenant) == TenantState()
        await paths.load()
        await paths.load()
    assert paths.of("one") == ManagementGroupPath()
    assert [(one["table"], one["row"]) for one in said] == names
    await paths.write("own", {"one": ManagementGroupPath(tenant)})
    await paths.load()
    assert paths.of("one") == ManagementGroupPath(tenant)


async def test_a_snapshot_goes_on_behind_a_line_that_cannot_be_read(storage: Storage) -> None:
    name = f"{uuid4()}.jsonl.gz"
    snapshot = Snapshot(storage, name)
    await snapshot.open()
    writer = snapshot.writer()
    entries = [Entry(f"/subscriptions/{n}", "d", FindingStage.SENT, NOW, (NOW, 0), {"id": n}) for n in range(3)]
    await writer.add(entries[0])
    writer._waiting += writer._packed.compress(write_entry(entries[1]).replace(b'"sent"', b'"parked"') + b"\n{\n")
    await writer.add(entries[2])
    await writer.commit(PollProgress(NOW, "", "rules"))
    again = Snapshot(storage, name)
    await again.open()
    assert again.progress == PollProgress(NOW, "", "rules")
    with heard() as said:
        assert [entry async for entry in again.entries()] == [entries[0], entries[2]]
    assert [(one["table"], one["row"]) for one in said] == [(FINDINGS, name)]


async def test_a_snapshot_that_is_damaged_altogether_ends_early(storage: Storage) -> None:
    name = f"{uuid4()}.jsonl.gz"
    await Snapshot(storage, f"{uuid4()}").open()  # makes the container
    await storage.container(FINDINGS).upload_blob(name, b"no gzip", metadata={"ran_at": "never"})
    snapshot = Snapshot(storage, name)
    with heard() as said:
        await snapshot.open()
        assert snapshot.progress == PollProgress()
        assert [entry async for entry in snapshot.entries()] == []
    assert [one["row"] for one in said] == [name]
