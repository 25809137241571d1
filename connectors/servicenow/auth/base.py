"""What every way to log in has in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from connectors.servicenow.secrecy import Redactor, Secret
from connectors.servicenow.wire import ServiceNowReply
from shared.core.errors import NotAuthorised
from shared.core.secrets import SecretSource
from shared.core.settings import SecretRef

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Proof:
    """What lets one request in.

    Attributes:
        headers: request headers. Their values are ``Secret``.
        certificate: certificate chain and private key for the TLS handshake, both PEM; None without.
        issue: counts up whenever credentials changed, so that one refusal renews them only once.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: tuple[str, str] | None = None
    issue: int = 0


class Exchange(Protocol):
    """How OAuth reaches the instance. Errors of the transport are raised as NotSent or Unavailable."""

    async def token(self, form: Mapping[str, str]) -> ServiceNowReply:
        """POST a form to the token endpoint."""
        ...

    async def revoke(self, token: str) -> ServiceNowReply:
        """Revoke an access or refresh token."""
        ...


class Credential(Protocol):
    """One way to log in."""

    async def proof(self, exchange: Exchange) -> Proof:
        """What the next request needs; may fetch a token first.

        Raises SecretUnavailable, NotAuthorised, NotSent, Unavailable, Throttled.
        """
        ...

    async def renew(self, refused: Proof, exchange: Exchange) -> None:
        """``refused`` was answered with 401: read the secrets anew, and fetch a token when they buy one.

        Raises as :meth:`proof`.
        """
        ...

    async def revoke(self, exchange: Exchange) -> None:
        """Make the tokens at hand useless. Nothing to do for credentials without tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Vault:
    """Reads secrets, hides them from representations and tells the redactor about them."""

    source: SecretSource
    redactor: Redactor
    connection: str

    async def read(self, ref: SecretRef, *, refresh: bool = False, plain: bool = False) -> Secret:
        """A secret for one line of a header or form. A line end after it is a slip of the editor that stored it.

        Args:
            ref: its name.
            refresh: read it past any cache.
            plain: it goes into a header as it is, and so must be ASCII.

        Raises SecretUnavailable, and NotAuthorised when it holds characters that cannot be sent.
        """
        value = Secret((await self.source.get(ref.secret, refresh=refresh)).strip("\r\n"))
        self.redactor.learn(value)
        if _CONTROL.search(value) or (plain and not value.isascii()):
            raise NotAuthorised(
                f"the secret '{ref.secret}' holds characters that cannot be sent",
                connection=self.connection,
                advice="Store the bare value on one line, without quotes, tabs or line ends.",
            )
        return value

    async def read_pem(self, ref: SecretRef, *, refresh: bool = False) -> Secret:
        """A secret in PEM form. Raises SecretUnavailable."""
        text = Secret(await self.source.get(ref.secret, refresh=refresh))
        return Secret(text.replace("\\n", "\n") if "\n" not in text.strip() else text)
