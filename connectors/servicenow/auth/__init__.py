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
from connectors.servicenow.auth.grants import AuthorizationCode, ClientCredentials, JwtBearer, Password
from connectors.servicenow.auth.guarded import GuardedCredential
from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    MutualTls,
    OAuthAuthorizationCode,
    OAuthClientCredentials,
    OAuthPassword,
)
from shared.core.tokens import TokenStore

__all__ = ["Credential", "CredentialSecrets", "Redactor", "RequestAuth", "Secret", "credential"]


def credential(settings: Auth, secrets: CredentialSecrets, tokens: TokenStore | None = None) -> GuardedCredential:
    """The credential that ``settings`` describes. Reads no secret yet. It raises no errors but those of the bridge.

    Args:
        settings: how to log in.
        secrets: of the connection.
        tokens: where workers share tokens.
    """
    return GuardedCredential(_credential(settings, secrets, tokens), secrets.connection)


def _credential(settings: Auth, secrets: CredentialSecrets, tokens: TokenStore | None) -> Credential:
    if isinstance(settings, BasicAuth):
        return basic(settings, secrets)
    if isinstance(settings, ApiKeyAuth):
        return api_key(settings, secrets)
    if isinstance(settings, MutualTls):
        return client_certificate(settings, secrets)
    if isinstance(settings, OAuthClientCredentials):
        return OAuthCredential(ClientCredentials(settings, secrets), secrets, tokens)
    if isinstance(settings, OAuthPassword):
        return OAuthCredential(Password(settings, secrets), secrets, tokens)
    if isinstance(settings, OAuthAuthorizationCode):
        return OAuthCredential(AuthorizationCode(settings, secrets), secrets, tokens)
    return OAuthCredential(JwtBearer(settings, secrets), secrets, tokens)
