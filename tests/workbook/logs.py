"""Tables of a workspace in DuckDB: columns as declared, values as Azure shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from connectors.log_analytics.columns import TABLES, ColumnType
from local.workbook.engine import on_duckdb

_SQL = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.DATETIME: "TIMESTAMP",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.INT: "INTEGER",
    ColumnType.REAL: "DOUBLE",
    ColumnType.DYNAMIC: "JSON",
}


class Logs:
    """Two tables, and queries on them. Close it."""

    def __init__(self, file: Path | str = ":memory:") -> None:
        self._database = duckdb.connect(str(file))
        self.run = on_duckdb(self._database)
        for table, columns in TABLES.items():
            declared = ", ".join(f'"{one.name}" {_SQL[one.type]}' for one in columns)
            self._database.execute(f'CREATE TABLE "{table}" ({declared})')

    def close(self) -> None:
        """Forget all rows."""
        self._database.close()

    def add(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row by names of columns. A text that is missing is empty, anything else null, as in Azure.

        Raises KeyError for a column that the table does not have.
        """
        columns = {one.name: one for one in TABLES[table]}
        unknown = row.keys() - columns.keys()
        if unknown:
            raise KeyError(f"{table} has no {', '.join(sorted(unknown))}")
        values = [_stored(row.get(name), one.type) for name, one in columns.items()]
        self._database.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(values))})', values)

    def ask(self, kql: str) -> list[dict[str, Any]]:
        """Rows of a query, with the saved functions at hand."""
        return self.run(kql).dicts()


def _stored(value: Any, type_: ColumnType) -> Any:
    if value is None:
        return "" if type_ is ColumnType.STRING else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return json.dumps(value) if type_ is ColumnType.DYNAMIC else value
