"""What an access token says of whom it was given to. Read without checking the signature: never to trust it.

Sources: Microsoft Learn, "Access token claims reference" (``roles``: application permissions; ``scp``: delegated ones,
divided by spaces, only where a user signed in; ``idtyp``; ``appid`` in version 1, ``azp`` in version 2); "Access tokens
in the Microsoft identity platform": those for Microsoft's own services may be in a form that nobody else can read.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom a token was given to.

    Attributes:
        application: client id; empty where the token does not tell.
        user: a person signed in with that application (``az login``), not the application itself.
        permissions: of the service that the token is for, such as ``SecurityEvents.Read.All``; None where the token
            cannot be read.
    """

    application: str = ""
    user: bool = False
    permissions: frozenset[str] | None = None


UNREADABLE = Claims()


def read_claims(token: str) -> Claims:
    """What a token says; :data:`UNREADABLE` for one that is no JSON web token, such as an encrypted one."""
    parts = token.split(".")
    if len(parts) != 3:
        return UNREADABLE
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return UNREADABLE
    if not isinstance(found, dict):
        return UNREADABLE
    roles, scopes = found.get("roles"), found.get("scp")
    granted = frozenset(str(one) for one in roles) if isinstance(roles, list) else frozenset[str]()
    delegated = frozenset(scopes.split()) if isinstance(scopes, str) else frozenset[str]()
    user = isinstance(scopes, str) or found.get("idtyp") == "user"
    return Claims(str(found.get("appid") or found.get("azp") or ""), user, granted | delegated)
