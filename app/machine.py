"""Where this process runs."""

from __future__ import annotations

from collections.abc import Mapping
from platform import node


def machine_of(settings: Mapping[str, str]) -> str:
    """The name of this instance, for people. Source: Azure App Service, "Environment variables"."""
    return settings.get("WEBSITE_INSTANCE_ID", "")[:8] or settings.get("CONTAINER_NAME", "") or node()
