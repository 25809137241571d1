"""Ways to log in. ``credential`` builds the one that the settings describe."""

from __future__ import annotations

from connectors.servicenow.auth.credentials import (
    Credential,
    CredentialSecrets,
    Redactor,
    RequestAuth,
    Secret,
    api_key,
    basic,
    client_certificate,
)
from connectors.servicenow.auth.grants import ClientCredentials, JwtBearer, Password
from connectors.servicenow.auth.guarded import GuardedCredential
from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    MutualTls,
    OAuthClientCredentials,
    OAuthPassword,
)

__all__ = ["Credential", "CredentialSecrets", "Redactor", "RequestAuth", "Secret", "credential"]


def credential(settings: Auth, secrets: CredentialSecrets) -> Credential:
    """The credential that ``settings`` describes. Reads no secret yet. It raises no errors but those of the bridge."""
    return GuardedCredential(_credential(settings, secrets), secrets.connection)


def _credential(settings: Auth, secrets: CredentialSecrets) -> Credential:
    if isinstance(settings, BasicAuth):
        return basic(settings, secrets)
    if isinstance(settings, ApiKeyAuth):
        return api_key(settings, secrets)
    if isinstance(settings, MutualTls):
        return client_certificate(settings, secrets)
    if isinstance(settings, OAuthClientCredentials):
        return OAuthCredential(ClientCredentials(settings, secrets), secrets)
    if isinstance(settings, OAuthPassword):
        return OAuthCredential(Password(settings, secrets), secrets)
    return OAuthCredential(JwtBearer(settings, secrets), secrets)
