"""Findings of checks in Table storage, so that every worker knows them."""

from __future__ import annotations

from shared.core.findings import Finding
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, VersionedTable

TABLE = "findings"


class ConnectionFindings:
    """The findings of one connection. See ``shared.core.findings.Findings``."""

    def __init__(self, storage: Storage, connection: str) -> None:
        self._table = VersionedTable(storage, TABLE, _CODEC)
        self._connection = connection

    async def read(self, topic: str) -> Finding | None:
        """See ``Findings.read``."""
        found = await self._table.load(RowAddress(self._connection, topic))
        return None if found is None else found.value

    async def write(self, finding: Finding) -> None:
        """See ``Findings.write``."""
        await self._table.merge(RowAddress(self._connection, finding.topic), _CODEC.to_row(finding))


_CODEC = RowCodec(Finding)
