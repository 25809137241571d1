"""Nothing missed and nothing twice in effect: pages that fail, restarts, bursts, and many changes in one second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.config.resync import ResyncSettings
from shared.core.errors import StorageUnavailable
from shared.core.link import Link, correlation, link_id, ticket_id
from shared.core.link import LinkStage as Ticketed
from shared.core.messages import PushToSource
from shared.core.ticket_system import ChangePage, Person, Phase, TicketKind, TicketRef, TicketSnapshot, TicketSystem
from shared.delivery.links import CODEC, LinkStore
from shared.delivery.write_back import WriteBack
from shared.platform.storage import Storage
from shared.platform.tables import RowOvertaken, Versioned
from shared.resync import Resyncer, ResyncProgress, TicketSync
from shared.resync.progress import ResyncPosition, SnapshotReading
from tests.resync.stage import Stage, fired

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INCIDENT = TicketKind.INCIDENT


# -- with the real connector, tables and blobs -----------------------------------------------------------------------


async def test_many_tickets_that_changed_in_one_second_are_all_followed(stage: Stage) -> None:
    stage.configured("resync: {page_size: 10}")
    links = [await stage.deliver(fired()) for _ in range(14)]
    await stage.resync()
    await stage.desk.clock(freeze=True)
    for link in links:
        await stage.resolve(link)
    result = await stage.resync()
    await stage.desk.clock(freeze=False)
    assert (result.changes, result.moved, result.finished) == (14, 14, True)
    assert {(await stage.link(link.key)).stage for link in links} == {Ticketed.RESOLVED}


async def test_a_page_that_failed_is_repeated_and_those_before_it_are_not(stage: Stage) -> None:
    stage.configured("resync: {page_size: 10}")
    links = [await stage.deliver(fired()) for _ in range(15)]
    await stage.desk.order(
        type="throttle", retry_after=1, match={"method": "GET", "table": "incident"}, after=1, times=1
    )
    result = await stage.resync()
    assert (result.changes, result.finished) == (10, False)
    assert "429" in result.reason
    result = await stage.resync()
    assert (result.changes, result.finished, result.reason) == (5, True, "")
    for link in links:
        await stage.write(link, state="2")
    assert (await stage.resync()).moved == 15


async def test_one_connection_that_is_down_does_not_stop_the_others(stage: Stage) -> None:
    more = (
        "connections:\n  down:\n    type: servicenow\n    url: http://127.0.0.1:9\n"
        "    auth: {type: api_key, key: {secret: desk-password}}\n"
    )
    services = stage.configured()
    text = services.config_path.read_text()
    services.config_path.write_text(text.replace("connections:\n", more))
    await stage.deliver(fired())
    stage.later += timedelta(minutes=5)
    down, up = sorted(await services.timers.resync(), key=lambda one: one.finished)
    assert (down.connection, down.pages) == ("down", 0)
    assert down.reason
    assert (up.connection, up.changes, up.finished) == (stage.name, 1, True)


async def test_a_watermark_of_any_size_outlives_a_restart(storage: Storage) -> None:
    person = Person("a" * 32, "beth.anglin", "Beth Anglin", "beth.anglin@contoso.example")
    changed = replace(_changed("alert:1:x", 3), assigned_to=person, due_date=NOW, close_code="x", state_name="2")
    waiting = SnapshotReading(replace(changed, ref=replace(changed.ref, number="", url="")), NOW)
    reading = ResyncPosition("1." + "A" * 55_000, NOW, (waiting,))
    name = f"desk-{link_id(str(id(reading)))[:8]}"
    assert await ResyncProgress(storage).reading(name, INCIDENT) == ResyncPosition()
    await ResyncProgress(storage).note_reading(name, INCIDENT, reading)
    assert await ResyncProgress(storage).reading(name, INCIDENT) == reading
    assert await ResyncProgress(storage).reading(name, TicketKind.PROBLEM) == ResyncPosition()


# -- a burst, in memory ----------------------------------------------------------------------------------------------


def _changed(key: str, revision: int, state: str = "2") -> TicketSnapshot:
    ref = TicketRef(INCIDENT, ticket_id("desk", key, 1), correlation(key, 1), "INC0010001", "https://example.com")
    return TicketSnapshot(
        ref, Phase.RESOLVED if state == "6" else Phase.OPEN, state, state, NOW, "beth.anglin", revision
    )


class Desk:
    """A ticket system that only tells what changed. The watermark is a number of rows."""

    name = "desk"
    kinds = frozenset({INCIDENT})

    def __init__(self, rows: list[TicketSnapshot]) -> None:
        self.rows = rows
        self.pages = 0

    def findable(self, kind: TicketKind) -> bool:
        return True

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        begin = int(watermark or 0)
        self.pages += 1
        rows = self.rows[begin : begin + limit]
        return ChangePage(tuple(rows), str(begin + len(rows)), begin + limit < len(self.rows))


class Links(LinkStore):
    """Links as rows with ETags, in memory. Storage fails after ``writes`` writes."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.rows = {link_id(link.key): (CODEC.to_row(link), 0) for link in links}
        self.written: Counter[str] = Counter()
        self.writes = 10**9

    async def at(self, row: str) -> Versioned[Link] | None:
        found = self.rows.get(row)
        return Versioned(CODEC.from_row(found[0]), str(found[1])) if found else None

    async def load(self, key: str) -> Versioned[Link] | None:
        return await self.at(link_id(key))

    async def write(self, link: Link, etag: str | None) -> str:
        if self.written.total() >= self.writes:
            raise StorageUnavailable("storage did not answer")
        _, version = self.rows[link_id(link.key)]
        if str(version) != etag:
            raise RowOvertaken
        self.rows[link_id(link.key)] = (CODEC.to_row(link), version + 1)
        self.written[link.key] += 1
        return str(version + 1)


