"""Every kind of stored row and blob, damaged: work that needs it waits, what can be found out anew is replaced, and
lists go on without it. The log names each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.registry import REGISTRY
from connectors.azure_monitor.resource_tags.store import TABLE as TAGS
from connectors.azure_monitor.resource_tags.store import KnownTags, TagStore
from connectors.bridge.payloads.problem import OwnProblem
from connectors.bridge.store import TABLE as OWN_PROBLEMS
from connectors.bridge.store import KnownProblem, ProblemStore
from connectors.manual.store import TABLE as REQUESTS
from connectors.manual.store import RequestStore, StoredRequest
from local.azurite import Azurite
from shared.budget import BudgetGate, QuotaRules, TableBudgets
from shared.budget.store import TABLE as BUDGETS
from shared.config.storms import MaintenanceSettings
from shared.core.errors import JobRunning, UnreadableRow
from shared.core.jobs import JobRun
from shared.core.messages import SignalMessage, UnreadableMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.plugins import Trap
from shared.core.signal import Unreadable
from shared.core.ticket_system import TicketKind, TicketRef
from shared.core.tokens import HeldTokens
from shared.delivery.grouping.burst_model import Bursts
from shared.delivery.grouping.model import Group, GroupRules
from shared.delivery.grouping.store import GROUPS, GroupStore
from shared.delivery.parked import CONTAINER as PARKED_CONTENT
from shared.delivery.parked import ParkedStore
from shared.delivery.planned_work import CONTAINER as PLANNED
from shared.delivery.planned_work import PlannedWorkCache
from shared.delivery.queue import CLAIMS, SignalQueue
from shared.delivery.splitting.model import Occurrence, OpenParts
from shared.delivery.splitting.store import PARTS, PartStore
from shared.export.deletions import TABLE as GONE
from shared.export.deletions import GoneTickets
from shared.operations.audit_log import TABLE as ACTIONS
from shared.operations.audit_log import AuditEntry, AuditLog
from shared.operations.credential_watch import TABLE as CREDENTIALS
from shared.operations.credential_watch import CredentialStore, CredentialWatch
from shared.operations.credentials import CredentialReading
from shared.operations.job_lease import JobLeases
from shared.operations.job_runs import TABLE as JOB_RUNS
from shared.operations.job_runs import JobRunRow, JobRuns
from shared.operations.outcome_report import outcome_report
from shared.operations.parked_items import ParkedItems
from shared.operations.token_store import TABLE as TOKENS
from shared.operations.token_store import TableTokens
from shared.operations.trap_watch import TABLE as TRAPS
from shared.operations.trap_watch import TrapWatch
from shared.operations.vital_signs import TABLE as VITAL_SIGNS
from shared.operations.vital_signs import VitalSigns
from shared.platform.sealing import seal
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress
from tests.mapping.signals import signal
from tests.storage.damage import damage, damage_blob, heard

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ORDER = (NOW, 0)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


async def rows_of(storage: Storage, table: str) -> set[RowAddress]:
    found = storage.table(table).list_entities(select=["PartitionKey", "RowKey"])
    return {RowAddress(row["PartitionKey"], row["RowKey"]) async for row in found}


async def written(storage: Storage, table: str, work: Callable[[], Awaitable[object]]) -> RowAddress:
    """Write, and say where the new row is."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        before = await rows_of(storage, table)
    except ResourceNotFoundError:
        before = set()
    await work()
    (new,) = await rows_of(storage, table) - before
    return new


# Work that needs the row waits: nobody can find out anew what it said.


