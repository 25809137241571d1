"""Date-times as ServiceNow stores them.

Source: ServiceNow docs, Table API, "Data retrieval": UTC, with a resolution of one second.
"""

from __future__ import annotations

from datetime import UTC, datetime

STORED = "%Y-%m-%d %H:%M:%S"


def parse_stored(text: str) -> datetime | None:
    """Read stored text (``YYYY-MM-DD`` or ``YYYY-MM-DD HH:MM:SS``, UTC); None when it is neither."""
    for form in (STORED, "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def to_stored(when: datetime) -> str:
    """Write an aware date-time the way it is stored."""
    return when.astimezone(UTC).strftime(STORED)
