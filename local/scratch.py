"""Temporary folders that nobody leaves behind, not even a process that is killed.

    with scratch("host") as folder:

A folder is locked by the process that made it. Whoever makes one removes those whose process is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "azure-itsm-bridge-"
#: Seconds that a folder is left alone: its process may not have locked it yet.
_NEW = 10.0


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder that is there as long as the context."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{name}-"))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(new: float = _NEW) -> None:
    """Remove folders of processes that are gone; those made in the last ``new`` seconds are left alone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is in use, somebody else's, or gone meanwhile
            found = folder.lstat()
            if found.st_uid != os.getuid() or time.time() - found.st_ctime < new:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
