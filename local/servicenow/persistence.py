"""The append-only log in the data directory: one JSON line per commit, token, setting or attachment.

Every line is written with a single unbuffered write before the answer goes out, so that even ``kill -9`` loses nothing
that a client was told. A torn last line (the process died inside the write) is cut off when the log is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class CommitLog:
    """A log file, or nothing at all when there is no data directory."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / "commits.jsonl" if directory else None
        self._file: int | None = None

    @property
    def enabled(self) -> bool:
        """False when nothing is kept."""
        return self._path is not None

    def replay(self) -> Iterator[Record]:
        """The records so far, in order; call before the first :meth:`append`. Cuts a torn last line off."""
        if self._path is None or not self._path.exists():
            return
        good = 0
        with self._path.open("rb") as file:
            for line in file:
                record = _read(line)
                if record is None:
                    break
                good += len(line)
                yield record
        if good < self._path.stat().st_size:
            with self._path.open("r+b") as file:
                file.truncate(good)

    def append(self, record: Record) -> None:
        """Write one record."""
        if self._path is None:
            return
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        data = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def truncate(self) -> None:
        """Start over with an empty log."""
        self.close()
        if self._path is not None:
            self._path.write_bytes(b"")

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _read(line: bytes) -> Record | None:
    """The record of a complete line, None for a torn one."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
