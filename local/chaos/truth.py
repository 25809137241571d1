"""What is really there after a storm: in the bridge's storage and in the simulator. No log line is believed."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any

from local.chaos.stage import Stage, StageError
from shared.core.link import DISPLAY, Link, link_id
from shared.core.messages import POISON_QUEUE, QUEUE
from shared.core.signal import Order, parse_order
from shared.delivery.grouping.store import MEMBERS
from shared.delivery.links import LinkStore
from shared.delivery.parked import ParkedStore
from shared.platform.storage import Storage

_ALERT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAGE = 1_000
_OF_THE_WRITE_TEST = "check:"

#: States of incidents and problems that mean that nobody has to act any more.
_OVER = {"incident": frozenset({"6", "7", "8"}), "problem": frozenset({"106", "107"})}


@dataclass(frozen=True, slots=True)
class Member:
    """An alert that was counted in a group; ``group`` is the link id of the group's key."""

    group: str
    alert: str
    fired: Order | None
    over: Order | None


@dataclass(frozen=True, slots=True)
class Desk:
    """A ticket as the simulator has it."""

    table: str
    number: str
    correlation: str
    over: bool
    rule: str = ""


@dataclass
class Truth:
    """All of it.

    Attributes:
        links: by alert, and those of groups by link id. members: by alert.
        kept: ids of dead letters and quarantine, each with its kind.
        tickets: all that the bridge made.
        closed_writes, duplicates: the simulator's own findings.
        queued, poisoned: messages that are left.
    """

    links: dict[str, Link] = field(default_factory=dict)
    groups: dict[str, Link] = field(default_factory=dict)
    members: dict[str, list[Member]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    tickets: list[Desk] = field(default_factory=list)
    closed_writes: int = 0
    duplicates: int = 0
    queued: int = 0
    poisoned: int = 0


def alert_of(text: str) -> str:
    """The alert's id in a key or a correlation; empty when there is none."""
    found = _ALERT.search(text)
    return found[0] if found else ""


async def depth(stage: Stage) -> int | None:
    """Messages that wait, hidden ones included; None when storage does not answer."""
    from azure.core.exceptions import AzureError

    storage = Storage({"AzureWebJobsStorage": stage.storage})
    try:
        return sum([await _messages(storage, name) for name in (QUEUE, POISON_QUEUE)])
    except AzureError:
        return None
    finally:
        await storage.aclose()


def settle(stage: Stage, patience: float) -> int:
    """Wait until nothing is on the queue twice in a row; what is left when that takes too long."""
    deadline = time.monotonic() + patience
    left, empty = -1, 0
    while time.monotonic() < deadline and empty < 2:
        found = asyncio.run(depth(stage))
        left = left if found is None else found
        empty = empty + 1 if found == 0 else 0
        time.sleep(1.0)
    try:
        stage.wait(stage.serves, "the app to be well after the storm", 60)
    except StageError:
        return max(left, 1)
    return left


async def read(stage: Stage) -> Truth:
    """Read everything once. The queue should be empty by then."""
    truth = Truth()
    storage = Storage({"AzureWebJobsStorage": stage.storage})
    try:
        async for link in LinkStore(storage).all():
            alert = alert_of(link.key)
            if alert:
                truth.links[alert] = link
            else:
                truth.groups[link_id(link.key)] = link
        for member in await _members(storage):
            truth.members.setdefault(member.alert, []).append(member)
        kept = ParkedStore(storage)
        for kind in ("dead-letter", "quarantine"):
            truth.kept |= {row.id: kind async for row in kept.list(kind)}
        truth.queued, truth.poisoned = await _messages(storage, QUEUE), await _messages(storage, POISON_QUEUE)
    finally:
        await storage.aclose()
    for table in _OVER:
        truth.tickets += tickets(stage, table)
    found = stage.control("GET", "/violations")
    truth.closed_writes, truth.duplicates = len(found["closed_writes"]), len(found["duplicates"])
    return truth


async def _messages(storage: Storage, name: str) -> int:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return int((await storage.queue(name).get_queue_properties()).approximate_message_count or 0)
    except ResourceNotFoundError:
        return 0


async def _members(storage: Storage) -> list[Member]:
    from azure.core.exceptions import ResourceNotFoundError

    found = []
    try:
        async for row in storage.table(MEMBERS).list_entities():
            fired, over = parse_order(row["Fired"]), parse_order(row["Over"])
            found.append(Member(row["PartitionKey"], alert_of(row["Key"]), fired, over))
    except ResourceNotFoundError:
        return []
    return found


def tickets(stage: Stage, table: str) -> list[Desk]:
    """Tickets of a table that bear the bridge's name, as an administrator reads them; not those of its write test."""
    desk = stage.servicenow
    found: list[Desk] = []
    while True:
        query = {
            "sysparm_query": f"correlation_display={DISPLAY}^ORDERBYnumber",
            "sysparm_fields": "number,state,correlation_id,short_description",
            "sysparm_limit": str(_PAGE),
            "sysparm_offset": str(len(found)),
        }
        url = f"{desk['url']}/api/now/table/{table}"
        answer = stage.http.get(url, params=query, auth=(desk["username"], desk["password"]))
        answer.raise_for_status()
        rows: list[dict[str, Any]] = answer.json()["result"]
        for row in rows:
            over = row["state"] in _OVER[table]
            found.append(Desk(table, row["number"], row["correlation_id"], over, row["short_description"]))
        if len(rows) < _PAGE:
            return [one for one in found if not one.correlation.startswith(_OF_THE_WRITE_TEST)]
