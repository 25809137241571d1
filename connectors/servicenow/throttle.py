"""How long to wait, by what a refused call says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: No instance asks for more: rate limit rules count per hour. Longer is a mistake or an attack.
LONGEST_WAIT = 86_400.0


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, or None when the answer gives no time.

    ``Retry-After`` (seconds, or an HTTP date) wins over ``X-RateLimit-Reset`` (Unix time of the next hour). Moments
    are measured against the answer's own ``Date`` when it has one, so that a wrong clock here does no harm.

    Sources: ServiceNow docs, "Inbound REST API rate limiting"; RFC 9110, 10.2.3.
    """
    server = moment(headers.get("date", "")) or now
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return min(float(text), LONGEST_WAIT)
    until = moment(text)
    if until is None:
        reset = headers.get("x-ratelimit-reset", "").strip()
        if not re.fullmatch(r"\d{1,11}", reset):
            return None
        until = datetime.fromtimestamp(int(reset), UTC)
    return min(max((until - server).total_seconds(), 0.0), LONGEST_WAIT)


def moment(text: str) -> datetime | None:
    """An HTTP date as aware datetime; None for anything else."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
