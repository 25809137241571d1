"""ServiceNow: incidents, problems and change requests through the Table API, events through Event Management.

``settings`` is imported with every configuration, so nothing here imports an HTTP client until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.servicenow.settings import ServiceNowSettings

if TYPE_CHECKING:
    from connectors.servicenow.connector import ServiceNow

__all__ = ["ServiceNow", "ServiceNowSettings"]


def __getattr__(name: str) -> Any:
    if name == "ServiceNow":
        from connectors.servicenow.connector import ServiceNow

        return ServiceNow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
