"""What a delivery raises when it does not come to its end."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from shared.core.errors import BridgeError


class KeyLocked(Exception):
    """Another worker holds the key until ``until``; the message goes back for a moment. An answer, not an error."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"another worker holds the key until {until:%H:%M:%S}")
        self.until = until


class DeliveryFailed(Exception):
    """A delivery did not come to its end.

    Attributes:
        error: why.
        last_outcome: ``not_applied`` when a call was reserved and provably had no effect; ``unknown`` otherwise, which
            includes failures before and after the call.
    """

    def __init__(self, error: BridgeError, last_outcome: Literal["not_applied", "unknown"]) -> None:
        super().__init__(str(error))
        self.error = error
        self.last_outcome = last_outcome
