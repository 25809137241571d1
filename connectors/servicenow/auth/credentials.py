"""Credentials: what every way to log in has in common, how secrets are kept out of whatever is printed, and the
credentials that go with every request as they are (user name and password, API key, client certificate).

Source: ServiceNow docs, "REST API authentication", "API key and HMAC authentication", "Certificate-based
authentication".
"""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote, quote_plus

from connectors.servicenow.settings import ApiKeyAuth, BasicAuth, MutualTls
from connectors.servicenow.wire import ServiceNowReply
from shared.core.errors import NotAuthorised
from shared.core.secrets import SecretSource
from shared.core.settings import SecretRef

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

MASK = "***"

#: Spellings of secrets that are kept for redaction, the newest. Tokens change every half hour; older ones are invalid.
_MAX_KNOWN = 64


class Secret(str):
    """Text whose representation does not show it.

    Libraries that format local variables (and dictionaries that hold such values) use the representation.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class Redactor:
    """Removes the secrets in use from texts that others send."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._known)} values>"

    def learn(self, *values: str) -> None:
        """Add values, in every spelling in which a request carries them."""
        for value in values:
            if not value:
                continue
            for spelling in dict.fromkeys((value, quote_plus(value), quote(value, safe=""), _base64(value))):
                self._known[spelling] = None
                self._known.move_to_end(spelling)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def clean(self, text: str) -> str:
        """``text`` with every known secret replaced by three asterisks."""
        for value in sorted(self._known, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


@dataclass(frozen=True, slots=True)
class RequestAuth:
    """What authenticates one request.

    Attributes:
        headers: request headers. Their values are ``Secret``.
        certificate: certificate chain and private key for the TLS handshake, both PEM; None without.
        version: grows whenever credentials change, so that one refusal renews them only once.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: tuple[str, str] | None = None
    version: int = 0


class TokenEndpoint(Protocol):
    """How OAuth reaches the instance. Errors of the transport are raised as NotSent or Unavailable."""

    async def token(self, form: Mapping[str, str]) -> ServiceNowReply:
        """POST a form to the token endpoint."""
        ...

    async def revoke(self, token: str) -> ServiceNowReply:
        """Revoke an access or refresh token."""
        ...


class Credential(Protocol):
    """One way to log in."""

    async def authenticate(self, endpoint: TokenEndpoint) -> RequestAuth:
        """What the next request needs. May fetch a token first.

        Raises SecretUnavailable, NotAuthorised, NotSent, Unavailable, Throttled.
        """
        ...

    async def renew(self, refused: RequestAuth, endpoint: TokenEndpoint) -> None:
        """Read the secrets past any cache, and fetch a token where they are exchanged for one, because ``refused``
        was answered with 401.

        Raises as :meth:`authenticate`.
        """
        ...

    async def aclose(self) -> None:
        """Wait for what is under way."""
        ...


@dataclass(frozen=True, slots=True)
class CredentialSecrets:
    """Reads the secrets of a connection and gives each to the redactor."""

    source: SecretSource
    redactor: Redactor
    connection: str

    async def read(self, ref: SecretRef, *, refresh: bool = False, ascii_only: bool = False) -> Secret:
        """A secret for one line of a header or form. Line ends around it are removed: editors add them.

        Args:
            ref: its name.
            refresh: read it past any cache.
            ascii_only: it goes into a header as it is, and so must be ASCII.

        Raises SecretUnavailable, and NotAuthorised when it holds characters that cannot be sent.
        """
        value = Secret((await self.source.get(ref.secret, refresh=refresh)).strip("\r\n"))
        self.redactor.learn(value)
        if _CONTROL.search(value) or (ascii_only and not value.isascii()):
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


class StaticCredential:
    """A credential without tokens. Its secrets are read for each request (their source caches them), so a rotated one
    is used without a restart.

    Args:
        read: reads the secrets, past any cache when True, and makes the request's authentication of them.
    """

    def __init__(self, read: Callable[[bool], Awaitable[RequestAuth]]) -> None:
        self._read = read
        self._version = 0

    async def authenticate(self, endpoint: TokenEndpoint) -> RequestAuth:
        """The present values."""
        del endpoint
        version = self._version
        return replace(await self._read(False), version=version)

    async def renew(self, refused: RequestAuth, endpoint: TokenEndpoint) -> None:
        """Read the secrets past any cache, once per refusal however many requests were refused."""
        del endpoint
        if refused.version == self._version:
            self._version += 1
            await self._read(True)

    async def aclose(self) -> None:
        """Nothing is ever under way."""


def basic(settings: BasicAuth, secrets: CredentialSecrets) -> StaticCredential:
    """User name and password (RFC 7617)."""

    async def read(refresh: bool) -> RequestAuth:
        password = await secrets.read(settings.password, refresh=refresh)
        pair = Secret(base64.b64encode(f"{settings.username}:{password}".encode()).decode())
        secrets.redactor.learn(pair)
        return RequestAuth({"Authorization": Secret(f"Basic {pair}")})

    return StaticCredential(read)


def api_key(settings: ApiKeyAuth, secrets: CredentialSecrets) -> StaticCredential:
    """A key in a header."""

    async def read(refresh: bool) -> RequestAuth:
        return RequestAuth({settings.header: await secrets.read(settings.key, refresh=refresh, ascii_only=True)})

    return StaticCredential(read)


def client_certificate(settings: MutualTls, secrets: CredentialSecrets) -> StaticCredential:
    """The TLS handshake authenticates; no header is sent."""

    async def read(refresh: bool) -> RequestAuth:
        chain = await secrets.read_pem(settings.certificate, refresh=refresh)
        key = await secrets.read_pem(settings.private_key, refresh=refresh)
        return RequestAuth(certificate=(chain, key))

    return StaticCredential(read)
