"""What to check when the instance refuses credentials, by the kind of log-in. Pure.

Sources: ServiceNow docs, "REST API authentication", "API key and HMAC authentication", "Certificate-based
authentication", "OAuth inbound".
"""

from __future__ import annotations

from connectors.servicenow.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    MutualTls,
    OAuthAuthorizationCode,
    OAuthClientCredentials,
    OAuthJwtBearer,
    OAuthPassword,
)


def refused_credentials(auth: Auth, challenge: str = "") -> str:
    """The advice for a 401 to a call with these credentials. ``challenge``: header WWW-Authenticate of the answer."""
    if isinstance(auth, ApiKeyAuth):
        return (
            f"Check that the secret '{auth.key.secret}' holds the present key (REST API Key record: active, not "
            f"expired, with a user), that its inbound authentication profile takes the header '{auth.header}', and "
            "that a REST API access policy with that profile covers the Table API."
        )
    if isinstance(auth, MutualTls):
        return (
            f"Map the certificate of the secret '{auth.certificate.secret}' to the integration user (User to "
            "certificate mapping), and check that it is not expired, that its authority is trusted on the instance, "
            "and that certificate-based authentication is active."
        )
    if isinstance(auth, BasicAuth) and "bearer" in challenge.lower() and "basic" not in challenge.lower():
        return "The instance asks for a bearer token: use one of the OAuth types under 'auth'."
    if isinstance(auth, BasicAuth):
        return (
            f"Check the user name '{auth.username}' and the secret '{auth.password.secret}', that the user is active, "
            "not locked out and needs no password reset, and that the basic authentication restriction allows it (web "
            "service access only, or snc_basic_auth_api_access)."
        )
    if isinstance(auth, OAuthAuthorizationCode):
        return (
            "The instance issued a token and refuses it: check that the user who consented is active and not locked "
            "out, and that the registry record is active. If the consent was revoked, consent again with bridge.py "
            "connect."
        )
    return (
        f"The instance issued a token and refuses it: check that {_token_user(auth)} is active and not locked out, and "
        "that the application registry record was not changed meanwhile."
    )


def _token_user(auth: Auth) -> str:
    """Whom a token of this log-in acts as."""
    if isinstance(auth, OAuthPassword):
        return f"the user '{auth.username}'"
    if isinstance(auth, OAuthJwtBearer):
        return f"the user whom the subject '{auth.subject}' names"
    if isinstance(auth, OAuthClientCredentials):
        return "the OAuth Application User of the record"
    return "its user"
