"""The suite of the export, played by the ServiceNow connector against the simulator."""

from __future__ import annotations

import pytest

from shared.core.ticket_system import TicketKind
from tests.conformance.export import ExportConformance

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestServiceNowExport(ExportConformance):
    """All kinds that the export knows, as the integration user with least rights."""

    findable = (TicketKind.INCIDENT, TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST)
