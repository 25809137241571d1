"""Microsoft 365 Secure Score as a source: improvement actions, and the states of their controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.secure_score.payloads.schemas import SCHEMAS
from shared.core.plugins import DetailNames, HttpEndpoint, Intake, Job, Section, SourcePlugin, SourceWords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.secure_score.routes import ControlRoutes
    from connectors.secure_score.source import SecureScoreSource
    from shared.config.model import BridgeConfig
    from shared.engine import Engine
    from shared.mapping.layouts import Layout


def _sections() -> tuple[Section, ...]:
    from connectors.secure_score.sections import sections

    return sections()


def _routes(config: BridgeConfig) -> ControlRoutes | None:
    from connectors.secure_score.routes import ControlRoutes
    from connectors.secure_score.settings import SecureScoreSettings

    settings = config.section("secure_score", SecureScoreSettings)
    return None if settings is None else ControlRoutes(settings)


def _details() -> DetailNames:
    from connectors.secure_score.payloads.details import DETAILS
    from shared.payloads.builder import DETAILS as EVERYWHERE

    return DetailNames(frozenset(DETAILS) | frozenset(EVERYWHERE))


def _layouts() -> Mapping[str, Layout]:
    from connectors.secure_score.layouts import LAYOUTS

    return LAYOUTS


def _open(engine: Engine) -> SecureScoreSource:
    from connectors.secure_score.source import SecureScoreSource

    return SecureScoreSource(engine)


PLUGIN = SourcePlugin(
    name="secure_score",
    words=SourceWords("Microsoft Secure Score", "Microsoft Secure Score"),
    kinds=("control",),
    details=_details,
    schemas=SCHEMAS,
    sections=_sections,
    layouts=_layouts,
    routes=_routes,
    intakes=(Intake("secure_score_controls", "secure-score"),),
    endpoints=(
        HttpEndpoint("secure_score_ticket", "secure-score/{control}/ticket"),
        HttpEndpoint("secure_score_preview", "secure-score/{control}/preview", acts=False),
    ),
    jobs=(Job("poll_scores", "0 22 * * * *", "read Secure Scores", needs="the section secure_score"),),
    open=_open,
)
