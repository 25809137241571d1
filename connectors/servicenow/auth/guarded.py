"""Makes every failure of a log-in an error that waits for an administrator."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from connectors.servicenow.auth.credentials import Credential, RequestAuth, TokenEndpoint
from connectors.servicenow.auth.oauth import OAuthCredential
from shared.core.errors import BridgeError, NotAuthorised


class GuardedCredential:
    """A credential whose unforeseen errors are NotAuthorised.

    Libraries raise many things for secrets that do not fit: PyJWT an AttributeError for a public key, for example. An
    unknown error would make every signal a dead letter within minutes, although nothing is wrong with the signals.
    NotAuthorised waits until the secret is corrected.

    Args:
        credential: does the work.
        connection: name for errors.
    """

    def __init__(self, credential: Credential, connection: str) -> None:
        self._credential = credential
        self._connection = connection

    async def authenticate(self, endpoint: TokenEndpoint) -> RequestAuth:
        """See ``Credential.authenticate``."""
        found: RequestAuth = await self._guarded(self._credential.authenticate(endpoint))
        return found

    async def renew(self, refused: RequestAuth, endpoint: TokenEndpoint) -> None:
        """See ``Credential.renew``."""
        await self._guarded(self._credential.renew(refused, endpoint))

    async def aclose(self) -> None:
        """See ``Credential.aclose``."""
        await self._credential.aclose()

    @property
    def oauth(self) -> OAuthCredential | None:
        """The credential, where it exchanges secrets for tokens."""
        return self._credential if isinstance(self._credential, OAuthCredential) else None

    async def _guarded(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except BridgeError:
            raise
        except Exception as error:
            problem = type(error).__name__
        # Outside of the handler, because the error or its traceback may hold a secret.
        raise NotAuthorised(
            f"the log-in failed with an unexpected {problem}",
            connection=self._connection,
            advice="Check that each secret under 'auth' is what its setting asks for, complete and in the right form.",
        )
