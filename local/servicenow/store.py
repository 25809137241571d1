"""Rows in memory: by table, by sys_id and by a few indexed columns.

A row is never changed in place: a write puts a new one, so whoever holds a row holds a consistent picture of it.
sys_ids are unique within a hierarchy and compared without regard to case, as in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from local.servicenow.schema.dictionary import Dictionary

#: Columns with an equality index, wherever they occur: what integrations search by, and what display values need.
INDEXED = frozenset(
    {
        "correlation_id",
        "number",
        "user_name",
        "element_id",
        "table_sys_id",
        "message_key",
        "parent_incident",
        "sysapproval",
        "client_id",
        "documentkey",
        "user",
        "group",
    }
)


@dataclass(slots=True)
class Row:
    """One record: its exact table (class) and its stored values, all text; a missing value is empty."""

    table: str
    values: dict[str, str]

    @property
    def sys_id(self) -> str:
        return self.values["sys_id"]

    def get(self, column: str) -> str:
        """Stored value, empty text when there is none."""
        return self.values.get(column, "")


#: A table whose rows are made when they are asked for (audit, transaction log, issued tokens).
VirtualRows = Callable[[], Iterable[Row]]


class Store:
    """All rows of the instance."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._by_id: dict[str, dict[str, Row]] = {}
        self._by_class: dict[str, dict[str, Row]] = {}
        self._indexes: dict[tuple[str, str], dict[str, dict[str, Row]]] = {}
        self._virtual: dict[str, VirtualRows] = {}
        #: Numbers of writes per base table: lets caches know that they are stale.
        self.versions: dict[str, int] = {}
        #: Next number per prefix, from sys_number.
        self.counters: dict[str, int] = {}

    def clear(self) -> None:
        """Forget every row and counter; virtual tables stay."""
        self._by_id.clear()
        self._by_class.clear()
        self._indexes.clear()
        self.counters.clear()
        for table in self.versions:
            self.versions[table] += 1

    def register_virtual(self, table: str, rows: VirtualRows) -> None:
        """Let a table's rows be computed."""
        self._virtual[table] = rows

    def is_virtual(self, table: str) -> bool:
        return table in self._virtual

    def get(self, table: str, sys_id: str) -> Row | None:
        """The row of that id if it belongs to the table or to one that extends it."""
        if table in self._virtual:
            wanted = sys_id.lower()
            return next((row for row in self._virtual[table]() if row.sys_id.lower() == wanted), None)
        row = self._by_id.get(self._dictionary.base(table), {}).get(sys_id.lower())
        if row is None or (row.table != table and table not in self._dictionary.lineage(row.table)):
            return None
        return row

    def taken(self, table: str, sys_id: str) -> bool:
        """True when the hierarchy of the table has a row of that id."""
        return sys_id.lower() in self._by_id.get(self._dictionary.base(table), {})

    def scan(self, table: str) -> Iterator[Row]:
        """Rows of the table and of those that extend it, in the order they were made per class."""
        if table in self._virtual:
            yield from self._virtual[table]()
            return
        for name in self._dictionary.family(table):
            yield from list(self._by_class.get(name, {}).values())

    def lookup(self, table: str, column: str, value: str) -> list[Row] | None:
        """Rows whose column equals the value without regard to case; None when there is no index for it."""
        if table in self._virtual:
            return None
        if column == "sys_id":
            row = self.get(table, value)
            return [row] if row else []
        if column not in INDEXED or not value:
            return None
        index = self._indexes.get((self._dictionary.base(table), column), {})
        family = self._dictionary.family(table)
        return [row for row in index.get(value.casefold(), {}).values() if row.table in family]

    def put(self, row: Row) -> None:
        """Insert or replace."""
        base = self._dictionary.base(row.table)
        key = row.sys_id.lower()
        rows = self._by_id.setdefault(base, {})
        old = rows.get(key)
        if old is not None:
            self._unindex(base, key, old)
            if old.table != row.table:
                self._by_class[old.table].pop(key, None)
        rows[key] = row
        self._by_class.setdefault(row.table, {})[key] = row
        for column in INDEXED & row.values.keys():
            if value := row.values[column]:
                self._indexes.setdefault((base, column), {}).setdefault(value.casefold(), {})[key] = row
        self.versions[base] = self.versions.get(base, 0) + 1

    def remove(self, table: str, sys_id: str) -> None:
        """Delete; nothing happens when it is gone already."""
        base = self._dictionary.base(table)
        key = sys_id.lower()
        row = self._by_id.get(base, {}).pop(key, None)
        if row is not None:
            self._by_class[row.table].pop(key, None)
            self._unindex(base, key, row)
            self.versions[base] = self.versions.get(base, 0) + 1

    def version(self, *tables: str) -> int:
        """A number that grows with every write to one of the tables' hierarchies."""
        return sum(self.versions.get(self._dictionary.base(table), 0) for table in tables)

    def _unindex(self, base: str, key: str, row: Row) -> None:
        for column in INDEXED & row.values.keys():
            value = row.values[column].casefold()
            entries = self._indexes.get((base, column), {}).get(value)
            if entries is not None:
                entries.pop(key, None)
                if not entries:
                    del self._indexes[base, column][value]
