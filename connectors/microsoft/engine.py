"""What all sources of Microsoft's clouds take from the engine."""

from __future__ import annotations

from connectors.microsoft.identities import CloudEndpoints, private_reach
from shared.engine import Engine


def endpoints_of(engine: Engine) -> CloudEndpoints | None:
    """The cloud that was given, or the private one that settings describe; None for Microsoft's public ones.

    Raises ConfigurationError.
    """
    return engine.given(CloudEndpoints) or private_reach(engine.settings)
