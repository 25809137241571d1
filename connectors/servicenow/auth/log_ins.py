"""How a connection logs in now, told without any secret: the kind, as whom, and until when.

Who consented is not in the configuration. It is noted when a person has consented (``bridge.py connect``) and when the
check looks, and shown until then as unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.settings import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    MutualTls,
    OAuthAuthorizationCode,
    OAuthJwtBearer,
    OAuthPassword,
    ServiceNowSettings,
)
from shared.core.errors import ConfigurationError, SecretUnavailable, StorageUnavailable
from shared.core.findings import Finding, Findings
from shared.core.log_in import LogIn
from shared.core.tokens import TokenEnds

_LOG = logging.getLogger(__name__)

_TOPIC = "consent"


class LogIns:
    """The log-in of one connection.

    Args:
        settings: of the connection.
        oauth: its credential, where that exchanges secrets for tokens.
        findings: where it is noted who consented; without, that is not known.
        now: the clock.
    """

    def __init__(
        self,
        settings: ServiceNowSettings,
        oauth: OAuthCredential | None,
        findings: Findings | None,
        now: Callable[[], datetime],
    ) -> None:
        self._url = settings.url
        self._auth = settings.auth
        self._oauth = oauth
        self._findings = findings
        self.now = now

    @property
    def by_consent(self) -> bool:
        """Whether a person consents."""
        return isinstance(self._auth, OAuthAuthorizationCode)

    async def read(self) -> LogIn:
        """The log-in now. Raises StorageUnavailable, ConfigurationError. Asks the instance nothing."""
        kind, user = self._auth.type, _user(self._auth)
        if self._oauth is None or not self._oauth.keeper.is_shared:
            return LogIn(kind, user)
        try:
            ends = await self._oauth.keeper.ends()
        except SecretUnavailable as error:
            ends, problem = TokenEnds(None, None), str(error)
        else:
            problem = ""
        if not self.by_consent:  # its password gives new tokens whenever they end
            return LogIn(kind, user, access_ends=ends.access)
        return LogIn(kind, await self._who(), ends.refresh, access_ends=ends.access, problem=problem)

    async def note_user(self, name: str) -> None:
        """Note as whom the instance knows us; empty for nobody. A failure is logged and no more."""
        if not self.by_consent or self._findings is None:
            return
        try:
            await self._findings.write(Finding(_TOPIC, self._url, name, self.now(), bool(name)))
        except (StorageUnavailable, ConfigurationError) as error:
            _LOG.warning("who consented is not noted: %s", error)

    async def _who(self) -> str:
        found = await self._findings.read(_TOPIC) if self._findings is not None else None
        return found.account if found is not None and found.address == self._url else ""


def _user(auth: Auth) -> str:
    if isinstance(auth, BasicAuth | OAuthPassword):
        return auth.username
    if isinstance(auth, OAuthJwtBearer):
        return auth.subject
    if isinstance(auth, ApiKeyAuth | MutualTls | OAuthAuthorizationCode):
        return ""  # the instance's own record maps the key or certificate to a user; whoever consents is noted then
    return f"client {auth.client_id}"
