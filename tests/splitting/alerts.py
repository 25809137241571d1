"""Alerts with rows, and what became of their parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.core.signal import Resource, Row, Rows, Signal, SignalState
from tests.delivery.world import World, signal

ROW = "group: {by: row}"
ITEM = "group: {by: item}"
SERIES = "log:1:disk full"
MINUTE = timedelta(minutes=1)


def rows_of(*computers: str, total: int | None = None, whole: bool = True) -> Rows:
    """A table of computers, each with the space that is left."""
    rows = tuple(Row((name, str(number)), Resource(None, name)) for number, name in enumerate(computers))
    return Rows(("Computer", "FreeMB"), rows, len(rows) if total is None else total, ("Computer",), whole)


def alert(
    minute: float,
    *computers: str,
    state: SignalState = SignalState.FIRED,
    key: str = "",
    series: str = SERIES,
    rows: Rows | None = None,
) -> Signal:
    """An alert of a rule without state: each firing has a key of its own, unless one is given."""
    found = rows if rows is not None else rows_of(*computers) if computers else None
    made = signal(state, minute * MINUTE, key=key or f"alert:1:at-{minute}", rule="Disk full", resource="law")
    resources = tuple(row.resource for row in found.rows if row.resource) if found is not None else made.resources
    return replace(made, kind="log", rows=found, series=series, resources=resources)


def phases(world: World) -> dict[str, str]:
    """Phase of the newest ticket of each part, by its title; ``title#2`` counts further tickets."""
    found: dict[str, str] = {}
    for draft in world.desk.drafts:
        row = world.desk.rows.get(draft.id)
        if row is not None:
            found[str(draft.fields["short_description"])] = row.phase.value
    return found
