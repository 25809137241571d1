"""Secrets from an Azure Key Vault, read with the app's identity when they are needed and kept for a quarter of an hour.

Refresh tokens are written there, too, each as a new version with its end.

Sources: Azure Key Vault REST API, "Get Secret", "Get Secret Versions", "Set Secret", "Update Secret", "Authentication,
requests and responses" and "Error codes"; "About Azure Key Vault secrets" (a secret can be read after its ``exp``);
Azure RBAC built-in roles ("Key Vault Secrets User": getSecret and readMetadata, which lists versions; "Key Vault
Secrets Officer"); Azure CLI, "az keyvault secret set".
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from shared.core.errors import ConfigurationError, SecretMissing, SecretUnavailable
from shared.core.secrets import SecretEnd

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.exceptions import AzureError, HttpResponseError
    from azure.identity.aio import DefaultAzureCredential
    from azure.keyvault.secrets import KeyVaultSecret, SecretProperties
    from azure.keyvault.secrets.aio import SecretClient

T = TypeVar("T")

#: Seconds for which a value is used without asking again.
KEEP = 900.0

#: Seconds between two readings of one secret however often it is asked for anew: wrong credentials must not become a
#: storm of calls to the vault.
REFRESH_AT_MOST_EVERY = 60.0

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")

#: A ticket waits while a secret is read, so the vault gets little time; the delivery is tried again later anyway.
_OPTIONS: Mapping[str, Any] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2}

_CONTENT = "application/x-oauth-refresh-token"


_FORBIDDEN = {
    "ForbiddenByFirewall": "its firewall refuses us. Fix: let the app's subnet or outbound addresses through",
    "ForbiddenByConnection": "it takes private connections only. Fix: route the app through its private endpoint",
    "ForbiddenByPolicy": "its access policy refuses us. Fix: allow the app's identity to get secrets",
}
_DISABLED = "HTTP 403, the secret is disabled. Fix: enable it, or set a new version"
_MISSING = "it does not exist. Fix: add it to the vault, or correct the name in bridge.yaml"
_NO_ROLE_TO_WRITE = (
    "this identity may not write secrets. Fix: give it the role 'Key Vault Secrets Officer' on this secret or on the "
    "vault; it takes some minutes to work"
)
_NO_ROLE = (
    "the app's identity may not read secrets. Fix: give it the role 'Key Vault Secrets User' on the vault; it takes "
    "some minutes to work"
)


@dataclass(frozen=True, slots=True, repr=False)
class _Kept:
    """A value and when it was read."""

    value: str
    read_at: float
    expires_on: datetime | None = None


class KeyVaultSecrets:
    """A ``SecretSource`` over one vault.

    Args:
        vault_url: address of the vault, for example https://contoso-bridge.vault.azure.net.
        credential: identity to read with; ``DefaultAzureCredential`` when None, which is the app's managed identity in
            Azure and the developer's own log-in elsewhere. A given one is not closed by ``aclose``.
        client_options: further keyword arguments for ``SecretClient``, such as ``connection_verify`` with the path of
            a PEM file where a proxy re-signs TLS.
        clock: seconds, monotonic.

    Raises ConfigurationError when ``vault_url`` is no https address of a host.
    """

    def __init__(
        self,
        vault_url: str,
        credential: AsyncTokenCredential | None = None,
        *,
        client_options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(vault_url)
        if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.path not in ("", "/"):
            raise ConfigurationError(
                ["KEY_VAULT_URL: not the address of a vault. Fix: write it as https://contoso-bridge.vault.azure.net"]
            )
        self._url = f"https://{parts.netloc}"
        self._host = parts.hostname
        self._given = credential
        self._own: DefaultAzureCredential | None = None
        self._options = {**_OPTIONS, **(client_options or {})}
        self._clock = clock
        self._client: SecretClient | None = None
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def __repr__(self) -> str:
        return f"<KeyVaultSecrets {self._host}, {len(self._kept)} kept>"

    async def get(self, name: str, *, refresh: bool = False) -> str:
        """The secret's present value, see ``SecretSource.get``. Raises SecretUnavailable."""
        return (await self._get(name, refresh=refresh)).value

    async def expires_on(self, name: str, *, refresh: bool = False) -> datetime | None:
        """See ``SecretKeeper.expires_on``: the attribute ``exp``, read together with the value."""
        return (await self._get(name, refresh=refresh)).expires_on

    async def put(self, name: str, value: str, expires_on: datetime | None) -> None:
        """See ``SecretKeeper.put``."""
        kept = self._kept.get(name)
        is_noted = (
            kept is not None
            and kept.value == value
            and await self._write(name, lambda client: client.update_secret_properties(name, expires_on=expires_on))
        )
        if not is_noted:
            await self._write(
                name, lambda client: client.set_secret(name, value, expires_on=expires_on, content_type=_CONTENT)
            )
        self._kept[name] = _Kept(value, self._clock(), expires_on)

    async def disable(self, name: str) -> bool:
        """See ``SecretKeeper.disable``. Not deleted: a deleted secret keeps its name from being used again."""
        self._kept.pop(name, None)
        return await self._write(name, lambda client: client.update_secret_properties(name, enabled=False))

    async def _get(self, name: str, *, refresh: bool) -> _Kept:
        _check(name)
        longest = REFRESH_AT_MOST_EVERY if refresh else KEEP
        kept = self._fresh(name, longest)
        if kept is None:
            async with self._locks.setdefault(name, asyncio.Lock()):
                kept = self._fresh(name, longest)
                if kept is None:
                    kept = self._kept[name] = await self._read(name)
        return kept

    async def end_of(self, name: str) -> SecretEnd:
        """See ``KnowsEnds.end_of``. It reads the list of versions, which holds no values. Where an access policy allows
        ``get`` and not ``list``, the present version is read instead."""
        _check(name)
        versions = await self._versions(name)
        if not versions:
            raise self._unavailable(name, _MISSING)
        now = datetime.now(UTC)
        present = max(versions, key=lambda one: one.created_on or datetime.min.replace(tzinfo=UTC))
        usable = [one for one in versions if one.enabled and (one.expires_on is None or one.expires_on > now)]
        vault = self._host.partition(".")[0]
        replace = f"az keyvault secret set --vault-name {vault} --name {name} --file FILE --expires DATE"
        return SecretEnd(present.expires_on, len(usable), replace)

    async def aclose(self) -> None:
        """Close connections, and forget every value."""
        self._kept.clear()
        client, self._client = self._client, None
        own, self._own = self._own, None
        if client is not None:
            await client.close()
        if own is not None:
            await own.close()

    def _fresh(self, name: str, longest: float) -> _Kept | None:
        kept = self._kept.get(name)
        return kept if kept is not None and self._clock() - kept.read_at < longest else None

    def _connected(self) -> SecretClient:
        if self._client is None:
            from azure.keyvault.secrets.aio import SecretClient

            credential = self._given
            if credential is None:
                from azure.identity.aio import DefaultAzureCredential

                credential = self._own = DefaultAzureCredential()
            self._client = SecretClient(self._url, credential, **self._options)
        return self._client

    async def _read(self, name: str) -> _Kept:
        async def read() -> KeyVaultSecret:
            return await self._connected().get_secret(name)

        found = await self._explained(name, read())
        if not found.value:
            raise self._unavailable(name, "it has no value. Fix: set one")
        return _Kept(found.value, self._clock(), found.properties.expires_on)

    async def _write(self, name: str, work: Callable[[SecretClient], Awaitable[object]]) -> bool:
        """Change a secret; False when there is none. Raises SecretUnavailable."""
        _check(name)

        async def write() -> bool:
            from azure.core.exceptions import ResourceNotFoundError

            try:
                await work(self._connected())
            except ResourceNotFoundError:
                return False
            return True

        return await self._explained(name, write(), no_role=_NO_ROLE_TO_WRITE)

    async def _versions(self, name: str) -> list[SecretProperties]:
        """What is known of each version without its value. Raises SecretUnavailable."""
        from azure.core.exceptions import HttpResponseError

        async def read() -> list[SecretProperties]:
            client = self._connected()
            try:
                return [one async for one in client.list_properties_of_secret_versions(name)]
            except HttpResponseError as error:
                if error.status_code != 403:
                    raise
            return [(await client.get_secret(name)).properties]

        return await self._explained(name, read())

    async def _explained(self, name: str, work: Awaitable[T], *, no_role: str = _NO_ROLE) -> T:
        """What becomes of a call about a secret. Raises SecretUnavailable for whatever the SDK raises, SecretMissing
        where there is none that is enabled."""
        from azure.core.exceptions import AzureError

        try:
            return await work
        except (AzureError, ValueError) as error:
            problem = _problem(error, no_role)
        # Outside of the handler: what the SDK says may quote requests, so only its kind is passed on, not as a cause.
        raise self._unavailable(name, problem)

    def _unavailable(self, name: str, problem: str) -> SecretUnavailable:
        kind = SecretMissing if problem in (_MISSING, _DISABLED) else SecretUnavailable
        return kind(f"secret '{name}' of key vault {self._host}: {problem}")


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SecretUnavailable(f"'{name}' cannot be the name of a secret: use letters, digits and dashes")


