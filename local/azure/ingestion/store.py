"""Tables of rows, and queries of them in the Kusto query language.

Rows are in DuckDB, in memory; duckdb-kql runs the queries (both are libraries for development, loaded on first use).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local.azure.ingestion.rules import Columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Types of DuckDB by those of data collection rules.
_SQL_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "boolean": "BOOLEAN",
    "dynamic": "JSON",
    "datetime": "TIMESTAMP",
}
#: Types of the Kusto query language by the first word of those of DuckDB.
_KUSTO_TYPES = {
    "VARCHAR": "string",
    "INTEGER": "int",
    "BIGINT": "long",
    "HUGEINT": "long",
    "DOUBLE": "real",
    "DECIMAL": "decimal",
    "BOOLEAN": "bool",
    "TIMESTAMP": "datetime",
    "INTERVAL": "timespan",
    "UUID": "guid",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gives.

    Attributes:
        columns: their names, in order. types: of the Kusto query language, in the same order.
        rows: values as JSON has them: times as ISO 8601 in UTC, spans as ``d.hh:mm:ss.fffffff``, objects as they are.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def as_dicts(self) -> list[dict[str, Any]]:
        """Rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """For the control API."""
        named = [{"name": name, "type": kind} for name, kind in zip(self.columns, self.types, strict=True)]
        return {"columns": named, "rows": [list(row) for row in self.rows]}


class TableStore:
    """Tables with typed columns. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, Columns] = {}
        self._opened: DuckDBPyConnection | None = None

    @property
    def tables(self) -> dict[str, Columns]:
        """Columns by table."""
        return dict(self._tables)

    def declare(self, table: str, columns: Columns) -> None:
        """Make a table, or replace one of other columns: its rows are gone then."""
        with self._lock:
            if self._tables.get(table) == dict(columns):
                return
            fields = ", ".join(f"{_quoted(name)} {_SQL_TYPES[kind]}" for name, kind in columns.items())
            self._connection.execute(f"CREATE OR REPLACE TABLE {_quoted(table)} ({fields})").fetchall()
            self._tables[table] = dict(columns)

    def add(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, all or none; a column that a row lacks is null. Raises KeyError for an unknown table."""
        with self._lock:
            columns = self._tables[table]
            text = json.dumps(list(rows), default=_plain_time, ensure_ascii=False)
            shape = json.dumps([{name: _SQL_TYPES[kind] for name, kind in columns.items()}]).replace("'", "''")
            self._connection.execute(
                f"INSERT INTO {_quoted(table)} BY NAME "
                f"SELECT unnest(row, recursive := true) FROM (SELECT unnest(from_json(?, '{shape}')) AS row)",
                [text],
            ).fetchall()

    def clear(self) -> int:
        """Remove all rows, keep the tables; how many rows there were."""
        with self._lock:
            return sum(self._number(f"DELETE FROM {_quoted(one)}") for one in self._tables)

    def drop(self) -> None:
        """Remove all tables."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None
            self._tables.clear()

    def count(self, table: str, distinct: str = "") -> int:
        """Rows of a table, or different values of one of its columns. Raises KeyError for an unknown name."""
        with self._lock:
            columns = self._tables[table]
            if distinct and distinct not in columns:
                raise KeyError(distinct)
            what = f"DISTINCT {_quoted(distinct)}" if distinct else "*"
            return self._number(f"SELECT count({what}) FROM {_quoted(table)}")

    def rows(self, table: str, limit: int = 100) -> list[dict[str, Any]]:
        """The first rows of a table in the order in which they came. Raises KeyError for an unknown table."""
        with self._lock:
            if table not in self._tables:
                raise KeyError(table)
            sql = f"SELECT * FROM {_quoted(table)} ORDER BY rowid LIMIT {int(limit)}"
            return _result(self._connection.sql(sql)).as_dicts()

    def query(self, kql: str, now: datetime | None = None) -> Result:
        """What a query in the Kusto query language finds. It cannot change anything.

        Args:
            kql: the query. now: what ``now()`` is in it, UTC; None for the machine's time.

        Raises:
            ValueError: the query is wrong, or beyond what duckdb-kql can do.
        """
        import duckdb
        import duckdb_kql

        with self._lock:
            try:
                found = duckdb_kql.kql(self._connection, kql, allow_write=False, query_now=now)
                return _result(found)
            except (duckdb_kql.KqlError, duckdb.Error) as error:
                raise ValueError(f"{type(error).__name__}: {error}") from None

    def _number(self, sql: str) -> int:
        """The one value of a statement. All rows are fetched: a result that is not read to its end blocks others."""
        ((value,),) = self._connection.execute(sql).fetchall()
        return int(value)

    @property
    def _connection(self) -> DuckDBPyConnection:
        if self._opened is None:
            import duckdb

            self._opened = duckdb.connect(":memory:")
            self._opened.execute("SET TimeZone = 'UTC'").fetchall()
        return self._opened


def _result(found: Any) -> Result:
    types = tuple(_kusto_type(str(kind)) for kind in found.types)
    rows = tuple(
        tuple(_json_value(kind, value) for kind, value in zip(types, row, strict=True)) for row in found.fetchall()
    )
    return Result(tuple(found.columns), types, rows)


def _kusto_type(name: str) -> str:
    """Type of a column; lists and structures are ``dynamic``, as JSON is."""
    first = name.split("(")[0].split(" ")[0]
    return "dynamic" if name.endswith("]") else _KUSTO_TYPES.get(first, "dynamic")


def _json_value(kind: str, value: Any) -> Any:
    match value:
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return _span(value)
        case Decimal():
            return float(value)
        case str() if kind == "dynamic":
            return json.loads(value)
        case None | str() | int() | float() | list() | dict():
            return value
    return str(value)


def _span(value: timedelta) -> str:
    """As Kusto writes a timespan: ``-1.02:03:04.0000000``, days only where there are some."""
    sign = "-" if value < timedelta(0) else ""
    value = abs(value)
    hours, rest = divmod(value.seconds, 3600)
    days = f"{value.days}." if value.days else ""
    fraction = f".{value.microseconds:06d}0" if value.microseconds else ""
    return f"{sign}{days}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}{fraction}"


def _plain_time(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    raise TypeError(f"{type(value).__name__} is no value of a row")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
