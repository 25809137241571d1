"""What is exchanged for tokens: the secrets of a grant and its refresh token, read while their source answers.

A source that does not answer costs a call several seconds. So what was read last is used while it is away, it is asked
once a minute then, and a call that has a token waits for a moment only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.errors import SecretUnavailable
from shared.core.tokens import StoredToken, TokenGrant
from shared.platform.log import record

#: A source of secrets that gave none is left alone for so long, while there are tokens to go on with.
SOURCE_RESTS = timedelta(minutes=1)

#: Seconds that a call which has a token waits for its secrets.
_GLANCE = 0.3


@dataclass(frozen=True, slots=True, repr=False)
class Material:
    """Secrets, and the refresh token of the secret store."""

    secrets: tuple[str, ...]
    stored: StoredToken | None


class MaterialReader:
    """Reads the material of a connection.

    Args:
        connection: its name.
        grant: what is read.
        now: the clock.
    """

    def __init__(self, connection: str, grant: TokenGrant, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._grant = grant
        self._now = now
        self._known: Material | None = None
        self._ask_at = now() - SOURCE_RESTS
        self._reading: asyncio.Task[Material] | None = None

    async def read(self, *, refresh: bool) -> Material:
        """The material; that which was read last while its source gives none. Raises SecretUnavailable.

        Args:
            refresh: past any cache.
        """
        if self._known is not None and not refresh and self._now() < self._ask_at:
            return self._known
        try:
            secrets = await self._grant.secrets(refresh=refresh)
            self._known = Material(secrets, await self._grant.stored(refresh=refresh))
        except SecretUnavailable as error:
            if self._known is None:
                raise
            if self._now() >= self._ask_at + SOURCE_RESTS:  # once for each time that it is away
                record("secrets_not_read", logging.WARNING, connection=self._connection, reason=str(error))
            self._ask_at = self._now() + SOURCE_RESTS
        return self._known

    async def glance(self) -> Material | None:
        """The material without a wait: that which was read last, where its source is slow; None where nothing is known.
        Never raises."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self.read(refresh=False))
            self._reading.add_done_callback(_retrieve)
        await asyncio.wait([self._reading], timeout=_GLANCE)
        return self._known

    def note(self, material: Material) -> None:
        """It is known now that the material is this."""
        self._known = material

    async def aclose(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])


def _retrieve(task: asyncio.Task[Material]) -> None:
    if not task.cancelled():
        task.exception()
