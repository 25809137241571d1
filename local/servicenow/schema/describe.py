"""The dictionary's own rows: what sys_db_object, sys_dictionary, sys_choice, sys_number and sys_glide_object hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from local.servicenow.schema.dictionary import Choice
from local.servicenow.schema.model import Column, Table
from local.servicenow.store import Row

#: When the demo instance was made: creation time of everything that comes with it.
BORN = "2025-01-06 08:00:00"


def demo_id(table: str, key: str) -> str:
    """A stable sys_id for a row that comes with the instance."""
    return hashlib.md5(f"{table}:{key}".encode(), usedforsecurity=False).hexdigest()


def words(text: str) -> tuple[str, ...]:
    """The words of a text, for lists that read better without quotes."""
    return tuple(text.split())


def system_row(table: str, key: str, values: dict[str, str], *, sys_id: str | None = None) -> Row:
    """A row that comes with the instance: given values plus the system columns."""
    return Row(
        table,
        {
            "sys_id": sys_id or demo_id(table, key),
            "sys_created_on": BORN,
            "sys_created_by": "admin",
            "sys_updated_on": BORN,
            "sys_updated_by": "admin",
            "sys_mod_count": "0",
            **values,
        },
    )


def _metadata(table: str, key: str, name: str, values: dict[str, str]) -> Row:
    common = {"sys_class_name": table, "sys_name": name, "sys_scope": "global", "sys_update_name": f"{table}_{key}"}
    return system_row(table, key, common | values)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def table_rows(table: Table) -> Iterator[Row]:
    """Rows for one table: its sys_db_object, its collection entry, its columns, its number."""
    yield _metadata(
        "sys_db_object",
        table.name,
        table.label,
        {
            "name": table.name,
            "label": table.label,
            "super_class": demo_id("sys_db_object", table.extends) if table.extends else "",
            "is_extendable": _flag(table.name in ("task", "cmdb_ci", "sys_metadata", "sys_import_set_row")),
            "create_access": "true",
            "read_access": "true",
            "update_access": "true",
            "delete_access": "true",
            "ws_access": "true",
            "number_ref": demo_id("sys_number", table.name) if table.prefix else "",
            "access": "public",
        },
    )
    yield column_row(table, Column("", "collection", 40, label=table.label))
    for column in table.columns.values():
        yield column_row(table, column)
    if table.prefix:
        yield system_row(
            "sys_number",
            table.name,
            {
                "category": table.name,
                "prefix": table.prefix,
                "number": str(table.first_number),
                "maximum_digits": "7",
            },
        )


def column_row(table: Table, column: Column) -> Row:
    """The sys_dictionary row of one column."""
    return _metadata(
        "sys_dictionary",
        f"{table.name}_{column.name}",
        column.label,
        {
            "name": table.name,
            "element": column.name,
            "column_label": column.label,
            "internal_type": column.type,
            "max_length": str(column.max_length),
            "reference": column.reference,
            "default_value": column.default,
            "mandatory": _flag(column.mandatory),
            "read_only": _flag(column.read_only),
            "active": "true",
            "array": "false",
            "display": _flag(bool(column.name) and column.name == table.display),
            "choice": "3" if column.choice else "",
            "unique": _flag(column.name == "sys_id"),
            "virtual": _flag(column.virtual),
        },
    )


def type_rows(tables: Iterable[Table]) -> Iterator[Row]:
    """sys_glide_object rows for every column type in use."""
    types = {column.type for table in tables for column in table.columns.values()} | {"collection"}
    for name in sorted(types):
        label = name.replace("_", " ").capitalize()
        yield system_row("sys_glide_object", name, {"name": name, "label": label, "scalar_type": "string"})


def choice_rows(table: str, element: str, choices: list[Choice]) -> Iterator[Row]:
    """sys_choice rows of one set."""
    for sequence, choice in enumerate(choices):
        yield _metadata(
            "sys_choice",
            f"{table}_{element}_{choice.value}_{choice.dependent_value}",
            choice.label,
            {
                "name": table,
                "element": element,
                "value": choice.value,
                "label": choice.label,
                "language": "en",
                "sequence": str(sequence),
                "inactive": _flag(choice.inactive),
                "dependent_value": choice.dependent_value,
            },
        )