async def _group(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    groups, key = GroupStore(storage), f"group:1:{uuid4()}"
    group = Group(key, "r", signal(), NOW, GroupRules(timedelta(hours=1)))
    return lambda: groups.write(group, None), lambda: groups.load(key)


async def _windows(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    groups, key = GroupStore(storage), f"group:1:{uuid4()}"
    return lambda: groups.write_starts(key, (NOW,), ""), lambda: groups.starts(key)


async def _bursts(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    groups, key = GroupStore(storage), f"group:1:{uuid4()}"
    return lambda: groups.write_bursts(key, Bursts(starts=(NOW,)), ""), lambda: groups.bursts(key)


async def _count(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    groups, key = GroupStore(storage), f"throttle:1:{uuid4()}"
    return lambda: groups.write_count(key, 3, ""), lambda: groups.count(key)


async def _occurrence(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    parts, key = PartStore(storage), f"log:1:{uuid4()}"
    return lambda: parts.write_occurrence(Occurrence(key, fired=ORDER), None), lambda: parts.occurrence(key)


async def _open_parts(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    parts, key = PartStore(storage), f"log:1:{uuid4()}"
    return lambda: parts.write_open_parts(OpenParts(key, "r"), None), lambda: parts.open_parts(key)


async def _request(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    requests, key = RequestStore(storage), f"manual:1:{uuid4()}"
    stored = StoredRequest(key, "fired", "{}", NOW, uuid4().hex)
    return lambda: requests.begin(stored), lambda: requests.load(key, "fired")


async def _budget(storage: Storage) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    desk = f"desk-{uuid4().hex[:8]}"

    def admit() -> Awaitable[object]:
        return BudgetGate(desk, QuotaRules(calls=100), TableBudgets(storage)).admit(urgent=False)

    return admit, admit


@pytest.mark.parametrize(
    ("table", "made", "cells"),
    [
        (GROUPS, _group, {"Status": "sideways"}),
        (GROUPS, _windows, {"Starts": "[1]"}),
        (GROUPS, _bursts, {"Piece1": '{"starts": 3}'}),
        (GROUPS, _count, {"Count": "three"}),
        (PARTS, _occurrence, {"Fired": "yesterday"}),
        (PARTS, _open_parts, {"Parts": "{"}),
        (REQUESTS, _request, {"State": "half open"}),
        (BUDGETS, _budget, {"State": '{"backlog": {"id": "x"}, "quota": {"cool_until": "soon"}, "circuit": {}}'}),
    ],
    ids=["group", "windows", "bursts", "throttle", "occurrence", "open parts", "request by hand", "budget"],
)
async def test_work_that_needs_a_damaged_row_waits_until_it_is_mended(
    storage: Storage, table: str, made: Callable[[Storage], Awaitable[Any]], cells: dict[str, Any]
) -> None:
    write, read = await made(storage)
    address = await written(storage, table, write)
    before = {name: (await storage.table(table).get_entity(*address))[name] for name in cells}
    await damage(storage, table, address, **cells)
    with heard() as said:
        for _ in range(2):
            with pytest.raises(UnreadableRow, match="Fix: correct the row") as caught:
                await read()
        assert caught.value.retry
    assert [one["table"] for one in said] == [table], "said once"
    await damage(storage, table, address, **before)
    await read()


async def test_a_large_message_whose_content_is_damaged_is_one_that_the_bridge_did_not_write(storage: Storage) -> None:
    queue = SignalQueue(storage)
    for content in (b"{", b"[[1, 2]]", b"\xff", b"[" * 40_000):
        large = UnreadableMessage(id=uuid4().hex, received_at=NOW, unreadable=Unreadable("why", {"x": "ü" * 50_000}))
        text = await queue.encoded(large)
        await damage_blob(storage, CLAIMS, f"{large.id}.json", content)
        with pytest.raises(ValueError, match="not a message of the bridge"):
            await queue.decoded(text)


# What can be found out anew is replaced.


async def test_a_damaged_lease_is_somebodys_until_its_term_is_over(storage: Storage) -> None:
    table, short = f"t{uuid4().hex}", timedelta(seconds=1)
    leases = JobLeases(storage, table=table, term=short, margin=timedelta(0))
    async with leases.hold("resync", timedelta(minutes=1), holder="one"):
        (address,) = await rows_of(storage, table)
    row = {**address.columns(), "Job": "resync", "Holder": "one", "Since": "then", "Token": "x", "Term": "long"}
    await storage.table(table).create_entity(row)
    patient = JobLeases(storage, table=table)
    with heard() as said:
        with pytest.raises(JobRunning, match="somebody whose row cannot be read"):
            async with patient.hold("resync", timedelta(minutes=1), holder="two"):
                raise AssertionError("two run the same job")
        holder = await patient.holder_of("resync")
        assert holder is not None
        assert holder.holder == "somebody whose row cannot be read"
        async for attempt in attempts(seconds=10):
            try:
                async with leases.hold("resync", timedelta(minutes=1), holder="three") as lease:
                    assert lease.holder == "three"
                break
            except JobRunning:
                assert attempt < 40
    assert [one["table"] for one in said] == [table]
    assert await leases.holder_of("resync") is None


async def attempts(seconds: int) -> AsyncIterator[int]:
    """Several times a second, for so many seconds."""
    import asyncio

    for number in range(seconds * 4):
        yield number
        await asyncio.sleep(0.25)


async def test_a_damaged_run_of_a_job_counts_as_none_and_the_next_one_replaces_it(storage: Storage) -> None:
    runs, job = JobRuns(storage), f"job-{uuid4().hex[:8]}"
    row = JobRunRow(job, uuid4().hex, "waiting", False, NOW)
    address = await written(storage, JOB_RUNS, lambda: runs.ask(row))
    await damage(storage, JOB_RUNS, address, State="sleeping")
    with heard() as said:
        assert await runs.last(job) is None
    assert [one["row"] for one in said] == [job]
    await runs.ask(row)
    assert await runs.last(job) == row


@pytest.mark.parametrize("sealed", ["", "bm8gc2VhbA==", None], ids=["nothing", "another seal", "another form"])
async def test_damaged_tokens_count_as_none_and_the_next_renewal_replaces_them(
    storage: Storage, sealed: str | None
) -> None:
    store = TableTokens(storage, JobLeases(storage), "a test", lambda: NOW)
    desk, secrets = f"desk-{uuid4().hex[:8]}", ("client-secret",)
    tokens = HeldTokens("access", NOW, NOW, "refresh", NOW, NOW, "base", ("before",))
    await store.save(desk, secrets, tokens)
    assert await store.load(desk, secrets) == tokens
    text = seal(secrets, f"tokens of {desk}", '{"access": "a"}') if sealed is None else sealed
    cells = {"WrittenAt": "then"} if sealed == "" else {}
    await damage(storage, TOKENS, RowAddress(desk, "tokens"), Sealed=text, **cells)
    with heard() as said:
        assert await store.load(desk, secrets) is None
    assert [one["table"] for one in said] == ([] if sealed == "bm8gc2VhbA==" else [TOKENS])
    assert "access" not in str(said)
    await store.save(desk, secrets, tokens)
    assert await store.load(desk, secrets) == tokens
    await damage(storage, TOKENS, RowAddress(desk, "tokens"), WrittenAt="then")
    await store.forget(desk)
    assert await store.load(desk, secrets) is None


async def test_a_damaged_credential_is_read_again_and_the_others_are_watched_all_the_same(storage: Storage) -> None:
    mark = uuid4().hex[:8]
    found = [
        CredentialReading(f"secret:{mark}-{name}", "secret", f"{mark}-{name}", ("x",), NOW + timedelta(days=90))
        for name in ("bad", "good")
    ]

    async def look() -> tuple[list[CredentialReading], list[str]]:
        return found, []

    store = CredentialStore(storage)
    watch = CredentialWatch(store, look, lambda: NOW)
    before = await rows_of(storage, CREDENTIALS) if await store.read() else set()
    await watch.run(JobRun())
    row = next(one for one in await rows_of(storage, CREDENTIALS) - before if one.row)
    await damage(storage, CREDENTIALS, row, Kind="rumour", Ends="never")
    with heard() as said:
        result = await watch.run(JobRun())
    assert result.credentials == 2
    assert [one["row"] for one in said] == [row.row]
    assert {one.id for one in await store.read()} >= {one.id for one in found}


async def test_damaged_tags_count_as_unknown_and_are_written_again(storage: Storage) -> None:
    tags = TagStore(storage)
    ids = [f"/subscriptions/{uuid4()}" for _ in range(2)]
    known = [KnownTags(one, NOW, {"owner": "platform"}) for one in ids]
    await tags.write(known[1:])
    address = await written(storage, TAGS, lambda: tags.write(known[:1]))
    await damage(storage, TAGS, address, Tags="[]", ReadAt="once")
    with heard() as said:
        assert await tags.load(ids) == known[1:]
    assert [one["row"] for one in said] == [address.row]
    await tags.write(known)
    assert await tags.load(ids) == known


async def test_a_damaged_problem_of_the_bridge_is_reported_again(storage: Storage) -> None:
    store = ProblemStore(storage)
    row = KnownProblem(OwnProblem("connection_failing", f"desk-{uuid4()}", "it fails", "mend it", 1), NOW)
    address = await written(storage, OWN_PROBLEMS, lambda: store.begin(row))
    await damage(storage, OWN_PROBLEMS, address, Sending="shouting", SeenAt="then")
    with heard() as said:
        assert row.problem.key not in await store.all()
        etag = await store.begin(row)
    assert [one["row"] for one in said] == [address.row]
    assert (await store.all())[row.problem.key] == (row, etag)


async def test_a_damaged_count_of_a_day_begins_anew(storage: Storage) -> None:
    store = ProblemStore(storage)
    address = RowAddress("day", "day")
    assert await store.take("2026-03-01", 2)
    await damage(storage, OWN_PROBLEMS, address, Count="some")
    assert [await store.take("2026-03-01", 2) for _ in range(3)] == [True, True, False]


async def test_a_damaged_trap_is_left_out_until_it_is_seen_again(storage: Storage) -> None:
    trap = Trap("common_schema_off", f"rule {uuid4().hex[:8]}", "it came in an older schema", "switch it on")
    outcome = Outcome(OutcomeKind.DELIVERED, "created", signal=signal())

    def watch() -> TrapWatch:
        return TrapWatch(storage, lambda _: (trap,))

    address = await written(storage, TRAPS, lambda: watch().ended(outcome))
    await damage(storage, TRAPS, address, FirstSeen="long ago")

    async def abouts() -> list[str]:
        return [one.about for one in await watch().read()]

    with heard() as said:
        assert trap.about not in await abouts()
        await watch().ended(outcome)
    assert [one["row"] for one in said] == [address.row]
    assert trap.about in await abouts()


async def test_a_damaged_sign_of_life_is_left_out_and_known_anew(storage: Storage) -> None:
    signs, good, bad = VitalSigns(storage), f"good-{uuid4()}", f"bad-{uuid4()}"
    await signs.know([good, bad])
    await damage(storage, VITAL_SIGNS, RowAddress("function", bad), KnownSince="always")
    with heard() as said:
        found = await signs.read()
    assert (good in found, bad in found) == (True, False)
    assert [one["row"] for one in said] == [bad]
    await signs.know([bad])
    assert bad in await signs.read()


async def test_a_damaged_copy_of_planned_work_counts_as_none(storage: Storage) -> None:
    desk = f"desk-{uuid4().hex[:8]}"
    section = MaintenanceSettings.model_validate({"name": "changes", "changes_of": desk})
    cache = PlannedWorkCache([section], storage, now=lambda: NOW)

    class Plans:
        async def planned_work(self) -> tuple[()]:
            return ()

    await cache.collect(lambda _: Plans())
    await damage_blob(storage, PLANNED, f"{desk}.json", b'{"works": 3}')
    with heard() as said:
        await cache.refresh()
        assert cache.holds(signal(), NOW) is None
    assert [(one["table"], one["row"]) for one in said] == [(PLANNED, f"{desk}.json")]
    with heard() as said:
        await cache.collect(lambda _: Plans())
        await PlannedWorkCache([section], storage, now=lambda: NOW).refresh()
    assert said == []


# Lists and what works through many go on without it.


async def test_a_damaged_row_of_the_audit_log_is_left_out_of_reports(storage: Storage) -> None:
    log, at = AuditLog(storage), datetime(2041, 3, 1, 12, tzinfo=UTC)
    for number in range(3):
        await log.write(AuditEntry(at + timedelta(seconds=number), uuid4().hex, "created"))
    rows = sorted(one for one in await rows_of(storage, ACTIONS) if one.partition.startswith("2041-03-01"))
    for row, cells in zip(rows, ({"Time": "noon"}, {"Time": "2041-03-01T12:00:01"}), strict=False):
        await damage(storage, ACTIONS, row, **cells)
    with heard() as said:
        report = await outcome_report(log.read(at, at + timedelta(hours=1)))
    assert report.signals == 1
    assert [one["row"] for one in said] == [row.row for row in rows[:2]]


async def test_a_damaged_item_stops_no_replay_of_the_others(storage: Storage) -> None:
    parked, queue = ParkedStore(storage), SignalQueue(storage)
    items = ParkedItems(parked, queue, REGISTRY.schemas, now=lambda: NOW)
    letters = [SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal()) for _ in range(3)]
    for one in letters:
        await parked.park("dead-letter", one, code="refused", reason="why")
    for one, data in zip(letters, (b"{", b"[1]"), strict=False):
        await damage_blob(storage, PARKED_CONTENT, f"dead-letter/{one.id}.json", data)
    results = [one async for one in items.replay("dead-letter", [one.id for one in letters])]
    assert [one.outcome for one in results] == ["failed", "failed", "replayed"]
    assert "cannot be read" in results[0].detail
    dropped = [one async for one in items.drop("dead-letter", [one.id for one in letters])]
    assert [one.outcome for one in dropped] == ["dropped"] * 3


async def test_a_damaged_note_of_a_deleted_ticket_keeps_no_other_from_the_export(storage: Storage) -> None:
    gone, desk = GoneTickets(storage), f"desk-{uuid4().hex[:8]}"
    lost, kept = (TicketRef(TicketKind.INCIDENT, uuid4().hex, "", number) for number in ("INC1", "INC2"))
    await gone.add(desk, [kept], NOW)
    where = await written(storage, GONE, lambda: gone.add(desk, [lost], NOW))
    await damage(storage, GONE, where, NoticedAt="soon")
    with heard() as said:
        found = await gone.of(desk)
    assert [one.value.number for one in found] == ["INC2"]
    assert [one["row"] for one in said] == [where.row]
