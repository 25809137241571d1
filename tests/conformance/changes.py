"""What every ticket system must tell of what changed: everything, once, whatever happens meanwhile."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.errors import TicketSystemError, Unavailable
from shared.core.rate_gate import CallCounter
from shared.core.ticket_system import ChangePage, Closure, Phase, TicketKind, TicketSnapshot
from tests.conformance.kinds import Kinds, draft
from tests.conformance.stage import Fault, Stage
from tests.conformance.ticket_system import FAULTS


async def pages(stage: Stage, kind: TicketKind, watermark: str | None, limit: int = 1000) -> list[ChangePage]:
    """Every page up to the end, at most 200."""
    found: list[ChangePage] = []
    for _ in range(200):
        page = await stage.system.changes_since(kind, watermark, limit=limit)
        found.append(page)
        watermark = page.watermark
        if not page.more:
            return found
    pytest.fail("it never ended")


async def everything(
    stage: Stage, kind: TicketKind, watermark: str | None, limit: int = 1000
) -> tuple[list[TicketSnapshot], str]:
    """The rows of all pages, and the watermark at the end."""
    read = await pages(stage, kind, watermark, limit)
    return [row for page in read for row in page.rows], read[-1].watermark


def ids(rows: list[TicketSnapshot]) -> Counter[str]:
    """How often each ticket was given."""
    return Counter(row.ref.id for row in rows)


class ChangesConformance(Kinds):
    """The suite."""

    async def test_a_change_is_given_once(self, stage: Stage, kind: TicketKind) -> None:
        refs = [(await stage.system.create(draft(kind))).ref for _ in range(3)]
        rows, mark = await everything(stage, kind, None)
        assert ids(rows) == {ref.id: 1 for ref in refs}
        for _ in range(2):
            rows, mark = await everything(stage, kind, mark)
            assert rows == []
        await stage.touch(refs[1])
        rows, mark = await everything(stage, kind, mark)
        assert ids(rows) == {refs[1].id: 1}
        rows, mark = await everything(stage, kind, mark)
        assert rows == []

    async def test_what_changed_is_told(self, stage: Stage, kind: TicketKind) -> None:
        created = await stage.system.create(draft(kind))
        ((row,), mark) = await everything(stage, kind, None)
        assert (row.ref, row.phase, row.state) == (created.ref, Phase.OPEN, created.state)
        assert row.state_name == stage.system.state_name(kind, created.state)
        assert abs(row.updated_on - datetime.now(UTC)) < timedelta(minutes=1)
        assert row.updated_by
        assert (row.assigned_to, row.due_date, row.close_code, row.reopened) == (None, None, "", 0)
        await stage.work_on(created.ref)
        await stage.system.update(created.ref, {"due_date": "2027-01-02 03:04:05"})
        await stage.system.resolve(created.ref, Closure())
        ((after,), mark) = await everything(stage, kind, mark)
        assert (after.ref.id, after.phase) == (created.ref.id, self.resolved(kind))
        assert after.due_date == datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert after.close_code
        assert after.close_notes
        assert after.revision > row.revision
        await stage.close(created.ref)
        ((closed,), _) = await everything(stage, kind, mark)
        assert closed.phase is Phase.CLOSED

    async def test_no_page_is_larger_than_asked_and_each_is_one_call(self, stage: Stage, kind: TicketKind) -> None:
        await stage.system.create(draft(kind))
        _, mark = await everything(stage, kind, None)
        await stage.burst(kind, 25)
        before = await stage.calls()
        with CallCounter() as tally:
            read = await pages(stage, kind, mark, limit=10)
        assert all(len(page.rows) <= 10 for page in read)
        assert await stage.calls() - before == tally.calls == len(read) <= 4

    async def test_a_burst_of_5000_in_one_second_is_given_whole_and_once(self, stage: Stage) -> None:
        kind = self.findable[0]
        made = await stage.burst(kind, 5000)
        rows, mark = await everything(stage, kind, None)
        assert ids(rows) == dict.fromkeys(made, 1)
        rows, mark = await everything(stage, kind, mark)
        assert rows == []
        assert mark.isascii()
        assert len(mark) < 60_000

    async def test_a_reading_goes_on_where_it_was_broken_off(self, stage: Stage, kind: TicketKind) -> None:
        """The watermark is all that is kept; a page whose watermark was lost is given again, the same."""
        made = await stage.burst(kind, 95)
        first = await stage.system.changes_since(kind, None, limit=30)
        second = await stage.system.changes_since(kind, first.watermark, limit=30)
        again = await stage.system.changes_since(kind, first.watermark, limit=30)
        assert again.rows == second.rows
        rest, mark = await everything(stage, kind, again.watermark, limit=30)
        assert ids([*first.rows, *again.rows, *rest]) == dict.fromkeys(made, 1)
        assert (await everything(stage, kind, mark))[0] == []

    async def test_nothing_is_lost_or_doubled_while_tickets_change(self, stage: Stage, kind: TicketKind) -> None:
        made = await stage.burst(kind, 60, age=30)
        first = await stage.system.changes_since(kind, None, limit=20)
        late = await stage.system.changes_since(kind, first.watermark, limit=20)
        read, unread = first.rows[3].ref, min(made - ids([*first.rows, *late.rows]).keys())
        new = (await stage.system.create(draft(kind))).ref
        await stage.touch(read)
        rest, mark = await everything(stage, kind, late.watermark, limit=20)
        rows = [*first.rows, *late.rows, *rest]
        given = ids(rows)
        assert given.pop(read.id) == 2
        assert given == dict.fromkeys({*made, new.id} - {read.id}, 1)
        assert unread in given
        assert len({(row.ref.id, row.revision) for row in rows}) == len(rows)
        assert (await everything(stage, kind, mark))[0] == []

    async def test_what_appears_late_is_given_all_the_same(self, stage: Stage, kind: TicketKind) -> None:
        """A row is committed after its time stamp was taken, when newer ones have been read already."""
        await stage.burst(kind, 5)
        _, mark = await everything(stage, kind, None)
        late = await stage.burst(kind, 3, age=60)
        rows, mark = await everything(stage, kind, mark)
        assert ids(rows) == dict.fromkeys(late, 1)
        assert (await everything(stage, kind, mark))[0] == []

    async def test_deleted_tickets_are_noticed(self, stage: Stage, kind: TicketKind) -> None:
        ref = (await stage.system.create(draft(kind))).ref
        there = await stage.burst(kind, 240)
        assert await stage.system.existing(kind, [*there, ref.id]) == {*there, ref.id}
        await stage.delete(ref)
        before = await stage.calls()
        assert await stage.system.existing(kind, [*there, ref.id]) == there
        assert await stage.calls() - before <= 3
        assert await stage.system.existing(kind, []) == frozenset()

    async def test_a_kind_that_cannot_be_looked_up_has_no_changes(self, stage: Stage, any_kind: TicketKind) -> None:
        if stage.system.findable(any_kind):
            return
        ref = (await stage.system.create(draft(any_kind))).ref
        page = await stage.system.changes_since(any_kind, None, limit=10)
        assert (page.rows, page.more) == ((), False)
        assert await stage.system.existing(any_kind, [ref.id]) == {ref.id}

    @pytest.mark.parametrize("fault", [*FAULTS, Fault.LOST_REQUEST])
    async def test_trouble_while_reading_changes_is_told_by_its_type(
        self, stage: Stage, kind: TicketKind, fault: Fault
    ) -> None:
        await stage.strike(fault)
        for look in (
            stage.system.changes_since(kind, None, limit=10),
            stage.system.existing(kind, ["a" * 32]),
        ):
            with pytest.raises(TicketSystemError) as caught:
                await look
            assert type(caught.value) is FAULTS.get(fault, Unavailable)
