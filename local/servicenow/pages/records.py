"""The page of one record: every field that has a value and that the user may read."""

from __future__ import annotations

from html import escape

from local.servicenow.identity import Identity
from local.servicenow.instance import Instance
from local.servicenow.pages.cells import cell
from local.servicenow.pages.markup import error_page, link, page
from local.servicenow.query.parser import parse
from local.servicenow.rendering import Shape
from local.servicenow.store import Row
from local.simulator_kit.calls import Answer


def record_page(instance: Instance, user: Identity, table: str, params: dict[str, str]) -> Answer:
    """``<table>.do`` with ``sys_id``, or ``sysparm_query``, which opens the first row that it finds."""
    row = _find(instance, user, table, params)
    if row is None:
        return error_page(user, 404, "Record not found", "There is no such record, or you may not read it.")
    reader = instance.reader(user)
    fields = reader.renderer(Shape(display="all", exclude_link=True)).record(row, row.table, None)
    columns = instance.dictionary.columns(row.table)
    lines = (
        f'<tr title="{escape(name)}"><th>{escape(columns[name].label)}</th>'
        f"<td>{cell(instance.dictionary, columns[name], shown)}</td></tr>"
        for name, shown in fields.items()
        if shown["display_value"] and name not in ("sys_id", "sys_class_name")
    )
    label = instance.dictionary.tables[row.table].label
    rows = link(f"/{row.table}_list.do", f"All records of {label}")
    body = f'<p>{rows}</p><table class="record">{"".join(lines)}</table>'
    return page(reader.displays.name(row) or row.sys_id, body, user)


def _find(instance: Instance, user: Identity, table: str, params: dict[str, str]) -> Row | None:
    """Raises ApiError when the query is refused."""
    reader = instance.reader(user)
    if "sys_id" in params:
        return reader.find(table, params["sys_id"])
    if not params.get("sysparm_query") or not instance.access.may(user, "read", table):
        return None
    rows = reader.select(table, parse(params["sysparm_query"]))
    return next((row for row in rows if reader.may_see(row)), None)
