"""The section ``log_analytics`` of bridge.yaml. The docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.settings import SettingsModel
from shared.platform.addresses import web_origin


def _endpoint(text: str) -> str:
    found = web_origin(text)
    if not found.startswith("https://"):
        raise ValueError(
            f"'{text}' is no endpoint of the Logs Ingestion API. Fix: write the address under logsIngestion of the "
            "data collection rule, or of a data collection endpoint: https://NAME.REGION.ingest.monitor.azure.com"
        )
    return found


class LogAnalyticsSettings(SettingsModel):
    """The data collection rule through which rows reach a Log Analytics workspace. infra/ makes one, and sets both
    settings that the shipped file names."""

    endpoint: Annotated[str, AfterValidator(_endpoint)]
    """Address of the Logs Ingestion API: that of the rule itself (kind Direct), or of a data collection endpoint."""
    rule: Annotated[str, StringConstraints(pattern=r"^dcr-[0-9a-f]{32}$")]
    """Immutable id of the data collection rule: ``dcr-`` and 32 characters; no resource id."""
    cloud: CloudName = "public"
    """Cloud of the workspace."""
    sign_in: SignIn | None = None
    """Application that sends the rows. Left out: the app's own identity. Either needs the role Monitoring Metrics
    Publisher on the rule."""
