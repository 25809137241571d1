"""From the poll to the ticket, through the real delivery: one ticket per finding, whatever is repeated."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from shared.platform.storage import Storage
from tests.defender_poll.stage import DEV_VM, Stage, assessment_id
from tests.reconcile.desk import working

_RESOLVED, _NEW_OR_ACTIVE = {"6"}, {"1", "2"}


async def test_repeated_gone_and_returned_a_finding_has_one_ticket(
    stage: Stage, storage: Storage, tmp_path: Path
) -> None:
    name = f"vm-{uuid4().hex[:8]}"  # whose key no other test has
    machine = DEV_VM.replace("dev-01", name)
    only = {"resource": name}
    await stage.find(machine, "disk-encryption")
    more = "defender: {poll: {unassigned: routes}}"
    async with working(storage, tmp_path, more, now=stage.now) as desk:

        async def states() -> list[str]:
            return [row["state"] for row in await desk.rows("incident", f"short_descriptionLIKE{name}")]

        await stage.poll(when=only)
        told = stage.outbox.take()
        await desk.deliver([*told, *told])  # a crash before the snapshot was committed
        assert len(await states()) == 1

        lost = await stage.find(machine, "disk-encryption")
        await stage.told("DELETE", "/assessments", id=assessment_id(machine, "disk-encryption"))
        await stage.poll(when=only)
        told = stage.outbox.take()
        await desk.deliver([*told, *told])
        assert set(await states()) == _RESOLVED

        await stage.find(machine, "disk-encryption", properties=lost["properties"])  # with its old date
        await stage.poll(when=only)
        told = stage.outbox.take()
        await desk.deliver([*told, *told])
        assert set(await states()) & _NEW_OR_ACTIVE

        stage.later += timedelta(minutes=1)
        await stage.find(machine, "disk-encryption", code="Healthy")
        await stage.poll(when=only)
        await desk.deliver(stage.outbox.take())
        assert set(await states()) == _RESOLVED
