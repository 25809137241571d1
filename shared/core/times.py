"""Times as text: RFC 3339 in UTC. Pure, and small: the webhook imports it."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime | None) -> str | None:
    """Format as RFC 3339 in UTC with at least milliseconds, e.g. ``2026-01-02T03:04:05.678Z``."""
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    precision = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def parse_moment(text: str) -> datetime:
    """Read a time that names its offset from UTC, as :func:`rfc3339` writes it. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} does not name its offset from UTC")
    return moment


def optional_moment(text: str | None) -> datetime | None:
    """As :func:`parse_moment`; None for None and for an empty text."""
    return parse_moment(text) if text else None
