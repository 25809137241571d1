"""Azure Monitor as a source that the bridge asks: the list of alerts that Azure itself keeps."""

from __future__ import annotations

from connectors.azure_monitor.alerts import AlertsManagement, Page
from connectors.azure_monitor.health import is_available

__all__ = ["AlertsManagement", "Page", "is_available"]
