"""What every ticket system that lists its tickets for the export must keep: everything, in order, one call a page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.errors import TicketSystemError, Unavailable
from shared.core.export import ExportField, ExportsTickets, RecordPage, Selection, TicketRecord
from shared.core.ticket_system import Phase, TicketKind
from tests.conformance.kinds import Kinds, draft
from tests.conformance.stage import Fault, Stage


def exporter(stage: Stage) -> ExportsTickets:
    """The ticket system, which lists its tickets."""
    assert isinstance(stage.system, ExportsTickets)
    return stage.system


def recent(days: float = 1) -> Selection:
    """The tickets of the bridge that changed in the past days."""
    return Selection(since=datetime.now(UTC) - timedelta(days=days), ours=True)


async def exported(
    stage: Stage, kind: TicketKind, selection: Selection, watermark: str | None = None, limit: int = 1000
) -> tuple[list[TicketRecord], str]:
    """The rows of all pages, and the watermark at the end; at most 200 pages."""
    rows: list[TicketRecord] = []
    for _ in range(200):
        calls = await stage.calls()
        page: RecordPage = await exporter(stage).export_page(kind, selection, watermark, limit=limit)
        assert await stage.calls() - calls == 1
        assert len(page.records) <= limit
        rows += page.records
        watermark = page.watermark
        if not page.more:
            return rows, watermark
    pytest.fail("it never ended")


class ExportConformance(Kinds):
    """The suite, for kinds that can be looked up."""

    async def test_every_ticket_is_listed_once_and_again_when_it_changed(self, stage: Stage, kind: TicketKind) -> None:
        refs = [(await stage.system.create(draft(kind))).ref for _ in range(3)]
        rows, mark = await exported(stage, kind, recent())
        assert sorted(row.id for row in rows) == sorted(ref.id for ref in refs)
        assert (await exported(stage, kind, recent(), mark))[0] == []
        await stage.touch(refs[1])
        ((again,), mark) = await exported(stage, kind, recent(), mark)
        before = next(row for row in rows if row.id == refs[1].id)
        assert (again.id, again.number, again.url) == (before.id, before.number, before.url)
        assert again.revision != before.revision
        assert (again.connection, again.kind, again.phase) == (stage.system.name, kind, Phase.OPEN)
        assert str(again.values[ExportField.TITLE]).startswith("Disk full ")
        assert abs(again.changed_at - datetime.now(UTC)) < timedelta(minutes=1)

    async def test_pages_lose_nothing_and_double_nothing(self, stage: Stage, kind: TicketKind) -> None:
        wanted = await stage.burst(kind, 27)
        rows, _ = await exported(stage, kind, recent(), limit=10)
        assert sorted(row.id for row in rows) == sorted(wanted)
        assert [row.changed_at for row in rows] == sorted(row.changed_at for row in rows)

    async def test_a_count_is_that_of_the_rows(self, stage: Stage, kind: TicketKind) -> None:
        await stage.burst(kind, 5)
        await stage.burst(kind, 4, age=3 * 86_400)
        for days in (1, 4):
            rows, _ = await exported(stage, kind, recent(days))
            assert await exporter(stage).export_count(kind, recent(days)) == len(rows)
        assert len(rows) == 9

    async def test_only_what_is_asked_for_is_given(self, stage: Stage, kind: TicketKind) -> None:
        await stage.burst(kind, 1)
        wanted = frozenset({ExportField.TITLE, ExportField.STATE})
        ((row,), _) = await exported(stage, kind, replace(recent(), fields=wanted))
        assert set(row.values) == wanted
        ((row,), _) = await exported(stage, kind, replace(recent(), fields=frozenset()))
        assert row.values == {}

    async def test_a_watermark_that_cannot_be_read_begins_anew(self, stage: Stage, kind: TicketKind) -> None:
        wanted = await stage.burst(kind, 3)
        rows, _ = await exported(stage, kind, recent(), "of another release")
        assert {row.id for row in rows} == wanted

    async def test_a_system_that_is_away_is_reported_as_such(self, stage: Stage, kind: TicketKind) -> None:
        await stage.strike(Fault.ASLEEP)
        with pytest.raises(Unavailable):
            await exporter(stage).export_page(kind, recent(), None, limit=10)
        await stage.heal()
        await stage.strike(Fault.NOT_AUTHORISED)
        with pytest.raises(TicketSystemError):
            await exporter(stage).export_count(kind, recent())
        await stage.heal()
