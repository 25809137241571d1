"""Tickets change under load while they are exported: is every change in the table exactly once?

Round by round, the bridge makes tickets of alerts and people make and change others. ServiceNow and the Logs Ingestion
API fail, and the process that exports is killed when its rows are stored and it does not know yet. Then everything is
let come to rest, and what a poll can see of each ticket is written down before the export runs once more. At the end
all that was written down has to be in the table: also what later rounds have changed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.log_analytics.columns import TICKETS_TABLE
from local import log_store
from local.chaos import people, trouble
from local.chaos.config import config
from local.chaos.export_books import Books, Change, Shown, balance, visible
from local.chaos.figures import Part, Row, fact, listed, must_be
from local.chaos.sender import Sender, Sent
from local.chaos.stage import Stage, StageError
from local.chaos.stories import Event, storm
from local.chaos.truth import depth, settle
from shared.core.ticket_system import TicketKind
from shared.export import ExportStore
from shared.operations.job_lease import TABLE as LEASES
from shared.operations.job_lease import JobLeases
from shared.platform.storage import Storage

Say = Callable[[str], None]

_JOB = "export_tickets"
_EXPORTED = (TicketKind.INCIDENT, TicketKind.CHANGE_REQUEST, TicketKind.PROBLEM)

#: Calls of the Logs Ingestion API.
_ROWS: dict[str, Any] = {"path": "(?i)^/dataCollectionRules/"}

#: What the Logs Ingestion API does: an answer is lost after the rows are stored, or they are refused for a while.
_STORE_FAULTS: tuple[dict[str, Any], ...] = (
    {"type": "cut_after_commit", "times": 1},
    {"type": "commit_then_fail", "times": 2},
    {"type": "throttle", "times": 2, "retry_after": 2},
    {"type": "throttle", "times": 1, "bare": True},
    {"type": "fail", "times": 2, "status": 500},
    {"type": "fail", "times": 1, "status": 503, "html": True},
    {"type": "deny", "times": 1},
    {"type": "cut_before_commit", "times": 2},
)

#: What ServiceNow does to whoever reads. The faults of the storm meet whoever writes.
_READ_FAULTS: tuple[dict[str, Any], ...] = (
    {"type": "slow", "times": 3, "seconds": 1.0},
    {"type": "throttle", "times": 1, "retry_after": 2},
    {"type": "truncated_json", "times": 2},
    {"type": "maintenance", "times": 1, "status": 503},
    {"type": "cut_before_commit", "times": 2},
    {"type": "wrong_content_type", "times": 1},
)

#: Seconds until the messages that a killed instance had in work come back.
_INSTANCE_LEASE = 6.0
#: Seconds for which an answer is withheld until the process that waits for it is killed.
_WITHHELD = 60.0
#: Seconds for an export to reach the moment at which it is killed, and to come to its end when nothing is in its way:
#: the lease of a killed one runs out after a minute.
_PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    Attributes:
        rounds: each with so many ``alerts``, ``seconds`` of trouble, and one killed export.
        tickets: of people, there from the beginning. changes: by people, a second.
        every: seconds from one trouble to the next. pause: seconds from one export to the next.
        leases: the lease of a killed export runs out by itself, after a minute; otherwise it is taken away.
    """

    rounds: int = 3
    alerts: int = 600
    tickets: int = 3_000
    changes: float = 20.0
    seconds: float = 60.0
    every: float = 2.0
    pause: float = 2.0
    workers: int = 2
    leases: bool = True


#: What runs with the tests: two pages of tickets, and no minute for a lease.
SMALL = Size(rounds=2, alerts=25, tickets=700, seconds=5.0, every=0.4, pause=1.0, leases=False)


def run(seed: int, size: Size, say: Say) -> Part:
    """Play the rounds and compare the table with what was written down."""
    begun = time.monotonic()
    seen: dict[Change, Shown] = {}
    left = 0
    with Stage(config(calls=2_000, window=60, export=True), size.workers, clouds=True) as stage:
        crowd = people.People(stage.servicenow, seed)
        crowd.begin(size.tickets)
        events = storm(seed, size.alerts * size.rounds, datetime.now(UTC))
        played = _Rounds(stage, crowd, size, seed, say)
        for number in range(size.rounds):
            asyncio.run(played.one(events[number :: size.rounds]))
            left += settle(stage, 240)
            played.end_troubles()
            seen |= visible(stage)
            asyncio.run(_to_the_end(stage))
            say(f"round {number + 1}: {len(seen):,} changes were seen, {played.killed} exports killed")
        books = balance(seen, log_store.rows(stage.clouds, TICKETS_TABLE))
    rows = _rows(size, played, books, left, crowd)
    rows.append(fact("seconds", f"{time.monotonic() - begun:.0f}", f"{seed=}"))
    raw = {"struck": dict(played.struck), "stored": books.stored, "changes": books.changes, "killed": played.killed}
    return Part("export", rows, books.findings(), raw)


