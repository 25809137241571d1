"""Turns rows into the objects of a REST answer: the three shapes of ``sysparm_display_value``, links, dot-walked keys.

Source: ServiceNow docs, Table API, ``sysparm_display_value`` and ``sysparm_exclude_reference_link``. All leaves are
text; an empty value is empty text, never null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.servicenow.displays import Displays
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.schema.model import SECRETS, Column
from local.servicenow.store import Row

#: Columns of the mobile view of tasks; other tables, and every other view, show everything.
MOBILE_VIEW = ("number", "short_description", "state", "priority", "assigned_to", "opened_at", "sys_id")


@dataclass(frozen=True, slots=True)
class Shape:
    """How values are to be shown. ``display``: false, true or all; ``link_base`` ends before ``/<table>/<sys_id>``."""

    display: str = "false"
    exclude_link: bool = False
    link_base: str = ""


class Renderer:
    """Renders rows of one instance for one user and one shape.

    ``text(row, column)`` gives stored values, ``notes(row, column)`` the display text of journal columns,
    ``readable(table, field)`` is the field read rule, None when nothing is hidden.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        displays: Displays,
        shape: Shape,
        fetch: Callable[[str, str], Row | None],
        notes: Callable[[Row, Column], str],
        readable: Callable[[str, str], bool] | None,
    ) -> None:
        self._dictionary = dictionary
        self._displays = displays
        self._shape = shape
        self._fetch = fetch
        self._notes = notes
        self._readable = readable

    def record(self, row: Row, table: str, fields: list[str] | None) -> dict[str, Any]:
        """One row as an object: all columns of the table, or the listed ones, unknown names left out."""
        if fields is None:
            columns = self._dictionary.columns(table)
            if self._readable is None:
                return {name: self.value(row, column) for name, column in columns.items()}
            return {
                name: self.value(row, column) for name, column in columns.items() if self._may_read(row.table, name)
            }
        found: dict[str, Any] = {}
        for name in fields:
            if "." in name:
                self._walk(row, table, name, found)
                continue
            column = self._dictionary.column(table, name)
            if column is not None and self._may_read(row.table, name):
                found[name] = self.value(row, column)
        return found

    def _walk(self, row: Row, table: str, name: str, found: dict[str, Any]) -> None:
        at: Row | None = row
        *steps, last = name.split(".")
        for step in steps:
            column = self._dictionary.column(table, step)
            if column is None or not column.is_reference or column.reference not in self._dictionary:
                return
            table = column.reference
            at = self._fetch(table, at.get(step)) if at is not None and at.get(step) else None
        column = self._dictionary.column(table, last)
        if column is None or not self._may_read(table, last):
            return
        found[name] = self.value(at, column) if at is not None else self._plain("", "")

    def _may_read(self, table: str, field: str) -> bool:
        return self._readable is None or self._readable(table, field)

    def value(self, row: Row, column: Column) -> Any:
        """One value in the asked shape."""
        display = self._shape.display
        if display == "false" and column.plain:
            return row.values.get(column.name, "")
        if column.virtual:
            return self._plain("", self._notes(row, column) if display != "false" else "")
        value = row.values.get(column.name, "")
        if column.type in SECRETS:
            return self._plain("", self._displays.of(row.table, column, value))
        if column.is_reference and value:
            return self._reference(column, value)
        if display == "false":
            return value
        return self._plain(value, self._displays.of(row.table, column, value))

    def _plain(self, value: str, display: str) -> Any:
        mode = self._shape.display
        if mode == "all":
            return {"display_value": display, "value": value}
        return display if mode == "true" else value

    def _reference(self, column: Column, value: str) -> Any:
        mode = self._shape.display
        display = self._displays.reference(column, value) if mode != "false" else ""
        if self._shape.exclude_link or not column.reference:
            return self._plain(value, display)
        if column.reference_key == "sys_id":
            link = f"{self._shape.link_base}/{column.reference}/{value}"
        else:
            link = f"{self._shape.link_base}/{column.reference}?{column.reference_key}={value}"
        if mode == "all":
            return {"display_value": display, "link": link, "value": value}
        if mode == "true":
            return {"display_value": display, "link": link}
        return {"link": link, "value": value}
