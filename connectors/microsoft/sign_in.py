"""Tokens for Azure: the app's own identity, or an application of the tenant that a subscription belongs to.

Source: azure-identity documentation, "DefaultAzureCredential" (AZURE_CLIENT_ID names a user-assigned identity),
"ClientSecretCredential" and "Authority" (sovereign clouds).
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from shared.core.clouds import CLOUDS, CloudName
from shared.core.errors import SecretUnavailable, SourceRefused
from shared.core.secrets import SecretSource

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential


def own_identity(cloud: CloudName) -> AsyncTokenCredential:
    """The app's managed identity in Azure, and the developer's own log-in elsewhere."""
    from azure.identity.aio import DefaultAzureCredential

    # An identity that is given as None would hide the setting AZURE_CLIENT_ID: so it is not given at all.
    return DefaultAzureCredential(authority=CLOUDS[cloud].authority)


class Application:
    """An application (service principal) with a client secret, which is read when the first token is needed.

    Args:
        tenant, client_id: ids.
        secret: name of its client secret.
        secrets: gives the secret.
        authority: address of Microsoft Entra.
        options: further keyword arguments for ``ClientSecretCredential``, for a private cloud or a stand-in.
    """

    def __init__(
        self, tenant: str, client_id: str, secret: str, secrets: SecretSource, *, authority: str, **options: Any
    ) -> None:
        self._tenant = tenant
        self._client_id = client_id
        self._secret = secret
        self._secrets = secrets
        self._options = {"authority": authority, **options}
        self._credential: AsyncTokenCredential | None = None

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for a scope. Raises SourceRefused without the secret, and what azure-identity raises."""
        if self._credential is None:
            from azure.identity.aio import ClientSecretCredential

            try:
                secret = await self._secrets.get(self._secret)
            except SecretUnavailable as error:
                raise SourceRefused(f"no secret for application {self._client_id}: {error}") from None
            if self._credential is None:  # nobody else made it meanwhile
                self._credential = ClientSecretCredential(self._tenant, self._client_id, secret, **self._options)
        return await self._credential.get_token(*scopes, **options)

    async def close(self) -> None:
        """Close connections."""
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    async def __aenter__(self) -> Application:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()
