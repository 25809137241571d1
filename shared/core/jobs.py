"""One run of a job: what it may do, and what it has done so far. Pure.

A job is the work of a timer; people run it by hand too. It fills the results that it follows while it works, so that
whoever waits sees how far it has come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

#: Examples of what a run did, or would do.
MOST_SAMPLES = 20

_LONGEST_SAMPLE = 300


@dataclass(frozen=True, slots=True)
class JobPart:
    """What a run did for one connection, subscription or tenant.

    Attributes:
        name: which one.
        counts: what was found and done, by name.
        finished: False when the rest follows in the next run.
        reason: why it broke off; empty when it did not.
    """

    name: str
    counts: Mapping[str, int] = field(default_factory=dict)
    finished: bool = True
    reason: str = ""


class JobRun:
    """One run.

    Attributes:
        dry_run: count and give samples of what would be done; write nothing, neither to other systems nor to storage.
        always: do the work although it is not due yet: a person asked for it.
        samples: what was done or would be done, one sentence each.
    """

    def __init__(self, *, dry_run: bool = False, always: bool = False) -> None:
        self.dry_run = dry_run
        self.always = always or dry_run
        self.samples: list[str] = []
        self._results: list[tuple[str, Any]] = []

    def follow(self, name: str, result: Any) -> None:
        """Show what a part of the run has done, while it does it.

        Args:
            name: the connection, subscription or tenant.
            result: a dataclass. Its whole numbers are counts; its fields ``finished`` and ``reason``, where it has
                them, are those of :class:`JobPart`.
        """
        self._results.append((name, result))

    def sample(self, text: str) -> None:
        """Give an example; after :data:`MOST_SAMPLES` no further one is kept."""
        if len(self.samples) < MOST_SAMPLES:
            self.samples.append(text[:_LONGEST_SAMPLE])

    def parts(self) -> tuple[JobPart, ...]:
        """The results as they are now."""
        return tuple(_part(name, result) for name, result in self._results)


def _part(name: str, result: Any) -> JobPart:
    values = {one.name: getattr(result, one.name) for one in fields(result)}
    counts = {key: value for key, value in values.items() if type(value) is int}
    return JobPart(name, counts, bool(values.get("finished", True)), str(values.get("reason", "")))
