"""Azure Monitor as a source: alerts by webhook, the comparison with Azure's list, alert states, Resource Health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from connectors.azure_monitor.payloads.schemas import SCHEMAS
from shared.core.plugins import DetailNames, Intake, Job, Section, SourcePlugin, SourceWords, Trap

if TYPE_CHECKING:
    from connectors.azure_monitor.source import AzureMonitorSource
    from shared.core.signal import Signal
    from shared.engine import Engine
    from shared.mapping.layouts import Layout


def _sections() -> tuple[Section, ...]:
    from connectors.azure_monitor.sections import sections

    return sections()


def _details() -> DetailNames:
    from connectors.azure_monitor.payloads.details import DETAILS, ONLY_OF
    from shared.payloads.builder import DETAILS as EVERYWHERE

    return DetailNames(frozenset(DETAILS) | frozenset(EVERYWHERE), ONLY_OF)


def _traps(signal: Signal) -> tuple[Trap, ...]:
    from connectors.azure_monitor.traps import traps_of

    return traps_of(signal)


def _layouts() -> Mapping[str, Layout]:
    from connectors.azure_monitor.layouts import LAYOUTS

    return LAYOUTS


def _open(engine: Engine) -> AzureMonitorSource:
    from connectors.azure_monitor.source import AzureMonitorSource

    return AzureMonitorSource(engine)


PLUGIN = SourcePlugin(
    name="azure_monitor",
    words=SourceWords("Azure", "Azure Monitor", "alert", "fired again"),
    kinds=(
        "metric",
        "log",
        "activity",
        "service_health",
        "resource_health",
        "prometheus",
        "smart_detection",
        "budget",
        "backup",
        "autoscale",
        "other",
    ),
    details=_details,
    schemas=SCHEMAS,
    sections=_sections,
    traps=_traps,
    layouts=_layouts,
    intakes=(Intake("alerts", "alerts"), Intake("secure_alerts", "secure/alerts", token=True)),
    jobs=(
        Job(
            "reconcile",
            "0 4,19,34,49 * * * *",
            "compare Azure's list of alerts with what the bridge knows",
            needs="the section reconcile",
        ),
    ),
    open=_open,
)
