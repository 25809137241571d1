"""What the connectors to Microsoft's services share: sign-in, requests, pace. No service of its own."""

from __future__ import annotations

from connectors.microsoft.resource_manager import CLOUDS, ResourceManager
from connectors.microsoft.rest import Endpoint, RestClient

__all__ = ["CLOUDS", "Endpoint", "ResourceManager", "RestClient"]