class Marks(ResyncProgress):
    """The progress, in memory. ``history`` are the watermarks that were kept."""

    def __init__(self) -> None:
        self.kept = ResyncPosition()
        self.history: list[int] = []

    async def reading(self, connection: str, kind: TicketKind) -> ResyncPosition:
        return self.kept

    async def note_reading(self, connection: str, kind: TicketKind, reading: ResyncPosition) -> None:
        self.kept = reading
        self.history.append(int(reading.watermark or 0))


class Wishes:
    """A source that wants to know the state of every ticket."""

    def wants(self, link: Link) -> str:
        return link.state

    async def push(self, link: Link, what: str) -> None:
        raise AssertionError("it is only ordered here")


async def test_a_burst_of_5000_changes_with_a_restart_in_the_midst_of_a_page() -> None:
    keys = [f"alert:1:{number}" for number in range(5000)]
    link = Link("alert:1:x", 1, Ticketed.OPEN, "desk", source="azure_monitor", state="1", last_pushed="1")
    links = Links(replace(link, key=key, ticket=_changed(key, 0).ref) for key in keys)
    desk, marks, sent = Desk([_changed(key, 1, "6") for key in keys]), Marks(), Counter[str]()

    lost = {"alert:1:1700"}

    async def send(message: PushToSource) -> None:
        if message.key in lost:  # its link is written by now
            lost.remove(message.key)
            raise StorageUnavailable("the queue did not answer")
        sent[message.key] += 1

    def started(most_pages: int = 100) -> Resyncer:
        backs = WriteBack(links, {"azure_monitor": Wishes()})
        follower = TicketSync(
            links, backs, cast(Any, SimpleNamespace(send=send)), replay=cast(Any, None), now=lambda: NOW
        )
        system = cast(TicketSystem, desk)
        return Resyncer(
            ResyncSettings(), ["desk"], lambda _: system, follower, marks, now=lambda: NOW, most_pages=most_pages
        )

    (result,) = await started(most_pages=3).run()
    assert (result.changes, result.finished, marks.history) == (1500, False, [500, 1000, 1500])
    with pytest.raises(StorageUnavailable, match="queue"):
        await started().run()
    assert marks.history[-1] == 1500
    links.writes = 2200
    with pytest.raises(StorageUnavailable, match="storage"):
        await started().run()
    assert marks.history[-1] == 2000  # the page in which it failed is not behind the mark
    links.writes = 10**9
    (result,) = await started().run()
    assert (result.changes, result.finished) == (3000, True)
    assert links.written == dict.fromkeys(keys, 1)
    assert {CODEC.from_row(row).stage for row, _ in links.rows.values()} == {Ticketed.RESOLVED}
    assert sent.keys() == set(keys)
    assert desk.pages == 3 + 1 + 2 + 6


async def test_what_was_broken_off_is_not_left_until_the_next_time_that_is_due() -> None:
    rows = [_changed(f"alert:1:{number}", 1) for number in range(30)]
    desk, marks, clock = Desk(rows[:10]), Marks(), NOW

    def started() -> Resyncer:
        follower = TicketSync(
            Links([]), WriteBack(Links([]), {}), cast(Any, None), replay=cast(Any, None), now=lambda: clock
        )
        settings = ResyncSettings.model_validate({"page_size": 10, "every": "1h"})
        system = cast(TicketSystem, desk)
        return Resyncer(settings, ["desk"], lambda _: system, follower, marks, now=lambda: clock, most_pages=1)

    await started().run()
    desk.rows = rows
    clock += timedelta(minutes=5)
    assert await started().run() == []
    clock += timedelta(hours=1)
    (result,) = await started().run()
    assert (result.left, result.finished) == (10, False)
    (result,) = await started().run()
    assert (result.left, result.finished) == (10, True)
    assert await started().run() == []
