"""The section ``log_analytics`` of bridge.yaml. The docstrings go into the JSON Schema and docs."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.settings import SettingsModel
from shared.platform.addresses import web_origin

_IMMUTABLE_ID = r"dcr-[0-9a-f]{32}"


def _endpoint(text: str) -> str:
    found = web_origin(text)
    if not found.startswith("https://"):
        raise ValueError(
            f"'{text}' is no endpoint of the Logs Ingestion API. Fix: write the address under logsIngestion of the "
            "data collection rule, or of a data collection endpoint: https://NAME.REGION.ingest.monitor.azure.com"
        )
    return found


def _rule(text: str) -> str:
    if not re.fullmatch(_IMMUTABLE_ID, text):
        raise ValueError(
            f"'{text}' is no immutable id of a data collection rule. Fix: write the value under immutableId of the "
            "rule (JSON view in the portal): dcr- and 32 digits and letters"
        )
    return text


class LogAnalyticsSettings(SettingsModel):
    """The data collection rule through which rows reach a Log Analytics workspace. infra/ makes one, and sets both
    settings that the shipped file names."""

    endpoint: Annotated[str, AfterValidator(_endpoint)]
    """Address of the Logs Ingestion API: that of the rule itself (kind Direct), or of a data collection endpoint."""
    rule: Annotated[str, AfterValidator(_rule), Field(json_schema_extra={"pattern": f"^{_IMMUTABLE_ID}$"})]
    """Immutable id of the data collection rule: ``dcr-`` and 32 characters; no resource id."""
    cloud: CloudName = "public"
    """Cloud of the workspace."""
    allow_private_addresses: bool = False
    """Whether ``endpoint`` may lead to a private address: for a data collection endpoint behind Azure Monitor Private
    Link. Otherwise nothing is sent there, whatever DNS says."""
    sign_in: SignIn | None = None
    """Application that sends the rows. Left out: the app's own identity. Either needs the role Monitoring Metrics
    Publisher on the rule."""
