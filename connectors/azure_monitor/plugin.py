"""Azure Monitor as a source: what it offers."""

from __future__ import annotations

from connectors.azure_monitor.payloads.schemas import SCHEMAS
from shared.core.plugins import SourcePlugin, SourceWords

PLUGIN = SourcePlugin(
    name="azure_monitor",
    words=SourceWords(name="Azure", product="Azure Monitor", thing="alert", again="fired again"),
    schemas=SCHEMAS,
)
