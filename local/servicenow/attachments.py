"""Contents of attachments, by the sys_id of their sys_attachment row."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any


class Attachments:
    """The bytes; ``keep`` writes a record to the log."""

    def __init__(self, keep: Callable[[dict[str, Any]], None]) -> None:
        self._keep = keep
        self._blobs: dict[str, bytes] = {}

    def clear(self) -> None:
        """Forget all."""
        self._blobs.clear()

    def put(self, sys_id: str, data: bytes) -> None:
        """Keep the content of an attachment."""
        self._blobs[sys_id] = data
        self._keep({"kind": "blob", "id": sys_id, "data": base64.b64encode(data).decode()})

    def get(self, sys_id: str) -> bytes:
        """Content; empty for a row that was made without one."""
        return self._blobs.get(sys_id, b"")

    def forget(self, sys_id: str) -> None:
        """The row is gone, and so is its content."""
        self._blobs.pop(sys_id, None)

    def restore(self, record: dict[str, Any]) -> None:
        """Take a record of the log back."""
        self._blobs[record["id"]] = base64.b64decode(record["data"])
