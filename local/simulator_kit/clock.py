"""The simulator's clock: every time that it shows, stores or compares comes from here.

It runs with the machine's time plus an offset, or stands still, so that a test can let a token expire, a rate-limit
hour pass or an incident auto-close without waiting.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

_TEXT = "%Y-%m-%d %H:%M:%S"


class Clock:
    """Time of a simulator: machine time plus ``offset`` seconds, or ``frozen_at``."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen_at: float | None = None
        self._text = (-1, "")

    def timestamp(self) -> float:
        """Seconds since 1970 as the simulator sees them."""
        return self._frozen_at if self._frozen_at is not None else time.time() + self._offset

    def now(self) -> datetime:
        """Aware UTC date-time."""
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def text(self) -> str:
        """The present second as text, ``YYYY-MM-DD HH:MM:SS`` in UTC."""
        second = int(self.timestamp())
        if self._text[0] != second:
            self._text = (second, datetime.fromtimestamp(second, UTC).strftime(_TEXT))
        return self._text[1]

    @property
    def frozen(self) -> bool:
        """True while the clock stands still."""
        return self._frozen_at is not None

    def set(self, when: datetime) -> None:
        """Jump to an aware date-time, forwards or backwards; a frozen clock stays frozen there."""
        if self._frozen_at is not None:
            self._frozen_at = when.timestamp()
        else:
            self._offset = when.timestamp() - time.time()

    def advance(self, seconds: float) -> None:
        """Move by a number of seconds."""
        if self._frozen_at is not None:
            self._frozen_at += seconds
        else:
            self._offset += seconds

    def freeze(self, stand_still: bool) -> None:
        """Stop the clock where it is, or let it run on from there."""
        at = self.timestamp()
        self._frozen_at = at if stand_still else None
        if not stand_still:
            self._offset = at - time.time()

    def reset(self) -> None:
        """Back to the machine's time, running."""
        self._offset, self._frozen_at = 0.0, None

    def state(self) -> dict[str, float | None]:
        """What a restart needs: ``{"offset": seconds, "frozen_at": seconds or None}``."""
        return {"offset": self._offset, "frozen_at": self._frozen_at}

    def restore(self, state: dict[str, float | None]) -> None:
        """Take over a :meth:`state` after a restart."""
        self._offset = state["offset"] or 0.0
        self._frozen_at = state["frozen_at"]
