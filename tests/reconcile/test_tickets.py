"""From Azure's list to the ticket and back: what reconciling delivers takes the road of every signal."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from connectors.azure_monitor.source import AzureMonitorSource
from shared.platform.storage import Storage
from tests.reconcile.desk import working
from tests.reconcile.stage import Stage, webhook

HOUR = timedelta(hours=1)


async def test_a_missed_alert_gets_one_ticket_and_its_late_webhook_changes_nothing(
    stage: Stage, storage: Storage, tmp_path: Path
) -> None:
    async with working(storage, tmp_path) as desk:
        told = await stage.fire(rule="Disk full")
        await stage.reconcile()
        await desk.deliver(stage.outbox.take())
        late = webhook(told)
        (ticket,) = await desk.rows("incident", f"correlation_id={late.key}")
        assert (ticket["state"], ticket["short_description"]) == ("1", "Disk full on dev-01")
        await desk.deliver([late, late])
        (after,) = await desk.rows("incident", f"correlation_id={late.key}")
        assert after["sys_mod_count"] == ticket["sys_mod_count"]

        over = webhook(await stage.resolve(told))
        stage.later = HOUR
        await stage.reconcile()
        await desk.deliver(stage.outbox.take())
        assert await desk.states(late.key) == ["6"]
        (before,) = await desk.rows("incident", f"correlation_id={late.key}")
        await desk.deliver([over, late])
        (after,) = await desk.rows("incident", f"correlation_id={late.key}")
        assert after["sys_mod_count"] == before["sys_mod_count"]
        stage.later = 2 * HOUR
        assert (await stage.reconcile()).known == 1


async def test_an_alert_that_was_over_before_anybody_heard_of_it_gets_a_resolved_ticket(
    stage: Stage, storage: Storage, tmp_path: Path
) -> None:
    async with working(storage, tmp_path) as desk:
        over = webhook(await stage.resolve(await stage.fire()))
        stage.later = HOUR
        await stage.reconcile(over="ticket")
        await desk.deliver(stage.outbox.take())
        assert await desk.states(over.key) == ["6"]


async def test_a_bridge_that_is_not_told_to_compare_does_nothing(storage: Storage, tmp_path: Path) -> None:
    async with working(storage, tmp_path) as desk:
        assert await desk.services.source(AzureMonitorSource).reconcile() == []
