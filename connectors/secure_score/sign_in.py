"""Tokens for Microsoft Graph as an application of a tenant, by msal: with a client secret or a certificate.

Sources: msal documentation, "ConfidentialClientApplication" (client_credential as text, or with private_key and
public_certificate; http_client; acquire_token_for_client looks into its own cache first); Microsoft Learn, "Microsoft
identity platform and the OAuth 2.0 client credentials flow" (errors); "Azure Key Vault certificates: export" (the
secret behind a certificate is PEM, or PKCS 12 in base64).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from shared.core.errors import SecretUnavailable, SourceRefused, SourceUnavailable
from shared.core.secrets import SecretSource

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials import AccessToken

_TIMEOUT = httpx.Timeout(20.0)

#: What Entra says when the proof of the application is wrong, as opposed to its rights. Source: RFC 6749, 5.2.
_WRONG_PROOF = "invalid_client"

#: Errors that pass by themselves. Source: RFC 6749, 4.1.2.1, which Entra uses at the token endpoint too.
_PASSING = ("temporarily_unavailable", "server_error")


class _Client(Protocol):
    """What is used of msal's client, which has no types of its own."""

    def acquire_token_for_client(self, scopes: list[str]) -> Mapping[str, Any]: ...


class _Http:
    """What msal makes its requests with. Its own client lets the environment say whom to trust."""

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        verify = httpx.create_ssl_context(trust_env=False) if trust is None else trust
        self._client = httpx.Client(verify=verify, trust_env=False, timeout=_TIMEOUT)

    def get(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A request of msal."""
        return self._client.get(url, params=params, headers=headers)

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str | bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A request of msal, which gives assertions as bytes; httpx would write those out as Python does."""
        form = {name: text.decode() if isinstance(text, bytes) else text for name, text in (data or {}).items()}
        return self._client.post(url, params=params, data=form, headers=headers)

    def close(self) -> None:
        """Close connections."""
        self._client.close()


class GraphApplication:
    """An application (service principal). Honours azure-core's ``AsyncTokenCredential``.

    msal blocks and keeps the tokens; it works in a thread, one request at a time.

    Args:
        tenant, client_id: ids.
        secret: name of its client secret or, with ``certificate``, of its certificate with the private key.
        secrets: gives it, when the first token is needed and again when Entra does not accept it.
        authority: address of Microsoft Entra.
        certificate: what ``secret`` names is PEM text, or PKCS 12 in base64.
        trust: certificate authorities, the public ones when None.
    """

    def __init__(
        self,
        tenant: str,
        client_id: str,
        secret: str,
        secrets: SecretSource,
        *,
        authority: str,
        certificate: bool = False,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._authority = f"{authority}/{tenant}"
        self._client_id = client_id
        self._secret = secret
        self._secrets = secrets
        self._certificate = certificate
        self._trust = trust
        self._http: _Http | None = None
        self._client: _Client | None = None
        self._one_at_a_time = asyncio.Lock()

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """A token for a scope.

        Raises SourceRefused when Entra does not give one or the secret is missing, SourceUnavailable when it did not
        answer.
        """
        from azure.core.credentials import AccessToken

        async with self._one_at_a_time:
            answer = await self._ask(list(scopes), refresh=False)
            if answer.get("error") == _WRONG_PROOF:
                self._client = None  # it may have been renewed since it was read
                answer = await self._ask(list(scopes), refresh=True)
            if "access_token" in answer:
                return AccessToken(str(answer["access_token"]), int(time.time()) + int(answer["expires_in"]))
            self._client = None
        said = str(answer.get("error_description") or answer.get("error") or "no reason given")
        # What follows is for Microsoft's support, and different each time.
        said = said.partition("\n")[0].partition(" Trace ID:")[0].strip()[:300]
        words = f"Microsoft Entra gave application {self._client_id} no token: {said}"
        if answer.get("error") in _PASSING:
            raise SourceUnavailable(words)
        raise SourceRefused(f"{words.rstrip('.')}. Fix: check tenant, client_id and secret of this sign_in")

    async def close(self) -> None:
        """Close connections, and forget the tokens."""
        client, self._client, self._http = self._http, None, None
        if client is not None:
            client.close()

    async def __aenter__(self) -> GraphApplication:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    async def _ask(self, scopes: list[str], *, refresh: bool) -> Mapping[str, Any]:
        try:
            secret = "" if self._client is not None else await self._secrets.get(self._secret, refresh=refresh)
        except SecretUnavailable as error:
            raise SourceRefused(f"no secret for application {self._client_id}: {error}") from None
        try:
            return await asyncio.to_thread(self._token, scopes, secret)
        except (httpx.HTTPError, json.JSONDecodeError, importlib.import_module("msal.exceptions").MsalError) as error:
            raise SourceUnavailable(
                f"Microsoft Entra ({self._authority}) did not answer: {type(error).__name__}. Check the app's network"
            ) from None

    def _token(self, scopes: list[str], secret: str) -> Mapping[str, Any]:
        """In a thread: msal's answer, with ``access_token`` and ``expires_in``, or with ``error``."""
        if self._client is None:
            self._http = self._http or _Http(self._trust)
            self._client = importlib.import_module("msal").ConfidentialClientApplication(
                self._client_id,
                _certificate(secret) if self._certificate else secret,
                authority=self._authority,
                # The authority is one of ours: nobody needs to be asked whether it is Microsoft's.
                instance_discovery=False,
                http_client=self._http,
            )
        return self._client.acquire_token_for_client(scopes)


def _certificate(secret: str) -> dict[str, str]:
    """msal's form of a certificate with its key. Raises SourceRefused for text that is none."""
    if "-----BEGIN" in secret:
        return {"private_key": secret, "public_certificate": secret}
    import base64

    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

    try:
        bundle = pkcs12.load_pkcs12(base64.b64decode(secret, validate=True), None)
    except ValueError:
        bundle = None
    if bundle is None or bundle.key is None or bundle.cert is None:
        raise SourceRefused(
            "the certificate of the sign_in is neither PEM with key and certificate nor PKCS 12 in base64 without a "
            "password. Fix: name the secret that Key Vault keeps behind the certificate"
        )
    key = bundle.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"private_key": key, "public_certificate": bundle.cert.certificate.public_bytes(Encoding.PEM).decode()}
