"""Functions that the host does not call although it should, as Azure's host does at times: asleep.

Source: issues 11828, 10508 and 1858 of Azure/azure-functions-host: queue triggers or timers that stop being called
while HTTP goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from local.host.errors import HostError

#: Stands for every function of a queue or timer.
ALL = "*"

#: Seconds between looks of a function that sleeps.
LOOK_EVERY = 0.25


class Asleep:
    """The names of functions that sleep, in a file that may change at any time and that all workers share.

    Args:
        file: JSON array of names, ``*`` for all; None or a missing file: nobody sleeps.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._read_at = 0
        self._names: frozenset[str] = frozenset()

    def __contains__(self, function: object) -> bool:
        if self._file is None:
            return False
        try:
            changed = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed != self._read_at:
            self._names = read(self._file)
            self._read_at = changed
        return ALL in self._names or function in self._names


def read(file: Path) -> frozenset[str]:
    """The names in a file. Raises HostError when it holds something else."""
    try:
        names = json.loads(file.read_text())
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("it is no array of names")
    except ValueError as error:
        raise HostError(f'{file}: {error}. Write for example ["deliver", "resync"], or ["*"]') from None
    return frozenset(names)


def write(file: Path, names: Iterable[str]) -> None:
    """Let these functions sleep from now on, and wake the others."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(sorted(names)))
    new.replace(file)
