"""How far the looks at a connection's tickets have come, in Blob storage: a watermark may be 55 KB long.

One blob for each kind of ticket and one for the full check. They are written after what they stand for is done, so
that a run that died is repeated and never skipped.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.core.signal import rfc3339
from shared.core.ticket_system import Person, Phase, TicketKind, TicketRef, TicketSnapshot
from shared.platform.storage import Storage, storage_errors

CONTAINER = "bridge-resync"


@dataclass(frozen=True, slots=True)
class SnapshotReading:
    """What a look at the changes found of one ticket, and when it was asked for (UTC)."""

    changed: TicketSnapshot
    read_at: datetime


@dataclass(frozen=True, slots=True)
class ResyncPosition:
    """How far the changes of one kind were read.

    Attributes:
        watermark: for the next page, None at the very beginning.
        ran_at: when the changes were last read to their end, None for never.
        waiting: of tickets whose making is not known to have succeeded yet.
    """

    watermark: str | None = None
    ran_at: datetime | None = None
    waiting: tuple[SnapshotReading, ...] = ()


@dataclass(frozen=True, slots=True)
class FullCheckPosition:
    """How far the full check has come: the ``next`` part of the links, 0 when none is under way; when it ended last."""

    next: int = 0
    ran_at: datetime | None = None


class ResyncProgress:
    """Reads and writes. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def reading(self, connection: str, kind: TicketKind) -> ResyncPosition:
        """How far a kind was read."""
        data = await self._read(f"{connection}/{kind.value}.json")
        if data is None:
            return ResyncPosition()
        waiting = tuple(_account(kind, one) for one in data["waiting"])
        return ResyncPosition(data["watermark"], _moment(data["ran_at"]), waiting)

    async def note_reading(self, connection: str, kind: TicketKind, reading: ResyncPosition) -> None:
        """Remember how far a kind was read."""
        data = {
            "watermark": reading.watermark,
            "ran_at": rfc3339(reading.ran_at),
            "waiting": [_account_data(one) for one in reading.waiting],
        }
        await self._write(f"{connection}/{kind.value}.json", data)

    async def checking(self, connection: str) -> FullCheckPosition:
        """How far the full check has come."""
        data = await self._read(f"{connection}/full-check.json")
        return FullCheckPosition() if data is None else FullCheckPosition(data["next"], _moment(data["ran_at"]))

    async def note_checking(self, connection: str, checking: FullCheckPosition) -> None:
        """Remember how far the full check has come."""
        await self._write(f"{connection}/full-check.json", {"next": checking.next, "ran_at": rfc3339(checking.ran_at)})

    async def _read(self, name: str) -> dict[str, Any] | None:
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading how far tickets were read"):
            try:
                download = await self._storage.container(CONTAINER).download_blob(name)
                data: dict[str, Any] = json.loads(await download.readall())
            except ResourceNotFoundError:
                return None
        return data

    async def _write(self, name: str, data: Mapping[str, Any]) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        text = json.dumps(data, separators=(",", ":")).encode()
        container = self._storage.container(CONTAINER)
        async with storage_errors("remembering how far tickets were read"):
            try:
                await container.upload_blob(name, text, overwrite=True)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await container.create_container()
                await container.upload_blob(name, text, overwrite=True)


def _account_data(account: SnapshotReading) -> dict[str, Any]:
    changed, person = account.changed, account.changed.assigned_to
    return {
        "read_at": rfc3339(account.read_at),
        "id": changed.ref.id,
        "correlation": changed.ref.correlation,
        "phase": changed.phase.value,
        "state": changed.state,
        "updated_on": rfc3339(changed.updated_on),
        "updated_by": changed.updated_by,
        "revision": changed.revision,
        "due": rfc3339(changed.due_date),
        "close_code": changed.close_code,
        "assigned_to": None if person is None else [person.id, person.user_name, person.name, person.email],
    }


def _account(kind: TicketKind, data: Mapping[str, Any]) -> SnapshotReading:
    person = data["assigned_to"]
    changed = TicketSnapshot(
        ref=TicketRef(kind, data["id"], data["correlation"]),
        phase=Phase(data["phase"]),
        state=data["state"],
        state_name=data["state"],
        updated_on=datetime.fromisoformat(data["updated_on"]),
        updated_by=data["updated_by"],
        revision=data["revision"],
        assigned_to=None if person is None else Person(*person),
        due_date=_moment(data["due"]),
        close_code=data["close_code"],
    )
    return SnapshotReading(changed, datetime.fromisoformat(data["read_at"]))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
