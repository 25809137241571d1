"""Assignments in real tables: owned by who read them last, and found by their ticket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.store import CODEC, AssignmentStore
from local.azurite import Azurite
from shared.core.ticket_system import TicketKind
from shared.platform.storage import Storage
from shared.platform.tables import RowOvertaken

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def store(azurite: Azurite) -> AsyncIterator[AssignmentStore]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield AssignmentStore(storage)
    await storage.aclose()


def assignment(key: str = "") -> Assignment:
    """An assignment with something in every field."""
    return Assignment(
        key=key or f"recommendation:1:/subscriptions/{uuid4()}/it's/é",
        origin="/subscriptions/x/providers/Microsoft.Security/assessments/y",
        owner="abel.tuter@contoso.example",
        due=NOW + timedelta(days=7),
        integration="prod",
        kind=TicketKind.CHANGE_REQUEST,
        created_at=NOW,
        title="MFA should be on, 日本語",
        resource="vm-web-01",
        grace=True,
        notify_owner=True,
        notify_manager=True,
        caller="beth.anglin",
        rule="a rule",
        by="someone",
        fields={"assignment_group": "Linux"},
        ticket_key=f"group:1:{uuid4()}",
        latest=(NOW, 2),
        ended_at=NOW,
        outcome="healthy",
        withdrawn="Withdrawn by Grace Moreau: sold.",
        overdue_since=NOW,
        reminded_at=NOW,
        last_pushed="{}",
    )


def bare() -> Assignment:
    """An open assignment without anything that may be missing."""
    return Assignment(
        key=f"recommendation:1:{uuid4()}",
        origin="",
        owner="",
        due=NOW,
        integration="prod",
        kind=TicketKind.INCIDENT,
        created_at=NOW,
    )


def test_an_assignment_survives_the_trip_through_its_row() -> None:
    for one in (assignment(), bare()):
        assert CODEC.from_row(CODEC.to_row(one)) == one


async def test_an_assignment_belongs_to_who_read_it_last(store: AssignmentStore) -> None:
    one = assignment()
    assert await store.load(one.key) is None
    etag = await store.write(one, None)
    with pytest.raises(RowOvertaken):
        await store.write(one, None)
    stored = await store.load(one.key)
    assert stored is not None
    assert (stored.value, stored.etag) == (one, etag)
    await store.write(replace(one, grace=False), etag)
    with pytest.raises(RowOvertaken):
        await store.write(one, etag)


async def test_a_ticket_knows_its_assignments_also_when_one_moves_or_its_write_was_lost(store: AssignmentStore) -> None:
    group = f"group:1:{uuid4()}"
    one, two, never = (replace(bare(), ticket_key=group) for _ in range(3))
    etag = await store.write(one, None)
    await store.write(two, None)
    await store._index(never)  # the crash between index and assignment
    assert await store.of_ticket(group) == sorted((one, two), key=lambda each: each.key)
    moved = replace(one, ticket_key=one.key)
    await store.write(moved, etag)
    assert await store.of_ticket(group) == [two]
    assert await store.of_ticket(one.key) == [moved]
    assert await store.of_ticket(f"group:1:{uuid4()}") == []


async def test_only_what_is_open_and_was_due_before_is_overdue(store: AssignmentStore) -> None:
    due, later, over = bare(), replace(bare(), due=NOW + timedelta(microseconds=1)), bare()
    over = replace(over, ended_at=NOW)
    for one in (due, later, over):
        await store.write(one, None)
    keys = {due.key, later.key, over.key}
    for moment, expected in ((NOW, set()), (NOW + timedelta(microseconds=1), {due.key})):
        assert {one.key async for one in store.open_due_before(moment)} & keys == expected
    assert {one.key async for one in store.all()} >= keys
