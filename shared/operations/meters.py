"""OpenTelemetry instruments for the measures, and their export to Application Insights.

Importing this module imports OpenTelemetry: only ``telemetry`` does, on a thread of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from shared.core.version import VERSION
from shared.operations.measures import COUNTERS, HISTOGRAMS, Measure

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

#: Seconds between two exports, and the longest that one may take.
_EVERY = 60.0
_WITHIN = 10.0

#: The exporter reports about itself to Microsoft, and asks a service of Microsoft for its own settings. Both have
#: addresses of their own, which no customer allowed; they are off unless somebody says otherwise. There is no other
#: way to say so. Source: the exporter's README and its module ``_constants``.
_OFF = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)


class OpenTelemetryMeters:
    """Counters and histograms of one process.

    Args:
        reader: takes the figures out: periodically to Application Insights, or when a test asks.
        settings: application settings; they name the app and the instance.
    """

    def __init__(self, reader: MetricReader, settings: Mapping[str, str]) -> None:
        named = {
            "service.name": settings.get("WEBSITE_SITE_NAME", "azure-itsm-bridge"),
            "service.version": VERSION,
            "service.instance.id": settings.get("WEBSITE_INSTANCE_ID", "")[:32],
        }
        resource = Resource({name: value for name, value in named.items() if value})
        # It flushes at exit: an instance that is scaled in still sends its last minute.
        self.provider = MeterProvider([reader], resource=resource, shutdown_on_exit=True)
        meter = self.provider.get_meter("azure-itsm-bridge", VERSION)
        self._counters = {name: meter.create_counter(name, "1", text) for name, text in COUNTERS.items()}
        self._histograms = {name: meter.create_histogram(name, *about) for name, about in HISTOGRAMS.items()}

    def add(self, measure: Measure) -> None:
        """Add one measure to its instrument."""
        if measure.name in self._counters:
            self._counters[measure.name].add(measure.value, measure.attributes)
        else:
            self._histograms[measure.name].record(measure.value, measure.attributes)


def application_insights(connection_string: str, settings: Mapping[str, str]) -> OpenTelemetryMeters:
    """Meters that are exported to Application Insights every minute, and at exit.

    Args:
        connection_string: of the Application Insights resource. Where the resource takes Entra tokens only, the
            exporter signs in as ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING`` says, as the Functions host does.
        settings: application settings.

    Raises:
        ValueError: the connection string is none.
    """
    return OpenTelemetryMeters(PeriodicExportingMetricReader(_exporter(connection_string), _EVERY * 1000), settings)


def _exporter(connection_string: str) -> MetricExporter:
    for name in _OFF:
        os.environ.setdefault(name, "true")
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter

    # It says at level INFO every minute that all is well.
    logging.getLogger("azure.monitor.opentelemetry.exporter").setLevel(logging.WARNING)
    # Nothing is kept on disk: figures that could not be sent in their minute are not worth a file, and the log has
    # every event they were made of.
    return AzureMonitorMetricExporter(
        connection_string=connection_string, disable_offline_storage=True, timeout=_WITHIN, retry_total=1
    )
