"""Puts the instance together as it is on the first day: dictionary, choices and demo rows."""

from __future__ import annotations

from collections.abc import Iterator

from local.servicenow.demo import cmdb, people, platform, tickets
from local.servicenow.schema import cmdb_tables, people_tables, service_tables, system_tables, task_tables
from local.servicenow.schema.choices import base_choices, close_code_choices
from local.servicenow.schema.describe import choice_rows, table_rows, type_rows
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.store import Row


def base_dictionary() -> Dictionary:
    """A fresh dictionary with the base system's tables and choices."""
    dictionary = Dictionary(
        (
            *system_tables.TABLES,
            *service_tables.TABLES,
            *people_tables.TABLES,
            *cmdb_tables.TABLES,
            *task_tables.TABLES,
        ),
    )
    for (table, element), choices in base_choices().items():
        dictionary.set_choices(table, element, choices)
    dictionary.set_choices("incident", "close_code", close_code_choices("newer"))
    return dictionary


def base_rows(dictionary: Dictionary, public_key: str) -> Iterator[Row]:
    """Every row of the first day; the same ones each time, apart from ``public_key`` (PEM, of the JWT demo client)."""
    tables = list(dictionary.tables.values())
    for table in tables:
        yield from table_rows(table)
    yield from type_rows(tables)
    for (table_name, element), choices in base_choices().items():
        yield from choice_rows(table_name, element, choices)
    yield from choice_rows("incident", "close_code", close_code_choices("newer"))
    yield from people.rows()
    yield from cmdb.rows()
    yield from platform.rows(public_key)
    yield from tickets.rows(dictionary)
