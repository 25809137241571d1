"""Microsoft Defender for Cloud as a source: what it offers."""

from __future__ import annotations

from connectors.defender.payloads.schemas import SCHEMAS
from shared.core.plugins import SourcePlugin, SourceWords

PLUGIN = SourcePlugin(
    name="defender",
    words=SourceWords(name="Microsoft Defender for Cloud", product="Microsoft Defender for Cloud"),
    schemas=SCHEMAS,
)
