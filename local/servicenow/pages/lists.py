"""The list of a table: an encoded query, twenty rows on a page, sorted by a click on a column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from local.servicenow.identity import Identity
from local.servicenow.instance import Instance
from local.servicenow.pages.cells import cell, record_address
from local.servicenow.pages.markup import error_page, link, page
from local.servicenow.query.parser import Query
from local.servicenow.reading import Reader
from local.servicenow.rendering import Shape
from local.servicenow.store import Row
from local.servicenow.table_api import read_query
from local.simulator_kit.calls import Answer

#: Rows on a page (the base system's default of ``glide.ui.per_page``).
PAGE = 20
#: Columns of the tables that the bridge works with; other tables show their first ones.
_COLUMNS = {
    "incident": "number sys_created_on short_description caller_id priority state assignment_group assigned_to",
    "change_request": "number short_description type state start_date end_date assignment_group assigned_to",
    "problem": "number short_description priority state assignment_group assigned_to sys_created_on",
    "task": "number sys_class_name short_description priority state assignment_group assigned_to",
    "em_event": "time_of_event source node resource type severity state description",
    "cmdb_ci": "name sys_class_name operational_status support_group object_id",
    "sys_user": "name user_name email active title",
    "sys_user_group": "name manager email active",
}
_OTHERS = 6


@dataclass(frozen=True, slots=True)
class _View:
    """One page of a list. ``first`` counts from 1; ``order`` is the column that was clicked, empty when none was."""

    table: str
    query: str
    order: str
    descending: bool
    first: int

    @classmethod
    def read(cls, table: str, params: dict[str, str]) -> _View:
        first = params.get("sysparm_first_row", "1")
        return cls(
            table,
            params.get("sysparm_query", ""),
            params.get("sysparm_order", ""),
            params.get("sysparm_order_direction", "").lower() == "desc",
            max(1, int(first)) if first.isdecimal() and len(first) < 10 else 1,
        )

    def address(self, first: int, order: str, descending: bool) -> str:
        """Address of another page or order of the same list."""
        wanted = {"sysparm_query": self.query, "sysparm_order": order}
        if order:
            wanted["sysparm_order_direction"] = "desc" if descending else "asc"
        if first > 1:
            wanted["sysparm_first_row"] = str(first)
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"/{self.table}_list.do" + (f"?{query}" if query else "")


def list_page(instance: Instance, user: Identity, table: str, params: dict[str, str]) -> Answer:
    """``<table>_list.do``.

    Raises:
        ApiError: the query is refused.
    """
    if not instance.access.may(user, "read", table):
        return error_page(user, 403, "Access denied", f"Your roles do not allow you to read {table}.")
    view = _View.read(table, params)
    reader = instance.reader(user)
    rows = reader.select(table, _query(instance, view, params, reader))
    chosen = rows[view.first - 1 : view.first - 1 + PAGE]
    seen = [row for row in chosen if reader.may_see(row)]
    columns = _columns(instance, table)
    hidden = len(chosen) - len(seen)
    body = (
        f'<form action="/{escape(table)}_list.do"><label>Encoded query <input name="sysparm_query" '
        f'value="{escape(view.query)}"></label><button>Run</button></form>'
        f"<p>{' '.join(_places(view, len(rows)))}</p>"
        f"<table><tr>{''.join(_heads(instance, view, columns))}</tr>{''.join(_rows(reader, instance, seen, columns))}"
        f"</table>{f'<p>Rows of this page hidden by access rules: {hidden}.</p>' if hidden else ''}"
    )
    return page(instance.dictionary.tables[table].label, body, user)


def _query(instance: Instance, view: _View, params: dict[str, str], reader: Reader) -> Query:
    query = read_query(instance, list(params.items()), view.table, reader)
    if view.order:
        query.order = [(view.order, view.descending)]
    elif not query.order:
        query.order = [("sys_updated_on", True), ("sys_id", False)]
    return query


def _columns(instance: Instance, table: str) -> list[str]:
    known = instance.dictionary.columns(table)
    for name in instance.dictionary.lineage(table):
        if name in _COLUMNS:
            return [column for column in _COLUMNS[name].split() if column in known]
    first = instance.dictionary.display_column(table)
    others = [name for name in known if name != first and not name.startswith("sys_")]
    return [first, *others[:_OTHERS], "sys_updated_on"]


def _heads(instance: Instance, view: _View, columns: list[str]) -> Iterator[str]:
    for name in columns:
        column = instance.dictionary.column(view.table, name)
        mark = (" ▼" if view.descending else " ▲") if name == view.order else ""
        descending = name == view.order and not view.descending
        label = f"{column.label if column else name}{mark}"
        yield f"<th>{link(view.address(1, name, descending), label)}</th>"


def _rows(reader: Reader, instance: Instance, rows: list[Row], columns: list[str]) -> Iterator[str]:
    renderer = reader.renderer(Shape(display="all", exclude_link=True))
    for row in rows:
        fields = renderer.record(row, row.table, columns)
        cells = []
        for place, name in enumerate(columns):
            column = instance.dictionary.column(row.table, name)
            shown = fields.get(name)
            if place == 0:
                text = str(shown["display_value"] or shown["value"]) if shown else ""
                cells.append(link(record_address(row.table, row.sys_id), text or "(empty)"))
            else:
                cells.append(cell(instance.dictionary, column, shown) if column and shown else "")
        yield f"<tr>{''.join(f'<td>{text}</td>' for text in cells)}</tr>"


def _places(view: _View, total: int) -> Iterator[str]:
    """Which rows these are, and links to the neighbouring pages."""
    if view.first > 1:
        yield link(view.address(max(1, view.first - PAGE), view.order, view.descending), "Previous page")
    last = min(total, view.first + PAGE - 1)
    yield f"{view.first} to {last} of {total}" if view.first <= last else f"none of {total}"
    if last < total:
        yield link(view.address(view.first + PAGE, view.order, view.descending), "Next page")
