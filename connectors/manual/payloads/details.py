"""Details of requests for tickets: the names that the bridge sets itself. Callers add names of their own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DETAILS: Mapping[str, str] = MappingProxyType(
    {
        "requested_by": "who asked for the ticket, as given",
        "communication": "of a resolved request: its text, which ends the closing note",
    }
)
