"""What a parsed query is made of: a plan of steps over rows, and expressions over one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.azure.resource_graph.values import order_key, text_of

Row = dict[str, Any]
Expression = Callable[[Row], Any]
Step = Callable[[list[Row]], list[Row]]


@dataclass(slots=True)
class Plan:
    """A parsed query. ``ordered``: its last rows have a fixed order; ``limited``: it says how many it wants. A plan
    among the steps adds the rows of its own table."""

    table: str
    columns: list[str]
    steps: list[Step | Plan] = field(default_factory=list)
    ordered: bool = False
    limited: bool = False

    def run(self, read: Callable[[str], list[Row]]) -> list[Row]:
        """The result, each row with exactly the plan's columns. ``read`` gives the rows of a table."""
        rows = read(self.table)
        for step in self.steps:
            rows = [*rows, *step.run(read)] if isinstance(step, Plan) else step(rows)
        return [{name: row.get(name) for name in self.columns} for row in rows]


def constant(value: Any) -> Expression:
    """The same for every row."""
    return lambda _row: value


def extended(name: str, value: Expression) -> Step:
    """Add a column."""
    return lambda rows: [{**row, name: value(row)} for row in rows]


def sort_key(value: Expression) -> Callable[[Row], tuple[int, Any]]:
    """What a list of rows is sorted by."""
    return lambda row: order_key(value(row))


def member(value: Expression, key: str | int) -> Expression:
    """A member of a dynamic value; null where it has none."""

    def read(row: Row) -> Any:
        inner = value(row)
        if isinstance(key, str):
            return inner.get(key) if isinstance(inner, dict) else None
        return inner[key] if isinstance(inner, list) and key < len(inner) else None

    return read


def distinct(rows: list[Row]) -> list[Row]:
    """Each row once."""
    return list({text_of(list(row.values())): row for row in rows}.values())
