"""Azure Monitor as a source: alerts by webhook, the comparison with Azure's list, alert states, Resource Health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.azure_monitor.payloads.schemas import SCHEMAS
from shared.core.plugins import Job, Section, SourcePlugin, SourceWords

if TYPE_CHECKING:
    from connectors.azure_monitor.source import AzureMonitorSource
    from shared.engine import Engine


def _sections() -> tuple[Section, ...]:
    from connectors.azure_monitor.sections import sections

    return sections()


def _open(engine: Engine) -> AzureMonitorSource:
    from connectors.azure_monitor.source import AzureMonitorSource

    return AzureMonitorSource(engine)


PLUGIN = SourcePlugin(
    name="azure_monitor",
    words=SourceWords("Azure", "Azure Monitor", "alert", "fired again"),
    schemas=SCHEMAS,
    sections=_sections,
    jobs=(Job("reconcile", "0 4,19,34,49 * * * *"),),
    open=_open,
)
