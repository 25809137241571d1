"""How a connection logs in, told without any secret. Pure."""

from __future__ import annotations

from connectors.servicenow.settings import ApiKeyAuth, Auth, BasicAuth, MutualTls, OAuthJwtBearer, OAuthPassword
from shared.core.log_in import LogIn


def log_in_of(auth: Auth) -> LogIn:
    """The log-in that settings describe. Its ends are those of its secrets, which these settings only name."""
    return LogIn(auth.type, _user(auth))


def _user(auth: Auth) -> str:
    if isinstance(auth, BasicAuth | OAuthPassword):
        return auth.username
    if isinstance(auth, OAuthJwtBearer):
        return auth.subject
    if isinstance(auth, ApiKeyAuth | MutualTls):
        return ""  # the instance's own record maps the key or certificate to a user
    return f"client {auth.client_id}"