class _Rounds:
    """What happens in each round, and how often it did.

    Attributes:
        killed: exports. struck: troubles by name. sent: alerts.
    """

    def __init__(self, stage: Stage, crowd: people.People, size: Size, seed: int, say: Say) -> None:
        self._stage = stage
        self._crowd = crowd
        self._size = size
        self._say = say
        self._chance = random.Random(seed)
        self._exporting = asyncio.Lock()
        self.killed = 0
        self.struck: Counter[str] = Counter()
        self.sent = Sent()

    async def one(self, events: Sequence[Event]) -> None:
        """A round: everything at once, until its time is over and an export was killed, however long that takes."""
        self._exporting = asyncio.Lock()
        ends, killed = time.monotonic() + self._size.seconds, self.killed
        sender = Sender(self._stage.alerts_url, self._stage.key, waiting=lambda: depth(self._stage))
        sender.sent = self.sent
        await asyncio.gather(
            sender.send(events, within=max(self._size.seconds * 5, 60)),
            self._crowd.work(lambda: time.monotonic() > ends and self.killed > killed, self._size.changes),
            self._troubles(ends),
            self._export(ends),
            self._kill(),
        )

    def end_troubles(self) -> None:
        """Switch off whatever is left of the troubles, and count what struck."""
        found = [(trouble.struck(self._stage), "ServiceNow"), (_struck_clouds(self._stage), "Log Analytics")]
        for counts, where in found:
            self.struck.update({f"{where}: {name}": number for name, number in counts.items()})
        trouble.end(self._stage)
        self._stage.control_clouds("DELETE", "/scenarios")

    async def _export(self, ends: float) -> None:
        while time.monotonic() < ends:
            async with self._exporting:
                await asyncio.to_thread(self._stage.timer, _JOB)
            await asyncio.sleep(self._size.pause)

    async def _troubles(self, ends: float) -> None:
        """Faults of both sides in an order of the seed."""
        user = self._stage.servicenow["integration_username"]
        of_reading = {"method": "GET", "user": user, "table": ["incident", "change_request", "problem"]}
        ours = [(self._stage.control_clouds, {**one, "match": _ROWS}) for one in _STORE_FAULTS]
        ours += [(self._stage.control, {**one, "match": of_reading}) for one in _READ_FAULTS]
        ours += [(self._stage.control, dict(one.order)) for one in trouble.FAULTS if one is not trouble.SLEEP]
        self._chance.shuffle(ours)
        for tell, order in ours:
            if time.monotonic() > ends:
                return
            await asyncio.to_thread(tell, "POST", "/scenarios", json=order)
            await asyncio.sleep(self._size.every)

    async def _kill(self) -> None:
        """Kill an export in the second half of the round, when its rows are stored and the answer is still withheld."""
        await asyncio.sleep(self._size.seconds / 2)
        instance = await asyncio.to_thread(self._stage.start_instance, _INSTANCE_LEASE)
        async with self._exporting:  # nobody else begins one
            await _wait(lambda: _idle(self._stage), "the export before to end")
            order = {"type": "commit_then_hang", "times": 1, "seconds": _WITHHELD, "match": _ROWS}
            withheld = (await asyncio.to_thread(self._stage.control_clouds, "POST", "/scenarios", json=order))["id"]

            async def stored() -> bool:
                await asyncio.to_thread(self._stage.timer, _JOB, instance)
                return await asyncio.to_thread(_applied, self._stage, withheld)

            await _wait(stored, "an export to send rows")
            instance.kill()
            self.killed += 1
            self._say("killed an instance that waited for the answer to its rows")
            if not self._size.leases:
                await _take_lease(self._stage)


def _applied(stage: Stage, scenario: str) -> bool:
    found = stage.control_clouds("GET", "/scenarios")["scenarios"]
    return any(one["id"] == scenario and one["applied"] for one in found)


def _struck_clouds(stage: Stage) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in stage.control_clouds("GET", "/scenarios")["scenarios"]:
        counts[one["type"]] += one["applied"]
    return {name: number for name, number in counts.items() if number}


async def _wait(true: Callable[[], Coroutine[Any, Any, bool]], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not await true():
        if time.monotonic() > deadline:
            raise StageError(f"waited {_PATIENCE:g} s for {what}")
        await asyncio.sleep(0.3)


async def _idle(stage: Stage) -> bool:
    """Whether no export runs."""
    storage = Storage({"AzureWebJobsStorage": stage.storage})
    try:
        return await JobLeases(storage).holder_of(_JOB) is None
    finally:
        await storage.aclose()


async def _take_lease(stage: Stage) -> None:
    """Take the lease away that the killed process held: nobody waits for it to run out."""
    storage = Storage({"AzureWebJobsStorage": stage.storage})
    try:
        await storage.table(LEASES).delete_entity("lease", _JOB)
    finally:
        await storage.aclose()


async def _to_the_end(stage: Stage) -> None:
    """Export until every kind was read to its end once more."""
    since = datetime.now(UTC)
    storage = Storage({"AzureWebJobsStorage": stage.storage})
    store = ExportStore(storage)

    async def read() -> bool:
        await asyncio.to_thread(stage.timer, _JOB)
        positions = [await store.position("servicenow", kind) for kind in _EXPORTED]
        return all(one.ran_at is not None and one.ran_at >= since for one in positions)

    try:
        await _wait(read, "an export that comes to its end")
    finally:
        await storage.aclose()


def _rows(size: Size, played: _Rounds, books: Books, left: int, crowd: people.People) -> list[Row]:
    doubles = books.stored - books.records
    return [
        must_be("changes that are not in the table", len(books.missing), 0, f"of {books.changes:,} that were seen"),
        must_be("changes under more than one RecordId", len(books.split), 0),
        must_be("RecordIds with different content", len(books.different), 0, f"of {books.records:,}"),
        must_be("rows that say something else than the ticket", len(books.wrong), 0),
        must_be("exports killed between sending and noting", played.killed, size.rounds),
        must_be("alerts lost", len(played.sent.lost), 0),
        must_be("messages left on the queue", left, 0),
        fact("rows stored", f"{books.stored:,}", f"{doubles:,} of them sent again, {crowd.done:,} changes by people"),
        fact("troubles", f"{played.struck.total()}", listed(dict(played.struck))),
    ]
