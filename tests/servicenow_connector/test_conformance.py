"""The ticket system suite, played by the ServiceNow connector against the simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.core.ticket_system import TicketKind
from tests.conformance.changes import ChangesConformance
from tests.conformance.states import StatesConformance
from tests.conformance.ticket_system import TicketSystemConformance
from tests.servicenow_connector.conftest import Stages
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def stage(stages: Stages) -> AsyncIterator[SimulatedServiceNow]:
    """A connection that moves changes to Review; the default cancels them or leaves them to people."""
    async with stages(states={"change_request": {"resolved": "Review"}}) as stage:
        yield stage


class TestServiceNow(TicketSystemConformance, StatesConformance, ChangesConformance):
    """All kinds of ticket, as the integration user with least rights."""

    kinds = tuple(TicketKind)
    findable = (TicketKind.INCIDENT, TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST)
    final = (TicketKind.CHANGE_REQUEST,)
    guarded = (TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST)
