"""Times as the clouds write and read them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso7(when: datetime) -> str:
    """UTC with seven digits and ``Z``, as .NET's round-trip format: what Resource Manager and Graph write."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def iso0(when: datetime) -> str:
    """UTC without fractions and with ``Z``."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime | None:
    """Read ISO 8601, UTC where no zone is said; None when it is something else."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def day_and_hour(when: datetime) -> str:
    """How Entra's error bodies write a time: ``2026-01-01 00:00:00Z``."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
