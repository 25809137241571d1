"""The section ``resync``: what people do with tickets comes back. Its docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from shared.core.settings import Duration, SettingsModel


class ResyncSettings(SettingsModel):
    """Reads the changes that people make to tickets (states, owners, due dates), and pushes them to the sources."""

    enabled: bool = True
    """Whether ticket systems are asked at all. The bridge learns of changes otherwise only when it writes a ticket."""
    every: Annotated[Duration, Field(ge=timedelta(minutes=5), le=timedelta(days=1))] = timedelta(minutes=5)
    """How often each connection is asked what changed: one call for each kind of ticket. The timer runs every five
    minutes."""
    full_check_every: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=30))] = timedelta(days=1)
    """How often every open or resolved ticket is looked up, with one call for each hundred, to find deleted ones."""
    page_size: Annotated[int, Field(ge=10, le=1000)] = 500
    """Tickets that are asked for in one call."""