def _problem(error: AzureError | ValueError, no_role: str) -> str:
    """What went wrong, without a word of what the SDK says."""
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

    if isinstance(error, ClientAuthenticationError):
        return _unauthenticated(error)
    if isinstance(error, HttpResponseError):
        return _refused(error, no_role)
    if isinstance(error, ServiceRequestError):
        return "the vault cannot be reached. Fix: check KEY_VAULT_URL, DNS and the app's network"
    if isinstance(error, ValueError):  # the SDK's check that the vault that asks for a token is the one that was called
        return "the host is no vault of this cloud. Fix: check KEY_VAULT_URL"
    return f"the vault did not answer ({type(error).__name__}). It is tried again later"


def _unauthenticated(error: HttpResponseError) -> str:
    if error.status_code is None:
        return (
            "there is no identity to read it with. Fix: switch on the app's managed identity; on a developer's machine "
            "log in with az login"
        )
    return f"the app's identity is not accepted (HTTP {error.status_code}). Fix: check the vault's tenant"


def _refused(error: HttpResponseError, no_role: str) -> str:
    status = error.status_code
    if status == 404:
        return _MISSING
    if status == 403 and _inner_code(error) == "SecretDisabled":
        return _DISABLED
    if status == 403:
        return "HTTP 403, " + _FORBIDDEN.get(_inner_code(error), no_role)
    if status == 409:
        return "a deleted secret has this name. Fix: recover it (az keyvault secret recover), or purge it"
    if status == 409:
        return "a deleted secret has this name. Fix: recover it (az keyvault secret recover), or purge it"
    if status == 429:
        return "the vault is overloaded (HTTP 429). It is tried again later"
    return f"the vault answered HTTP {status}. It is tried again later"


def _inner_code(error: HttpResponseError) -> str:
    """The reason behind Forbidden, which stands in ``error.innererror.code`` of the body."""
    inner = getattr(error.error, "innererror", None)
    code = inner.get("code") if isinstance(inner, Mapping) else None
    return str(code or "")
