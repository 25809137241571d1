"""Tokens for the Logs Ingestion API, and what it means that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.microsoft.claims import Claims, read_claims
from shared.core.errors import SourceRefused

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential


class LogTokens:
    """A credential for Azure's client that tells a sign-in that failed from an answer of the service: both would be the
    same error of azure-core. Implements ``AsyncTokenCredential``.

    Args:
        credential: gives the tokens; closed by whoever made it.
        scope: of the tokens that :meth:`sign_in` asks for.
    """

    def __init__(self, credential: AsyncTokenCredential, scope: str) -> None:
        self._credential = credential
        self._scope = scope

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """A token. Raises SourceRefused without one, and what the credential raises of SourceError."""
        from azure.core.exceptions import AzureError

        try:
            return await self._credential.get_token(*scopes)
        except (AzureError, ValueError) as error:
            first = str(error).strip().partition("\n")[0][:300]
            raise SourceRefused(
                f"no token for the Logs Ingestion API: {first}. Fix: give the app a managed identity, or check the "
                "sign-in of log_analytics"
            ) from None

    async def sign_in(self) -> Claims:
        """What a token says of whom it was given to. Raises as :meth:`get_token`."""
        return read_claims((await self.get_token(self._scope)).token)

    async def close(self) -> None:
        """Nothing of its own."""

    async def __aenter__(self) -> LogTokens:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
