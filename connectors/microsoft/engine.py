"""What all sources of Microsoft's clouds take from the engine."""

from __future__ import annotations

from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients, private_endpoints
from shared.engine import Engine


def clients_of(engine: Engine) -> MicrosoftClients:
    """Credentials and connections of this process: in the cloud that was given, in the private one that settings
    describe, or in Microsoft's public ones.

    Raises ConfigurationError.
    """
    return engine.shared(
        MicrosoftClients,
        lambda: MicrosoftClients(engine.secrets, engine.given(CloudEndpoints) or private_endpoints(engine.settings)),
    )
