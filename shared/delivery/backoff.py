"""When to try again. Pure: randomness is passed in."""

from __future__ import annotations

from datetime import timedelta


def retry_delay(
    attempts: int, first: timedelta, longest: timedelta, chance: float, retry_after: float | None = None
) -> timedelta:
    """Delay before the next attempt.

    Doubles from ``first`` up to ``longest`` and takes between half and all of that by ``chance`` (0 to 1), so that
    what failed together does not come back together. A ``retry_after`` (seconds) that the system asked for is never
    undercut: the jitter then comes on top, up to a tenth and at most a minute.
    """
    doubled = min(first.total_seconds() * 2 ** min(attempts, 30), longest.total_seconds())
    delay = doubled * (0.5 + chance / 2)
    if retry_after is not None and retry_after > 0:
        delay = max(delay, retry_after + chance * min(retry_after / 10 + 1, 60))
    return timedelta(seconds=delay)


def wait_delay(waits: int, left: timedelta, chance: float) -> timedelta:
    """Delay for a message whose key another worker holds: soon at first, and not much after the lease ends."""
    soon = min(2.0 ** min(waits, 6), 60.0)
    return timedelta(seconds=max(min(soon, left.total_seconds() + 1), 1) * (0.5 + chance / 2) + 0.5)
