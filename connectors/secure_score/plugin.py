"""Microsoft Secure Score as a source: what it offers."""

from __future__ import annotations

from connectors.secure_score.payloads.schemas import SCHEMAS
from shared.core.plugins import SourcePlugin, SourceWords

PLUGIN = SourcePlugin(
    name="secure_score",
    words=SourceWords(name="Microsoft Secure Score", product="Microsoft Secure Score"),
    schemas=SCHEMAS,
)
