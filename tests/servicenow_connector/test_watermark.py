"""The watermark of reading what changed: nothing lost, nothing doubled, whatever happens between two pages."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from connectors.servicenow.watermark import OVERLAP, SETTLED, Watermark, WatermarkRead, decode, parse_time

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def row(n: int, *, at: datetime = NOW, revision: int = 0) -> WatermarkRead:
    return WatermarkRead(at, f"{n:032x}", str(revision))


def test_a_watermark_reads_back_as_it_was_written() -> None:
    mark = Watermark().advance(
        [row(1), row(2, at=NOW + timedelta(seconds=1))], more=True, skipped=10, now=NOW.timestamp()
    )
    assert decode(mark.encode()) == mark
    done = mark.advance([], more=False, skipped=10, now=None)
    assert decode(done.encode()) == done
    assert done.has_seen(row(1))
    assert not done.has_seen(row(1, revision=1))


def test_a_watermark_that_was_cut_is_no_watermark() -> None:
    head, body = Watermark().advance([row(1), row(2)], more=True, skipped=10, now=None).encode().rsplit(".", 1)
    for cut in (8, 12, 16):
        with pytest.raises(ValueError, match="it "):
            decode(f"{head}.{body[:-cut]}")


def test_the_next_reading_begins_before_the_newest_change() -> None:
    mark = Watermark().advance([row(1)], more=False, skipped=10, now=None)
    assert mark.since == int(NOW.timestamp()) - OVERLAP


def test_a_row_from_the_future_hides_no_change_until_then() -> None:
    ahead = row(2, at=NOW + timedelta(days=300))
    mark = Watermark().advance([row(1), ahead], more=False, skipped=10, now=NOW.timestamp() + 1)
    assert mark.since is not None
    assert mark.since <= int(NOW.timestamp())
    assert mark.has_seen(row(1))
    assert mark.has_seen(ahead)
    again = mark.advance([row(1), row(3), ahead], more=False, skipped=10, now=NOW.timestamp() + 60)
    assert again.has_seen(row(3))
    assert again.has_seen(ahead)


def test_a_quiet_instance_lets_the_beginning_follow_its_clock_and_never_go_back() -> None:
    mark = Watermark().advance([row(1)], more=False, skipped=10, now=NOW.timestamp() + 3600)
    later = mark.advance([], more=False, skipped=10, now=NOW.timestamp() + 7200)
    back = later.advance([], more=False, skipped=10, now=NOW.timestamp())
    assert mark.since == int(NOW.timestamp()) + 3600 - SETTLED
    assert later.since == back.since == int(NOW.timestamp()) + 7200 - SETTLED
    assert later.seen == {}


def test_an_empty_table_is_read_from_its_beginning_until_something_is_there() -> None:
    assert Watermark().advance([], more=False, skipped=10, now=NOW.timestamp()).since is None


def test_a_long_first_reading_keeps_only_what_is_recent() -> None:
    mark = Watermark()
    for n in range(2000):
        at = NOW + timedelta(minutes=n)
        mark = mark.advance([row(n, at=at)], more=True, skipped=1, now=None)
    assert sum(map(len, mark.seen.values())) <= 3
    assert len(mark.encode()) < 400


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_between_pages_nothing_is_lost_and_nothing_doubled(seed: int) -> None:
    """A table that changes between any two pages, with commits up to a minute late, read in pages of random size, the
    watermark kept as text."""
    chance = random.Random(seed)
    rows: dict[int, tuple[datetime, int]] = {}
    hidden: list[tuple[datetime, int, datetime, int]] = []
    given: list[tuple[int, int]] = []
    made: set[tuple[int, int]] = set()
    last: dict[int, int] = {}
    text, now = Watermark().encode(), NOW
    for turn in range(400):
        now += timedelta(seconds=chance.choice((0, 0, 1, 20)))
        if turn < 300:
            for _ in range(chance.randrange(4)):
                n = chance.randrange(60)
                last[n] = last.get(n, -1) + 1
                late = timedelta(seconds=chance.choice((0, 0, 0, 60)))
                hidden.append((now + late, n, now, last[n]))
        else:
            now += timedelta(seconds=30)
        for visible, n, at, revision in sorted(one for one in hidden if one[0] <= now):
            hidden.remove((visible, n, at, revision))
            if revision > rows.get(n, (NOW, -1))[1]:
                rows[n] = (at, revision)
        mark = decode(text)
        limit = chance.choice((1, 2, 5, 50))
        found = sorted((at, f"{n:032x}", revision) for n, (at, revision) in rows.items())
        if mark.after is not None:
            found = [one for one in found if (int(one[0].timestamp()), one[1]) > mark.after]
        elif mark.since is not None:
            found = [one for one in found if int(one[0].timestamp()) >= mark.since]
        page = [WatermarkRead(at, sys_id, str(revision)) for at, sys_id, revision in found[:limit]]
        given += [(int(one.id, 16), int(one.revision)) for one in page if not mark.has_seen(one)]
        made.update((n, revision) for n, (_, revision) in rows.items())
        text = mark.advance(page, more=len(found) > limit, skipped=limit, now=now.timestamp()).encode()
    assert len(given) == len(set(given))
    assert set(given) <= made
    assert {n: revision for n, (_, revision) in rows.items()} == {
        n: max(revision for other, revision in given if other == n) for n in rows
    }


@pytest.mark.parametrize("text", ["", "2026-03-01T12:00:00", "2026-03-01", "2026-13-01 00:00:00", "01.03.2026"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None
