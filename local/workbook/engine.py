"""Queries on tables in DuckDB, in place of a workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from local.workbook.queries import definitions

if TYPE_CHECKING:
    import duckdb


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


def on_duckdb(connection: duckdb.DuckDBPyConnection) -> RunQuery:
    """Runs Kusto queries on the tables of a database, with the saved functions at hand.

    The result raises duckdb_kql's ``KqlError`` for a query that the engine does not know, and duckdb's errors.
    """
    import duckdb_kql

    functions = definitions()

    def run(kql: str) -> Answer:
        found = duckdb_kql.query(connection, kql, functions=functions)
        return Answer(tuple(found.columns), tuple(map(tuple, found.fetchall())))

    return run
