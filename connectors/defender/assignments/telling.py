"""Tells Defender for Cloud of an assignment for somebody who waits for it; what cannot be done now, the queue does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import uuid4

from connectors.defender.assignments.back import tell_key
from shared.core.errors import KeyContended, SecretUnavailable, SourceError
from shared.core.messages import PushToSource, QueueSender
from shared.platform.log import record

#: Until the queue tries what failed.
_SOON = timedelta(seconds=5)


async def tell_now(
    tell: Callable[[str], Awaitable[str]], queue: QueueSender, assignment: str, now: Callable[[], datetime]
) -> dict[str, str]:
    """Tell Defender for Cloud, and say how it went.

    Args:
        tell: tells it of an assignment, by the key that ``tell_key`` makes.
        queue: takes the order where that fails.
        assignment: key of the recommendation.
        now: the clock.

    Returns:
        ``defender``: written, pending, refused or off; with the two in the middle ``defender_reason``.

    Raises StorageUnavailable.
    """
    key = tell_key(assignment)
    try:
        done = await tell(key)
    except (SourceError, SecretUnavailable, KeyContended) as error:
        record("source_push_failed", logging.WARNING, key=key, code=error.code, reason=str(error))
        await queue.send(PushToSource(id=uuid4().hex, received_at=now(), key=key), _SOON)
        return {"defender": "pending" if error.retry else "refused", "defender_reason": str(error)}
    return {"defender": "off" if done == "no_target" else "written"}
