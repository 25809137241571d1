"""The log of actions, in a real table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from app.container import Container
from local.azurite import Azurite
from shared.core.messages import SignalMessage
from shared.core.outcome import FOREIGN_MESSAGE, Outcome, OutcomeKind, measured
from shared.core.signal import SignalState
from shared.core.ticket_system import LeftOut, TicketKind, TicketRef
from shared.delivery.queue import CLAIMS
from shared.operations.audit_log import TABLE, AuditEntry, AuditLog
from shared.platform.log import listen
from shared.platform.storage import Storage, create_on_first_use
from tests.mapping.signals import signal
from tests.operations.test_parked_items import NOWHERE

#: Hours of its own for each test: the table is shared.
_YEARS = count(2031)


@pytest.fixture
def start() -> datetime:
    return datetime(next(_YEARS), 3, 1, 12, 59, 59, 999_000, tzinfo=UTC)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@pytest.fixture
def events() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    end = listen(lambda event, fields: heard.append((event, dict(fields))))
    yield heard
    end()


def action(time: datetime, **changes: Any) -> AuditEntry:
    return replace(AuditEntry(time=time, id=uuid4().hex, decision="created"), **changes)


async def read(log: AuditLog, since: datetime, until: datetime) -> list[AuditEntry]:
    return [row async for row in log.read(since, until)]


async def test_a_finished_signal_is_one_row_with_all_that_an_export_wants(storage: Storage, start: datetime) -> None:
    log = AuditLog(storage)
    message = SignalMessage(
        id=uuid4().hex, received_at=start, signal=signal(state=SignalState.RESOLVED, title="'x' " * 900), attempts=2
    )
    ticket = TicketRef(TicketKind.PROBLEM, "a" * 32, "alert:1:x", "PRB0040001", "https://contoso.example.com/x")
    outcome = Outcome(
        OutcomeKind.DELIVERED,
        "resolved",
        route="r",
        connection="desk",
        ticket=ticket,
        rule="nightly",
        reason="why",
        left_out=(LeftOut("caller_id", "sam", "sys_user", True), LeftOut("cmdb_ci", "vm-1", "cmdb_ci")),
    )
    await log.ended(measured(outcome, message, start + timedelta(seconds=2.5), calls=2))
    (row,) = await read(log, start, start + timedelta(hours=2))
    signal_ = message.signal
    assert row == AuditEntry(
        time=start + timedelta(seconds=2.5),
        id=message.id,
        decision="resolved",
        key=signal_.key,
        source=signal_.source,
        kind=signal_.kind,
        state="resolved",
        title=signal_.title[:2000],
        severity=signal_.severity,
        route="r",
        connection="desk",
        ticket_kind="problem",
        ticket_number="PRB0040001",
        ticket_id="a" * 32,
        ticket_url="https://contoso.example.com/x",
        rule="nightly",
        calls=2,
        attempts=3,
        seconds=2.5,
        alert_rule="cpu-high",
        resource=(signal_.resources[0].id or "").lower(),
        resource_type=signal_.resources[0].type or "",
        subscription=signal_.resources[0].subscription_id or "",
        fired_at=signal_.fired_at,
        reason="why",
        left_out="caller_id 'sam': several records fit in sys_user\ncmdb_ci 'vm-1': no record fits in cmdb_ci",
    )


async def test_what_is_not_the_end_of_a_signal_is_no_row(storage: Storage, start: datetime) -> None:
    log = AuditLog(storage)

    def message() -> SignalMessage:
        return SignalMessage(id=uuid4().hex, received_at=start, signal=signal())

    ends = {
        OutcomeKind.DELIVERED,
        OutcomeKind.GROUPED,
        OutcomeKind.SPLIT,
        OutcomeKind.DEAD_LETTERED,
        OutcomeKind.QUARANTINED,
    }
    for kind in OutcomeKind:
        await log.ended(measured(Outcome(kind, kind.name.lower()), message(), start, calls=0))
    foreign = Outcome(OutcomeKind.DEAD_LETTERED, "dead_lettered", code=FOREIGN_MESSAGE)
    await log.ended(measured(foreign, message(), start, calls=0))
    rows = await read(log, start, start + timedelta(hours=1))
    assert sorted(row.decision for row in rows) == sorted(kind.name.lower() for kind in ends)


async def test_a_row_costs_one_table_operation_and_a_duplicate_none(storage: Storage, start: datetime) -> None:
    log = AuditLog(storage)
    await log.write(action(start))
    before = log.operations
    assert await log.write(action(start))
    assert log.operations == before + 1
    for decision in ("duplicate", "stale", "in_progress", "overtaken"):
        assert not await log.write(action(start, decision=decision))
    assert log.operations == before + 1
    for decision in ("grouped", "suppressed", "held", "flapping", "a decision of next year"):
        assert await log.write(action(start, decision=decision))


async def test_rows_of_signals_that_end_together_are_written_together(storage: Storage, start: datetime) -> None:
    log = AuditLog(storage)
    await log.write(action(start))
    before = log.operations
    hours = [start + n % 2 * timedelta(hours=1) for n in range(120)]
    assert all(await asyncio.gather(*(log.write(action(hour)) for hour in hours)))
    assert log.operations - before <= 4, "the first one, and then all that waited, hour by hour"
    assert len(await read(log, start, start + timedelta(hours=2))) == 121


async def test_rows_are_read_in_order_of_time_from_the_first_moment_and_before_the_last(
    storage: Storage, start: datetime
) -> None:
    log = AuditLog(storage)
    times = [start + timedelta(minutes=30 * n) for n in (4, 0, 2, 1, 3, 60)]
    for time in times:
        await log.write(action(time, severity=None))
    found = await read(log, start, start + timedelta(minutes=120))
    assert [row.time for row in found] == [start + timedelta(minutes=30 * n) for n in range(4)]
    assert found[0].severity is None
    assert await read(log, start + timedelta(microseconds=1), start + timedelta(minutes=1)) == []


async def test_signals_that_end_at_the_same_microsecond_have_a_row_each_and_a_repeated_insert_is_no_second(
    storage: Storage, start: datetime
) -> None:
    log = AuditLog(storage)
    one, two = action(start), action(start)
    assert [await log.write(row) for row in (one, two, one)] == [True, True, True]
    assert len(await read(log, start, start + timedelta(hours=1))) == 2


async def test_old_hours_are_forgotten_bounded_and_the_hour_of_the_border_stays(
    storage: Storage, start: datetime
) -> None:
    log = AuditLog(storage)
    while await log.forget_before(start):  # what other tests left
        pass
    hour = timedelta(hours=1)
    rows = [action(start + n * timedelta(microseconds=1)) for n in range(130)]
    for row in (*rows, action(start + hour), action(start + 2 * hour)):
        await log.write(row)
    assert await log.forget_before(start + 2 * hour, at_most=500, dry_run=True) == 131
    assert await log.forget_before(start + 2 * hour, at_most=110) == 110
    assert await log.forget_before(start + 2 * hour, at_most=110) == 21
    assert await log.forget_before(start + 2 * hour) == 0
    (left,) = await read(log, start, start + 3 * hour)
    assert left.time == start + 2 * hour


async def test_storage_that_is_away_costs_a_log_line_and_no_delivery(
    start: datetime, events: list[tuple[str, dict[str, Any]]]
) -> None:
    for settings in ({"AzureWebJobsStorage": NOWHERE}, {}):
        storage = Storage(settings, transport={"retry_total": 0})
        row = action(start)
        assert not await AuditLog(storage).write(row)
        ((event, fields),) = events
        assert (event, fields["id"]) == ("audit_entry_not_written", row.id)
        events.clear()
        await storage.aclose()


async def test_a_log_that_was_never_written_is_empty(azurite: Azurite, start: datetime) -> None:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    table = storage.table(TABLE)
    await AuditLog(storage).write(action(start))
    await table.delete_table()
    log = AuditLog(storage)
    assert await read(log, start, start + timedelta(hours=1)) == []
    assert await log.forget_before(start) == 0
    await storage.aclose()


async def test_the_daily_timer_forgets_what_is_older_than_ninety_days(
    azurite: Azurite, start: datetime, events: list[tuple[str, dict[str, Any]]]
) -> None:
    now = start + timedelta(days=91)
    services = Container({"AzureWebJobsStorage": azurite.connection_string}, now=lambda: now)
    for age in (91, 91, 89):
        await services.audit_log.write(action(now - timedelta(days=age)))
    container = services.storage.container(CLAIMS)
    await create_on_first_use(
        lambda: container.upload_blob("left-over.json", b"{}", overwrite=True), lambda: container.create_container()
    )
    await services.timers.purge_audit_log()
    assert [row.time for row in await read(services.audit_log, start, now)] == [now - timedelta(days=89)]
    assert events[-1][0] == "audit_log_purged"
    assert events[-1][1]["rows"] >= 2
    assert events[-1][1]["blobs"] >= 1
    assert [blob.name async for blob in container.list_blobs()] == []
    today = Container({"AzureWebJobsStorage": azurite.connection_string})
    await container.upload_blob("waits.json", b"{}")
    await today.timers.purge_audit_log()
    assert [blob.name async for blob in container.list_blobs()] == ["waits.json"]
    await container.delete_blob("waits.json")
    await today.aclose()
    await services.aclose()
