"""What could not become a ticket and is kept: dead letters (refused) and quarantine (unreadable).

A table row per item says when and why, for lists; the whole message lies in a blob beside it, for replay.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from shared.delivery.envelope import Envelope, content, encode
from shared.signals.model import rfc3339
from shared.storage import Storage, storage_errors

Kind = Literal["dead-letter", "quarantine"]

TABLE = "kept"
CONTAINER = "bridge-kept"

#: Table text holds 32,768 characters.
_LONGEST_TEXT = 30_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One row.

    Attributes:
        kind: ``dead-letter`` or ``quarantine``. id: the envelope's.
        kept_at, received_at: RFC 3339. reason: why. advice: what to do. code: of the error, for filters.
        key, title, source, connection: of the signal, empty for unreadable items.
        attempts: deliveries that failed. replayed_at: when it was last sent again, empty if never.
    """

    kind: Kind
    id: str
    kept_at: str
    received_at: str
    code: str
    reason: str
    advice: str = ""
    key: str = ""
    title: str = ""
    source: str = ""
    connection: str = ""
    attempts: int = 0
    replayed_at: str = ""


class KeptStore:
    """Keeps, lists, shows and forgets."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def keep(
        self, kind: Kind, envelope: Envelope, *, code: str, reason: str, advice: str = "", connection: str = ""
    ) -> Kept:
        """Keep an envelope. Keeping the same one again replaces its row. Raises StorageUnavailable."""
        signal = envelope.signal
        row = Kept(
            kind=kind,
            id=envelope.id,
            kept_at=rfc3339(datetime.now(UTC)) or "",
            received_at=rfc3339(envelope.received_at) or "",
            code=code,
            reason=reason[:_LONGEST_TEXT],
            advice=advice[:_LONGEST_TEXT],
            key=signal.key if signal else "",
            title=signal.title if signal else "",
            source=signal.source if signal else "",
            connection=connection,
            attempts=envelope.attempts,
        )
        body = json.loads(encode(envelope)) | content(envelope)
        await self._write(row, json.dumps(body, separators=(",", ":")))
        return row

    async def keep_text(self, message_id: str, text: str, *, code: str, reason: str, advice: str) -> Kept:
        """Keep a message that is none of ours as it came. Raises StorageUnavailable."""
        now = rfc3339(datetime.now(UTC)) or ""
        row = Kept("dead-letter", message_id, now, now, code, reason[:_LONGEST_TEXT], advice)
        await self._write(row, json.dumps({"text": text}))
        return row

    async def _write(self, row: Kept, body: str) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        async with storage_errors("keeping what could not be delivered"):
            container = self._storage.container(CONTAINER)
            name = _blob_name(row.kind, row.id)
            try:
                await container.upload_blob(name, body.encode(), overwrite=True)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await container.create_container()
                await container.upload_blob(name, body.encode(), overwrite=True)
            table = self._storage.table(TABLE)
            entity = _entity(row)
            try:
                await table.upsert_entity(entity)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await table.create_table()
                await table.upsert_entity(entity)

    async def list(self, kind: Kind) -> AsyncIterator[Kept]:
        """All rows of a kind, oldest first. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("listing what is kept"):
            try:
                query = "PartitionKey eq @kind"
                found = self._storage.table(TABLE).query_entities(query, parameters={"kind": kind})
                rows = [_row(dict(entity)) async for entity in found]
            except ResourceNotFoundError:
                return
        for row in sorted(rows, key=lambda r: (r.kept_at, r.id)):
            yield row

    async def show(self, kind: Kind, item: str) -> tuple[Kept, dict[str, Any]] | None:
        """Row and whole message of one item, None when there is none. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading what is kept"):
            try:
                entity = await self._storage.table(TABLE).get_entity(kind, item)
                download = await self._storage.container(CONTAINER).download_blob(_blob_name(kind, item))
                body = await download.readall()
            except ResourceNotFoundError:
                return None
        data: dict[str, Any] = json.loads(body)
        return _row(dict(entity)), data

    async def mark_replayed(self, row: Kept) -> None:
        """Note in the row that it was sent again. Raises StorageUnavailable."""
        async with storage_errors("marking a replay"):
            await self._storage.table(TABLE).upsert_entity(
                {"PartitionKey": row.kind, "RowKey": row.id, "ReplayedAt": rfc3339(datetime.now(UTC)) or ""}
            )

    async def forget(self, kind: Kind, item: str) -> None:
        """Remove an item that is settled. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("forgetting what was kept"):
            with contextlib.suppress(ResourceNotFoundError):
                await self._storage.container(CONTAINER).delete_blob(_blob_name(kind, item))
            with contextlib.suppress(ResourceNotFoundError):
                await self._storage.table(TABLE).delete_entity(kind, item)


def _blob_name(kind: Kind, item: str) -> str:
    return f"{kind}/{item}.json"


def _entity(row: Kept) -> dict[str, Any]:
    values = asdict(row)
    kind, item = values.pop("kind"), values.pop("id")
    named = {"".join(part.capitalize() for part in name.split("_")): value for name, value in values.items()}
    return {"PartitionKey": kind, "RowKey": item, **named}


def _row(entity: dict[str, Any]) -> Kept:
    names = [name for name in Kept.__dataclass_fields__ if name not in ("kind", "id")]
    values = {name: entity.get("".join(part.capitalize() for part in name.split("_"))) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    return Kept(kind=entity["PartitionKey"], id=entity["RowKey"], **given)
