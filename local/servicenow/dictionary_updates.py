"""Keeps the dictionary in step with its rows: tables, columns and choices made through the API count at once."""

from __future__ import annotations

from local.servicenow.schema.dictionary import Choice, Dictionary
from local.servicenow.schema.model import Column, Table, table
from local.servicenow.store import Row, Store


def apply_dictionary_change(dictionary: Dictionary, store: Store, before: Row | None, after: Row | None) -> None:
    """A row was written or deleted; other tables than the dictionary's do not matter here."""
    row = after or before
    if row is None or row.table not in ("sys_db_object", "sys_dictionary", "sys_choice"):
        return
    if row.table == "sys_choice":
        for name, element in {(item.get("name"), item.get("element")) for item in (before, after) if item}:
            dictionary.set_choices(name, element, _choices(store, name, element))
    elif row.table == "sys_db_object" and after is not None:
        _take_table(dictionary, store, after)
    elif row.table == "sys_dictionary":
        _take_column(dictionary, before, after)
    dictionary.changed()


def _choices(store: Store, table_name: str, element: str) -> list[Choice]:
    rows = [row for row in store.scan("sys_choice") if row.get("name") == table_name and row.get("element") == element]
    rows.sort(key=lambda row: int(row.get("sequence") or "0"))
    return [
        Choice(row.get("value"), row.get("label"), row.get("inactive") == "true", row.get("dependent_value"))
        for row in rows
    ]


def _take_table(dictionary: Dictionary, store: Store, row: Row) -> None:
    name = row.get("name")
    if not name or name in dictionary:
        return
    parent = store.get("sys_db_object", row.get("super_class"))
    extends = parent.get("name") if parent is not None else ""
    made: Table = table(name, row.get("label") or name, "", extends=extends)
    dictionary.tables[name] = made


def _take_column(dictionary: Dictionary, before: Row | None, after: Row | None) -> None:
    row = after or before
    if row is None or row.get("name") not in dictionary or not row.get("element"):
        return
    columns = dictionary.tables[row.get("name")].columns
    if after is None:
        columns.pop(row.get("element"), None)
        return
    old = columns.get(row.get("element"))
    length = after.get("max_length")
    columns[after.get("element")] = Column(
        name=after.get("element"),
        type=after.get("internal_type") or "string",
        max_length=int(length) if length.isdecimal() else 40,
        reference=after.get("reference"),
        reference_key=old.reference_key if old else "sys_id",
        default=after.get("default_value"),
        choice=bool(after.get("choice")) and after.get("choice") != "0",
        read_only=after.get("read_only") == "true",
        mandatory=after.get("mandatory") == "true",
        virtual=after.get("virtual") == "true",
        label=after.get("column_label") or after.get("element"),
    )
