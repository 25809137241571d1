"""The two tables of a workspace in DuckDB: columns as declared, values as Azure shows them, and the saved functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import duckdb_kql

from connectors.log_analytics.columns import TABLES, ColumnType
from local.workbook.answer import Answer
from local.workbook.queries import definitions

_SQL: Final = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.DATETIME: "TIMESTAMP",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.INT: "INTEGER",
    ColumnType.REAL: "DOUBLE",
    ColumnType.DYNAMIC: "JSON",
}


class Workspace:
    """Rows, and Kusto queries on them. Close it.

    Args:
        file: to keep the rows in; by default they are in memory alone.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._database = duckdb.connect(str(file or ":memory:"))
        self._functions = definitions()
        for table, columns in TABLES.items():
            declared = ", ".join(f'"{one.name}" {_SQL[one.type]}' for one in columns)
            self._database.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({declared})')

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows by names of columns, as the Logs Ingestion API takes them; times may be text. What is missing is
        empty where it is a text, and null otherwise, as in Azure.

        Raises KeyError for a table or column that is not declared, ValueError for a time that is none.
        """
        columns = {one.name: one for one in TABLES[table]}
        places = ", ".join("?" * len(columns))
        for row in rows:
            unknown = row.keys() - columns.keys()
            if unknown:
                raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
            values = [_stored(row.get(name), one.type) for name, one in columns.items()]
            self._database.execute(f'INSERT INTO "{table}" VALUES ({places})', values)

    def run(self, kql: str) -> Answer:
        """The answer to a query. Raises duckdb_kql's ``KqlError`` for one that the engine does not know."""
        found = duckdb_kql.query(self._database, kql, functions=self._functions)
        return Answer(tuple(found.columns), tuple(map(tuple, found.fetchall())))


def _stored(value: Any, kind: ColumnType) -> Any:
    if value is None:
        return "" if kind is ColumnType.STRING else None
    if kind is ColumnType.DATETIME:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC).replace(tzinfo=None)
    return json.dumps(value) if kind is ColumnType.DYNAMIC else value
