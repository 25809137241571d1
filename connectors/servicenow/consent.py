"""A person's consent: the request, the code, the refresh token, and as whom the instance knows us then.

Sources: ServiceNow docs, "Authorization code grant workflow" and "Revoke an OAuth token"; RFC 7636 (PKCE); RFC 8252,
7.3 (loopback redirect).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode

from connectors.servicenow.account import own_records, own_roles
from connectors.servicenow.auth.grants import AuthorizationCode
from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.client import Client
from connectors.servicenow.settings import OAuthAuthorizationCode
from connectors.servicenow.wire import value
from shared.core.errors import NotAuthorised, Unavailable
from shared.core.tokens import Account, ConsentRequest, IssuedTokens, StoredToken


class ServiceNowConsent:
    """A ``ConsentDesk``.

    Args:
        client: of the instance.
        url: of the instance.
        settings: of the log-in.
        credential: that the connection uses.
        now: the clock.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        settings: OAuthAuthorizationCode,
        credential: OAuthCredential,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._url = url
        self._settings = settings
        self._credential = credential
        self._grant = AuthorizationCode(settings, client.secrets)
        self._now = now

    @property
    def secret(self) -> str:
        """See ``ConsentDesk.secret``."""
        return self._settings.refresh_token.secret

    @property
    def redirect(self) -> str:
        """See ``ConsentDesk.redirect``."""
        return self._settings.redirect_url

    def ask(self) -> ConsentRequest:
        """See ``ConsentDesk.ask``."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self.redirect,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({"scope": self._settings.scope} if self._settings.scope else {}),
        }
        return ConsentRequest(f"{self._url}/oauth_auth.do?{urlencode(query)}", self.redirect, state, verifier)

    async def redeem(self, request: ConsentRequest, code: str) -> StoredToken:
        """See ``ConsentDesk.redeem``."""
        given = await self._grant.secrets(refresh=True)
        return await self._issued(self._grant.code_form(given, code, request.redirect, request.verifier))

    async def by_password(self, user_name: str, password: str) -> StoredToken:
        """See ``ConsentDesk.by_password``."""
        self._grant.learn(password)
        given = await self._grant.secrets(refresh=True)
        return await self._issued(self._grant.password_form(given, user_name, password))

    async def _issued(self, form: dict[str, str]) -> StoredToken:
        started = self._now()
        async with self._client.token_endpoint() as endpoint:
            issued: IssuedTokens = await self._credential.wire(endpoint).fetch(form)
        if not issued.refresh:
            raise NotAuthorised(
                "the instance gave no refresh token",
                connection=self._client.connection,
                advice="Give the registry record a Refresh Token Lifespan, and a type that has refresh tokens.",
            )
        return StoredToken(issued.refresh, started + self._settings.refresh_token_lifetime)

    async def revoke(self, token: str, *, spare: str = "") -> None:
        """See ``ConsentDesk.revoke``. The access token that workers share ends, too."""
        shared = await self._credential.keeper.tokens_in_store()
        async with self._client.token_endpoint() as endpoint:
            for one in dict.fromkeys((token, *((shared.refresh, shared.access) if shared is not None else ()))):
                if one and one != spare:
                    self._grant.learn(one)
                    reply = await endpoint.revoke(one)
                    if reply.status >= 300:
                        raise Unavailable(
                            "the instance did not revoke the token",
                            connection=self._client.connection,
                            status=reply.status,
                            advice="Revoke it there: System OAuth > Manage Tokens.",
                        )

    async def forget(self) -> None:
        """See ``ConsentDesk.forget``."""
        await self._credential.keeper.forget()

    async def account(self) -> Account:
        """See ``ConsentDesk.account``."""
        with self._client.operation():
            found = await own_records(self._client)
            roles, total = await own_roles(self._client)
        name = (value(found[0], "user_name") or "") if len(found) == 1 else ""
        known = tuple(sorted(roles)) if roles or total == 0 else None
        return Account(name, known, tuple(_amiss(name, known)))


def _amiss(name: str, roles: tuple[str, ...] | None) -> list[str]:
    said = []
    if not name:
        said.append("the instance does not show this user its own record: allow it to read sys_user")
    if roles is not None and "admin" in roles:
        said.append("it is an administrator: is this the integration user? It needs itil, and must not have admin")
    if roles is not None and "snc_read_only" in roles:
        said.append("its role snc_read_only lets it write nothing: take that role away")
    if roles == ():
        said.append("it has no roles: give it itil, or evt_mgmt_integration for events")
    return said
