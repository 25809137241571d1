"""The ticket system suite, played by the ServiceNow connector against the simulator."""

from __future__ import annotations

import pytest

from shared.core.ticket_system import TicketKind
from tests.conformance.changes import ChangesConformance
from tests.conformance.states import StatesConformance
from tests.conformance.ticket_system import TicketSystemConformance

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestServiceNow(TicketSystemConformance, StatesConformance, ChangesConformance):
    """All kinds of ticket, as the integration user with least rights."""

    kinds = tuple(TicketKind)
    findable = (TicketKind.INCIDENT, TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST)
    final = (TicketKind.CHANGE_REQUEST,)
    guarded = (TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST)
