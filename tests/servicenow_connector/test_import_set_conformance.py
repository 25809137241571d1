"""The ticket system suite, played by a connection that creates incidents through an import set."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.core.errors import Unavailable
from shared.core.ticket_system import TicketKind
from tests.conformance.kinds import draft
from tests.conformance.stage import Fault, Stage
from tests.conformance.ticket_system import TicketSystemConformance
from tests.servicenow_connector.conftest import Stages
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def stage(stages: Stages) -> AsyncIterator[SimulatedServiceNow]:
    """A staging table whose map coalesces on the key."""
    async with stages(import_set={"incident": {"table": "u_azure_incident"}}) as stage:
        yield stage


class TestImportSet(TicketSystemConformance):
    """Incidents, as the integration user with least rights."""

    kinds = (TicketKind.INCIDENT,)
    findable = (TicketKind.INCIDENT,)

    #: Only changes have no way back.
    test_a_kind_without_a_way_back_is_closed_by_its_end = None  # type: ignore[assignment]

    async def test_it_says_what_it_is(self, stage: Stage) -> None:
        """The connection has all kinds; the import set is of one of them."""
        assert set(TicketKind) == stage.system.kinds

    async def test_a_create_that_never_arrived_is_not_found_and_can_be_repeated(
        self, stage: Stage, kind: TicketKind
    ) -> None:
        """The search for the key comes first, so that the row is not even sent."""
        wanted = draft(kind)
        await stage.strike(Fault.LOST_REQUEST)
        with pytest.raises(Unavailable) as caught:
            await stage.system.create(wanted)
        assert not caught.value.applied
        await stage.heal()
        assert await stage.system.find(kind, wanted.id, wanted.correlation) is None
        await stage.system.create(wanted)
        assert await stage.tickets(kind, wanted.correlation) == 1

    async def test_create_bears_our_id_and_key(self, stage: Stage, any_kind: TicketKind) -> None:
        """The key is ours, the id is the record's own."""
        wanted = draft(any_kind)
        ticket = await stage.system.create(wanted)
        assert ticket.ref.correlation == wanted.correlation
        assert ticket.ref.id != wanted.id
        assert await stage.tickets(any_kind, wanted.correlation) == 1

    async def test_create_is_one_call(self, stage: Stage, any_kind: TicketKind) -> None:
        """The search for the key, the row, the record."""
        before = await stage.calls()
        await stage.system.create(draft(any_kind))
        assert await stage.calls() - before == 3
