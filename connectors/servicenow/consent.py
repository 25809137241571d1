"""A person's consent: the request, the code, the refresh token, and as whom the instance knows us then.

Sources: ServiceNow docs, "Authorization code grant workflow" and "Revoke an OAuth token"; RFC 7636 (PKCE); RFC 8252,
7.3 (loopback redirect).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from connectors.servicenow.account import own_records, own_roles
from connectors.servicenow.auth.grants import AuthorizationCode
from connectors.servicenow.auth.log_ins import LogIns
from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.client import Client
from connectors.servicenow.settings import OAuthAuthorizationCode
from connectors.servicenow.wire import value
from shared.core.errors import NotAuthorised, SecretUnavailable, Unavailable
from shared.core.tokens import Account, ConsentRequest, IssuedTokens, StoredToken


class ServiceNowConsent:
    """A ``ConsentFlow``.

    Args:
        client: of the instance.
        url: of the instance.
        settings: of the log-in.
        credential: that the connection uses.
        log_ins: where it is noted who consented.
        now: the clock.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        settings: OAuthAuthorizationCode,
        credential: OAuthCredential,
        log_ins: LogIns,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._url = url
        self._settings = settings
        self._credential = credential
        self._log_ins = log_ins
        self._grant = AuthorizationCode(settings, client.secrets)
        self._now = now

    @property
    def place(self) -> str:
        """See ``ConsentFlow.place``."""
        if self._grant.vault is not None:
            return f"the key vault, as secret '{self._settings.refresh_token.secret}'"
        sealed_with = self._settings.client_secret.secret
        return f"the bridge's own storage, encrypted with the secret '{sealed_with}': KEY_VAULT_URL names no key vault"

    def ask(self) -> ConsentRequest:
        """See ``ConsentFlow.ask``."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_url,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({"scope": self._settings.scope} if self._settings.scope else {}),
        }
        url = f"{self._url}/oauth_auth.do?{urlencode(query)}"
        return ConsentRequest(url, self._settings.redirect_url, state, verifier)

    async def redeem(self, request: ConsentRequest, code: str) -> StoredToken:
        """See ``ConsentFlow.redeem``."""
        given = await self._grant.secrets(refresh=True)
        return await self._issued(self._grant.code_form(given, code, request.redirect, request.verifier))

    async def by_password(self, user_name: str, password: str) -> StoredToken:
        """See ``ConsentFlow.by_password``."""
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

    async def issued(self) -> Sequence[str]:
        """See ``ConsentFlow.issued``."""
        shared = await self._credential.keeper.tokens_in_store()
        used = (shared.refresh, shared.access) if shared is not None else ()
        try:
            stored = await self._grant.stored(refresh=True)
        except SecretUnavailable:
            if not used:
                raise
            stored = None
        tokens = (stored.token, *used) if stored is not None else used
        self._grant.learn(*tokens)
        return [one for one in dict.fromkeys(tokens) if one]

    async def keep(self, token: StoredToken) -> None:
        """See ``ConsentFlow.keep``."""
        if self._grant.vault is not None:
            await self._grant.keep(token)
        else:
            await self._credential.keeper.keep_consent(token)

    async def revoke(self, token: str) -> None:
        """See ``ConsentFlow.revoke``."""
        self._grant.learn(token)
        async with self._client.token_endpoint() as endpoint:
            reply = await endpoint.revoke(token)
        if reply.status >= 300:
            raise Unavailable(
                "the instance did not revoke the token",
                connection=self._client.connection,
                status=reply.status,
                advice="Revoke it there: System OAuth > Manage Tokens.",
            )

    async def forget(self) -> None:
        """See ``ConsentFlow.forget``."""
        await self._grant.forget()
        await self._credential.keeper.forget()
        await self._log_ins.note_user("")

    async def account(self) -> Account:
        """See ``ConsentFlow.account``."""
        with self._client.operation():
            found = await own_records(self._client)
            roles, total = await own_roles(self._client)
        name = (value(found[0], "user_name") or "") if len(found) == 1 else ""
        known = tuple(sorted(roles)) if roles or total == 0 else None
        await self._log_ins.note_user(name)
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
