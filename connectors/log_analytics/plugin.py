"""Azure Monitor Logs (Log Analytics) as a destination of the export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.plugins import DestinationPlugin, Section

if TYPE_CHECKING:
    from shared.core.export import LogDestination
    from shared.engine import Engine


def _sections() -> tuple[Section, ...]:
    from connectors.log_analytics.settings import LogAnalyticsSettings

    description = (
        "Where the tickets of connections with an ``export``, and the bridge's own log, go. Left out: nothing is "
        "exported."
    )
    return (Section("log_analytics", LogAnalyticsSettings, description),)


def _open(engine: Engine) -> LogDestination | None:
    from connectors.log_analytics.sender import LogSender
    from connectors.log_analytics.settings import LogAnalyticsSettings
    from connectors.microsoft.engine import clients_of

    settings = engine.config.section("log_analytics", LogAnalyticsSettings)
    return None if settings is None else LogSender(settings, clients_of(engine), engine.now)


PLUGIN = DestinationPlugin(name="log_analytics", title="Log Analytics", sections=_sections, open=_open)
