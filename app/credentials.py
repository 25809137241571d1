"""Looks at everything that lets the bridge in elsewhere: secrets, certificates, log-ins of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.operations.credentials import (
    CredentialReading,
    log_in_credentials,
    named_secrets,
    secret_credentials,
    with_ends_elsewhere,
)

if TYPE_CHECKING:
    from app.container import Container


async def look(services: Container) -> tuple[list[CredentialReading], list[str]]:
    """Every credential as it is now, and the connections whose log-in cannot be read. Raises ConfigurationError."""
    from app.registry import ends_elsewhere

    found = await secret_credentials(named_secrets(services.config), services.secrets)
    found = with_ends_elsewhere(found, await ends_elsewhere(services))
    systems = services.opened_systems
    given, unread = await log_in_credentials(systems.enabled, systems.log_in)
    return [*found, *given], unread
