"""The bridge itself as a source: its own problems become tickets where ``report_itself`` says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.bridge.payloads.schemas import SCHEMAS
from shared.core.plugins import DetailNames, Job, Section, SourcePlugin, SourceWords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.bridge.source import BridgeSource
    from shared.engine import Engine
    from shared.mapping.layouts import Layout

#: The same as ``payloads.problem.REASONS``, which a webhook's cold start does not import.
KINDS = (
    "connection_failing",
    "signals_wait",
    "dead_letters_grow",
    "quarantine_grow",
    "function_not_called",
    "message_waits",
    "poison_queue",
    "credential_ends",
    "export_lags",
)


def _sections() -> tuple[Section, ...]:
    from connectors.bridge.settings import ReportItself

    description = "Makes tickets of the bridge's own problems. Left out: only health, log and metrics tell of them."
    return (Section("report_itself", ReportItself, description),)


def _details() -> DetailNames:
    from connectors.bridge.payloads.problem import DETAILS
    from shared.payloads.builder import DETAILS as EVERYWHERE

    return DetailNames(frozenset(DETAILS) | frozenset(EVERYWHERE))


def _layouts() -> Mapping[str, Layout]:
    from shared.mapping.layouts import RATINGS, Layout

    facts = (("about", "About"), ("connection", "Connection"), ("days_left", "Days left"))
    return dict.fromkeys(KINDS, Layout(began="Noticed", severities=RATINGS, facts=facts))


def _open(engine: Engine) -> BridgeSource:
    from connectors.bridge.source import BridgeSource

    return BridgeSource(engine)


PLUGIN = SourcePlugin(
    name="bridge",
    words=SourceWords("The bridge", "Azure ITSM Bridge", thing="problem"),
    kinds=KINDS,
    details=_details,
    schemas=SCHEMAS,
    sections=_sections,
    layouts=_layouts,
    jobs=(
        Job("report_itself", "35 */5 * * * *", "report the bridge's own problems", needs="the section report_itself"),
    ),
    open=_open,
)
