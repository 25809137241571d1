"""Azure Monitor as a source that the bridge asks: the list of alerts that Azure itself keeps."""

from __future__ import annotations

from connectors.azure_monitor.alerts import AlertsManagement, Page
from connectors.azure_monitor.health import is_available
from connectors.azure_monitor.resource_manager import CLOUDS, Endpoint, ResourceManager

__all__ = ["CLOUDS", "AlertsManagement", "Endpoint", "Page", "ResourceManager", "is_available"]
