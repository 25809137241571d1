"""The tokens of connections in Table storage, one sealed row for each; whoever renews them holds a lease.

Nothing of a token is stored in clear text: the row is encrypted with the secrets of the log-in, which are in Key Vault.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.tokens import HeldTokens
from shared.operations.job_lease import JobLeases
from shared.platform.codec import WRONG_FORM, Coding, RowCodec, coding_of
from shared.platform.sealing import seal, unseal
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, VersionedTable

TABLE = "tokens"

#: A renewal takes seconds. A worker that dies in the midst of one is replaced after this and the margin of the lease,
#: well before an access token that is renewed in time ends.
TERM = timedelta(seconds=15)

_MOST_TIME = timedelta(minutes=3)

_TOKENS: Coding = coding_of(HeldTokens)


@dataclass(frozen=True, slots=True)
class _Row:
    """One connection's tokens, sealed."""

    sealed: str
    written_at: datetime


class TableTokens:
    """A ``TokenStore``.

    Args:
        storage: the bridge's own.
        leases: with a term of :data:`TERM`.
        holder: who renews, for people.
        now: the clock.
    """

    def __init__(self, storage: Storage, leases: JobLeases, holder: str, now: Callable[[], datetime]) -> None:
        self._storage = storage
        self._table = VersionedTable(storage, TABLE, RowCodec(_Row))
        self._leases = leases
        self._holder = holder
        self.now = now

    async def load(self, connection: str, secrets: tuple[str, ...]) -> HeldTokens | None:
        """See ``TokenStore.load``. A row that cannot be read counts as none; the next renewal replaces it."""
        stored = await self._table.load_or_forget(_address(connection))
        row = None if stored is None else stored.value
        text = None if row is None else unseal(secrets, _about(connection), row.sealed)
        try:
            held: HeldTokens | None = None if text is None else _TOKENS.read(json.loads(text))
            return held
        except WRONG_FORM as error:  # of another release
            self._storage.unreadable(TABLE, connection, f"{type(error).__name__} in what was sealed")
            return None

    async def save(self, connection: str, secrets: tuple[str, ...], tokens: HeldTokens) -> None:
        """See ``TokenStore.save``."""
        text = json.dumps(_TOKENS.write(tokens))
        row = RowCodec(_Row).to_row(_Row(seal(secrets, _about(connection), text), self.now()))
        await self._table.merge(_address(connection), row)

    async def forget(self, connection: str) -> None:
        """See ``TokenStore.forget``."""
        stored = await self._table.load_or_forget(_address(connection))
        if stored is not None:
            await self._table.delete(_address(connection), stored.etag)

    def renewing(self, connection: str) -> AbstractAsyncContextManager[object]:
        """See ``TokenStore.renewing``."""
        return self._leases.hold(f"tokens.{connection}", _MOST_TIME, holder=self._holder)


def _address(connection: str) -> RowAddress:
    return RowAddress(connection, "tokens")


def _about(connection: str) -> str:
    return f"tokens of {connection}"
