"""What the connectors to Microsoft's services share: sign-in, requests, pace, ids of resources. No service of its own.

Readers of payloads import modules of this folder at a webhook's cold start, so nothing here imports an HTTP client
until it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.microsoft.resource_manager import CLOUDS, ResourceManager
    from connectors.microsoft.rest import Endpoint, RestClient

__all__ = ["CLOUDS", "Endpoint", "ResourceManager", "RestClient"]

_MODULES = {
    "CLOUDS": "resource_manager",
    "ResourceManager": "resource_manager",
    "Endpoint": "rest",
    "RestClient": "rest",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
