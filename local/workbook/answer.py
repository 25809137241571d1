"""What a query answers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query.

    Attributes:
        columns: their names. rows: values in the order of the columns; times are in UTC, without a zone.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def values(self, column: str) -> list[Any]:
        """Values of one column. Raises ValueError when there is none of that name."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def dicts(self) -> list[dict[str, Any]]:
        """Each row by names of columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


RunQuery: TypeAlias = Callable[[str], Answer]
