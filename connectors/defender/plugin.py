"""Microsoft Defender for Cloud as a source: recommendations, findings and alerts, and who has to fix them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.defender.payloads.schemas import SCHEMAS
from shared.core.plugins import (
    DetailNames,
    EventHubIntake,
    HttpEndpoint,
    Intake,
    Job,
    Section,
    SourcePlugin,
    SourceWords,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.defender.routes import Integrations
    from connectors.defender.source import DefenderSource
    from shared.config.model import BridgeConfig
    from shared.engine import Engine
    from shared.mapping.layouts import Layout


def _sections() -> tuple[Section, ...]:
    from connectors.defender.sections import sections

    return sections()


def _routes(config: BridgeConfig) -> Integrations | None:
    from connectors.defender.routes import Integrations
    from connectors.defender.settings import DefenderSettings

    settings = config.section("defender", DefenderSettings)
    return None if settings is None else Integrations(settings.integrations)


def _details() -> DetailNames:
    from connectors.defender.payloads.details import DETAILS
    from connectors.defender.routes import OWN_FIELD
    from shared.payloads.builder import DETAILS as EVERYWHERE

    return DetailNames(frozenset(DETAILS) | frozenset(EVERYWHERE), begins=(OWN_FIELD,))


def _layouts() -> Mapping[str, Layout]:
    from connectors.defender.layouts import LAYOUTS

    return LAYOUTS


def _open(engine: Engine) -> DefenderSource:
    from connectors.defender.source import DefenderSource

    return DefenderSource(engine)


PLUGIN = SourcePlugin(
    name="defender",
    words=SourceWords("Microsoft Defender for Cloud", "Microsoft Defender for Cloud"),
    kinds=("recommendation", "sub_assessment", "security_alert"),
    details=_details,
    schemas=SCHEMAS,
    sections=_sections,
    layouts=_layouts,
    routes=_routes,
    intakes=(Intake("recommendations", "recommendations"),),
    event_hubs=(
        EventHubIntake(
            "recommendations_from_event_hub",
            hub="RECOMMENDATIONS_EVENT_HUB",
            connection="RecommendationsEventHub",
            consumer_group="RECOMMENDATIONS_CONSUMER_GROUP",
        ),
    ),
    endpoints=(
        HttpEndpoint("assignments", "assignments"),
        HttpEndpoint("withdraw_assignments", "assignments/withdraw"),
        HttpEndpoint("integrations", "integrations", ("GET",), acts=False),
    ),
    jobs=(
        Job("poll_findings", "0 9,24,39,54 * * * *", "read findings of Defender for Cloud", needs="defender.poll"),
        Job("remind", "0 12 * * * *", "remind tickets of overdue assignments", needs="the section defender"),
    ),
    open=_open,
)
