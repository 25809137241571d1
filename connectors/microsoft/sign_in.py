"""Tokens of Microsoft Entra: for the app's own identity, or for an application of any tenant.

Sources: azure-identity documentation, "DefaultAzureCredential" (AZURE_CLIENT_ID names a user-assigned identity),
"ClientSecretCredential", "CertificateCredential" and "ClientAssertionCredential"; Microsoft Learn, "Microsoft identity
platform and the OAuth 2.0 client credentials flow" (errors), "Configure an application to trust a managed identity"
(audiences by cloud); "Azure Key Vault certificates: export" (the secret behind a certificate is PEM, or PKCS 12 in
base64).
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from connectors.microsoft.settings import SignIn
from shared.core.clouds import CLOUDS, CloudName
from shared.core.errors import SecretUnavailable, SourceError, SourceRefused, SourceUnavailable
from shared.core.secrets import SecretSource

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.exceptions import AzureError

#: What a managed identity's token is asked for when it stands for an application's secret.
EXCHANGE: Mapping[CloudName, str] = MappingProxyType(
    {
        "public": "api://AzureADTokenExchange/.default",
        "us_government": "api://AzureADTokenExchangeUSGov/.default",
        "china": "api://AzureADTokenExchangeChina/.default",
    }
)

#: Seconds before its end from which a token is used no more. azure-identity keeps to the same.
_RENEW_BEFORE = 300

#: Entra's error for a wrong, expired or unknown secret, certificate or assertion (AADSTS7000215, 7000222, 700027, ...),
#: as opposed to a wrong application or tenant. Source: RFC 6749, section 5.2.
_WRONG_PROOF = "invalid_client"

#: Statuses with which Entra says that it may answer later.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})

#: One attempt, because ``RestClient`` repeats it and knows how long anybody waits. The environment names no proxy here,
#: because the calls that the token is for use none either.
_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {"retry_total": 0, "connection_timeout": 10, "read_timeout": 20, "use_env_settings": False}
)


def own_identity(cloud: CloudName) -> AsyncTokenCredential:
    """The app's managed identity in Azure, and the developer's own log-in elsewhere."""
    from azure.identity.aio import DefaultAzureCredential

    # An identity that is given as None would hide the setting AZURE_CLIENT_ID: so it is not given at all.
    return DefaultAzureCredential(authority=CLOUDS[cloud].authority)


def user_assigned_identity(client_id: str) -> AsyncTokenCredential:
    """One of the app's user-assigned managed identities."""
    from azure.identity.aio import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id)


