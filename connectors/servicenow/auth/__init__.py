"""Ways to log in, one module per family. ``credential`` builds the one that the settings describe."""

from __future__ import annotations

from connectors.servicenow.auth.base import Credential, Exchange, Proof, Vault
from connectors.servicenow.auth.grants import ClientCredentials, JwtBearer, Password
from connectors.servicenow.auth.oauth import OAuth
from connectors.servicenow.auth.static import api_key, basic, client_certificate
from connectors.servicenow.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    MutualTls,
    OAuthClientCredentials,
    OAuthPassword,
)

__all__ = ["Credential", "Exchange", "Proof", "Vault", "credential"]


def credential(settings: Auth, vault: Vault) -> Credential:
    """The credential that ``settings`` describes. Reads no secret yet."""
    if isinstance(settings, BasicAuth):
        return basic(settings, vault)
    if isinstance(settings, ApiKeyAuth):
        return api_key(settings, vault)
    if isinstance(settings, MutualTls):
        return client_certificate(settings, vault)
    if isinstance(settings, OAuthClientCredentials):
        return OAuth(ClientCredentials(settings, vault), vault)
    if isinstance(settings, OAuthPassword):
        return OAuth(Password(settings, vault), vault)
    return OAuth(JwtBearer(settings, vault), vault)
