"""Metrics for Application Insights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.operations.meters import OpenTelemetryMeters
    from shared.operations.telemetry import Telemetry


def telemetry_of(settings: Mapping[str, str]) -> Telemetry | None:
    """Counts events and exports the figures; None where no Application Insights is configured.

    Imports nothing of OpenTelemetry: that is done later, on a thread of its own.
    """
    connection_string = settings.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
    if not connection_string:
        return None
    from shared.operations.telemetry import Telemetry

    def start() -> OpenTelemetryMeters:
        from shared.operations.meters import application_insights

        return application_insights(connection_string, settings)

    return Telemetry(start)