class EntraApplication:
    """An application (service principal). Implements azure-core's ``AsyncTokenCredential``.

    Tokens are kept until five minutes before they end. The secret or certificate is read whenever a token is renewed,
    so that a new value is used without a restart, and read past any cache when Entra refuses the one at hand.

    Args:
        sign_in: of the configuration.
        secrets: gives the client secret or certificate.
        cloud: of the tenant.
        authority: address of Microsoft Entra.
        identity: the managed identity whose token stands for a secret; only used where ``sign_in`` says so. Closed by
            whoever made it.
        options: further keyword arguments of azure-identity's credentials, for a private cloud or a stand-in.
    """

    def __init__(
        self,
        sign_in: SignIn,
        secrets: SecretSource,
        *,
        cloud: CloudName = "public",
        authority: str,
        identity: AsyncTokenCredential | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._sign_in = sign_in
        self._secrets = secrets
        self._exchange = EXCHANGE[cloud]
        self._authority = authority
        self._identity = identity
        self._options = {**_OPTIONS, "authority": authority, **(options or {})}
        self._tokens: dict[tuple[str, ...], AccessToken] = {}
        self._lock = asyncio.Lock()

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """A token for a scope.

        Raises SourceRefused when Entra refuses the application or its secret is missing, and SourceUnavailable when
        Entra did not answer.
        """
        async with self._lock:  # whoever comes meanwhile gets the token that is being asked for
            kept = self._tokens.get(scopes)
            if kept is None or kept.expires_on - time.time() < _RENEW_BEFORE:
                kept = self._tokens[scopes] = await self._new_token(scopes)
            return kept

    async def close(self) -> None:
        """Forget the tokens. There are no connections: each sign-in has its own."""
        self._tokens.clear()

    async def __aenter__(self) -> EntraApplication:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    async def _new_token(self, scopes: tuple[str, ...]) -> AccessToken:
        proof = await self._proof(refresh=False)
        try:
            return await self._signed_in(proof, scopes)
        except _ProofRefused:
            newer = await self._proof(refresh=True)  # it may have been rotated since it was cached
            if newer == proof:
                raise
            return await self._signed_in(newer, scopes)

    async def _proof(self, *, refresh: bool) -> str:
        """The client secret, the certificate, or the managed identity's token. Raises SourceRefused without one."""
        reference = self._sign_in.client_secret or self._sign_in.certificate
        if reference is None:
            return await self._assertion()
        try:
            return await self._secrets.get(reference.secret, refresh=refresh)
        except SecretUnavailable as error:
            raise SourceRefused(f"no secret for application {self._sign_in.client_id}: {error}") from None

    async def _assertion(self) -> str:
        from azure.core.exceptions import AzureError

        if self._identity is None:
            raise ValueError("a sign-in with a managed identity needs that identity")
        try:
            return (await self._identity.get_token(self._exchange)).token
        except (AzureError, ValueError) as error:
            first = str(error).strip().partition("\n")[0][:300]
            raise SourceRefused(
                f"no token of the managed identity for application {self._sign_in.client_id}: {first}. Fix: give the "
                "app that managed identity; on another machine use a client secret or a certificate"
            ) from None

    async def _signed_in(self, proof: str, scopes: tuple[str, ...]) -> AccessToken:
        from azure.core.exceptions import AzureError

        try:
            async with self._credential(proof) as credential:
                return await credential.get_token(*scopes)
        except AzureError as error:
            raise self._failure(error) from None

    def _credential(self, proof: str) -> AsyncTokenCredential:
        from azure.identity.aio import CertificateCredential, ClientAssertionCredential, ClientSecretCredential

        tenant, client_id = self._sign_in.tenant, self._sign_in.client_id
        if self._sign_in.client_secret is not None:
            return ClientSecretCredential(tenant, client_id, proof, **self._options)
        if self._sign_in.certificate is None:
            return ClientAssertionCredential(tenant, client_id, lambda: proof, **self._options)
        try:
            return CertificateCredential(tenant, client_id, certificate_data=_certificate(proof), **self._options)
        except Exception:  # TypeError for a key with a password, ValueError for no PEM, and others
            raise SourceRefused(_NO_CERTIFICATE) from None

    def _failure(self, error: AzureError) -> SourceError:
        """What a failed sign-in means."""
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        name, description = _answer(response)
        if status in _PASSING or not name:
            answered = f"answered {status}" if status is not None else f"did not answer: {type(error).__name__}"
            return SourceUnavailable(
                f"Microsoft Entra ({self._authority}) {answered}. Check the app's network",
                retry_after=_seconds(response),
            )
        kind = _ProofRefused if name == _WRONG_PROOF else SourceRefused
        words = f"Microsoft Entra gave application {self._sign_in.client_id} no token: {description or name}"
        return kind(f"{words.rstrip('.')}. Fix: check {_parts(self._sign_in)} of this sign_in")


class _ProofRefused(SourceRefused):
    """Entra does not accept the secret, certificate or assertion."""


_NO_CERTIFICATE = (
    "the certificate of the sign_in is neither PEM with an RSA key and certificate nor PKCS 12 in base64 without a "
    "password. Fix: name the secret that Key Vault keeps behind the certificate"
)


def _certificate(text: str) -> bytes:
    """The bytes of PEM text, or of PKCS 12 in base64. Raises ValueError."""
    return text.encode() if "-----BEGIN" in text else base64.b64decode(text, validate=True)


def _answer(response: Any) -> tuple[str, str]:
    """Name and description of the OAuth error that Entra answered with; two empty texts for anything else."""
    from azure.core.exceptions import DecodeError
    from azure.core.pipeline.policies import ContentDecodePolicy

    try:
        body = ContentDecodePolicy.deserialize_from_http_generics(response) if response is not None else None
    except DecodeError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        return "", ""
    # What follows the first sentence is for Microsoft's support, and different each time.
    description = str(body.get("error_description") or "").partition("\n")[0].partition(" Trace ID:")[0]
    return body["error"], description.strip()[:300]


def _seconds(response: Any) -> float | None:
    """Retry-After of an answer."""
    text = str(getattr(response, "headers", {}).get("Retry-After", ""))
    return float(text) if text.isdecimal() else None


def _parts(sign_in: SignIn) -> str:
    if sign_in.managed_identity is not None:
        return "tenant, client_id and managed_identity"
    return f"tenant, client_id and {'client_secret' if sign_in.client_secret is not None else 'certificate'}"
