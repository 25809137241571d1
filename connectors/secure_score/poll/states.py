"""What the polls of Secure Score know of each tenant's controls, in Blob storage: one small document per tenant."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from connectors.secure_score.poll.selection import KnownControl
from shared.core.signal import rfc3339
from shared.platform.storage import Storage, storage_errors

CONTAINER = "bridge-scores"

_VERSION = 1


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

    async def load(self, tenant: str) -> TenantState:
        """What is known of a tenant; nothing where there is no document, or one of another release."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading what is known of Secure Score"):
            try:
                download = await self._storage.container(CONTAINER).download_blob(_name(tenant))
                data = json.loads(await download.readall())
            except ResourceNotFoundError:
                return TenantState()
        if data.get("v") != _VERSION:
            return TenantState()
        return TenantState(
            polled_at=datetime.fromisoformat(data["polled_at"]) if data["polled_at"] else None,
            rules=data["rules"],
            controls={name: KnownControl(**known) for name, known in data["controls"].items()},
        )

    async def save(self, tenant: str, state: TenantState) -> None:
        """Keep what is known of a tenant."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        data = {
            "v": _VERSION,
            "polled_at": rfc3339(state.polled_at) or "",
            "rules": state.rules,
            "controls": {name: asdict(known) for name, known in state.controls.items()},
        }
        text = json.dumps(data, separators=(",", ":")).encode()
        container = self._storage.container(CONTAINER)
        async with storage_errors("keeping what is known of Secure Score"):
            try:
                await container.upload_blob(_name(tenant), text, overwrite=True)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await container.create_container()
                await container.upload_blob(_name(tenant), text, overwrite=True)


def _name(tenant: str) -> str:
    return f"{tenant.lower() or 'own'}.json"
