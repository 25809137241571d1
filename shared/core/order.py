"""The order of a key's events, as values and as text. Pure, and small: the webhook imports it."""

from __future__ import annotations

from datetime import datetime

from shared.core.times import parse_moment, rfc3339

#: (time, rank): position of an event among those of its key, as ``Signal.order`` gives it.
Order = tuple[datetime, int]


def order_text(order: Order | None) -> str:
    """``2026-01-02T03:04:05.678Z 0``; empty for None."""
    return f"{rfc3339(order[0])} {order[1]}" if order else ""


def parse_order(text: str) -> Order | None:
    """Read what :func:`order_text` wrote. Raises ValueError for anything else."""
    moment, _, rank = text.partition(" ")
    return (parse_moment(moment), int(rank)) if text else None
