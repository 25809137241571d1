"""What the polls of Secure Score know of each tenant's controls, in Blob storage: one small document per tenant.

A document that cannot be read counts as none: the tenant is read anew, and delivery ignores what it knows already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connectors.secure_score.poll.selection import KnownControl
from shared.platform.blobs import JsonBlob
from shared.platform.storage import Storage

CONTAINER = "bridge-scores"


@dataclass(frozen=True, slots=True)
class TenantState:
    """What is known of a tenant.

    Attributes:
        polled_at: when it was last read to the end, None for never.
        rules: digest of the rules that were applied then.
        controls: by id, lower case.
    """

    polled_at: datetime | None = None
    rules: str = ""
    controls: Mapping[str, KnownControl] = field(default_factory=dict)


class ScoreStates:
    """Reads and writes the documents. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def _blob(self, tenant: str) -> JsonBlob[TenantState]:
        return JsonBlob(self._storage, CONTAINER, _name(tenant), TenantState)

    async def load(self, tenant: str) -> TenantState:
        """What is known of a tenant; nothing where there is no document that can be read."""
        return await self._blob(tenant).read_or_forget() or TenantState()

    async def save(self, tenant: str, state: TenantState) -> None:
        """Keep what is known of a tenant."""
        await self._blob(tenant).write(state)


def _name(tenant: str) -> str:
    return f"{tenant.lower() or 'own'}.json"
