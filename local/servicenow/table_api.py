"""The Table API: ``/api/now[/v1|v2]/table/{table}[/{sys_id}]``.

Source: ServiceNow docs, "Table API".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from local.servicenow.errors import (
    ApiError,
    acl_refusal,
    insufficient_rights,
    invalid_table,
    no_rows_v1,
    record_not_found,
)
from local.servicenow.exchange import Call, result
from local.servicenow.instance import Instance
from local.servicenow.media import one_record, read_body
from local.servicenow.query.parser import Condition, Query, Term, parse
from local.servicenow.reading import Reader
from local.servicenow.rendering import MOBILE_VIEW, Shape
from local.servicenow.store import Row
from local.servicenow.writing import WriteContext
from local.simulator_kit.calls import NO_BODY, Answer, read_params

DEFAULT_LIMIT = 10_000


def require_table(instance: Instance, name: str) -> str:
    """The table, if there is one of that name.

    Raises:
        ApiError: 400.
    """
    if name not in instance.dictionary:
        error = invalid_table(name)
        if instance.settings.invalid_table_detail == "text":
            error.detail = f"Table {name} does not exist"
        raise error
    return name


def expand_tiny(instance: Instance, call: Call) -> None:
    """``sysparm_tiny`` stands for the query of a long address."""
    tiny = call.param("sysparm_tiny")
    url = instance.tiny_urls.get(tiny)
    if url is not None:
        _, _, query = url.partition("?")
        call.params = [(name, value) for name, value in call.params if name != "sysparm_tiny"] + read_params(query)


def shape(call: Call, version: str) -> Shape:
    """How the caller wants values shown."""
    display = call.param("sysparm_display_value", "false").lower()
    return Shape(
        display=display if display in ("true", "all") else "false",
        exclude_link=call.flag("sysparm_exclude_reference_link"),
        link_base=f"{call.base_url}/api/now/{version}table",
    )


def wanted_fields(instance: Instance, call: Call, table: str) -> list[str] | None:
    """``sysparm_fields``, else the columns of the view; None means all."""
    fields = [name.strip() for name in call.param("sysparm_fields").split(",") if name.strip()]
    if fields:
        return fields
    if call.param("sysparm_view") == "mobile" and instance.dictionary.base(table) == "task":
        return list(MOBILE_VIEW)
    return None


def read_query(instance: Instance, params: list[tuple[str, str]], table: str, reader: Reader) -> Query:
    """``sysparm_query``; without one, plain ``field=value`` parameters, whose values may be display values."""
    encoded = next((value for name, value in params if name == "sysparm_query"), "")
    if encoded:
        return parse(encoded)
    terms: list[list[Term]] = []
    for name, value in params:
        if name.startswith("sysparm_") or name in ("access_token", "x-sn-apikey"):
            continue
        column = instance.dictionary.column(table, name)
        if column is not None and column.choice:
            choices = instance.dictionary.choices(table, name)
            value = next((item.value for item in choices if item.label.casefold() == value.casefold()), value)
        elif column is not None and column.is_reference and reader.row(column.reference, value) is None:
            named = reader.named(column.reference, value)
            value = named[0].sys_id if named else value
        terms.append([Condition(name, "=", value)])
    return Query(groups=[terms])


def write_context(instance: Instance, call: Call) -> WriteContext:
    """How this call's write is to be done, scenarios included."""
    context = WriteContext(
        call.user,
        call.origin,
        by_display=call.flag("sysparm_input_display_value"),
        suppress_auto=call.flag("sysparm_suppress_auto_sys_field"),
        committed=call.changes,
    )
    instance.faults.writing(call, context)
    return context


class TableApi:
    """Serves the calls. ``version`` is empty, ``v1/`` or ``v2/``."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def listing(self, call: Call, version: str, table: str) -> Answer:
        """GET (or HEAD) of a table."""
        require_table(self._instance, table)
        expand_tiny(self._instance, call)
        reader = self._instance.reader(call.user)
        if not self._instance.access.may(call.user, "read", table):
            if self._instance.settings.read_refusal == "empty":
                return result([], headers=[("X-Total-Count", "0")])
            raise insufficient_rights()
        limit = max(0, call.number("sysparm_limit", DEFAULT_LIMIT))
        offset = call.number("sysparm_offset", 0)
        if offset < 0:
            raise ApiError(400, f"offset is {offset}", "Negative offset is not supported")
        rows = reader.select(table, read_query(self._instance, call.params, table, reader))
        page = [row for row in rows[offset : offset + limit] if reader.may_see(row)]
        if not page and version == "v1/":
            raise no_rows_v1()
        fields = wanted_fields(self._instance, call, table)
        renderer = reader.renderer(shape(call, version))
        headers = self._paging_headers(call, len(rows), limit, offset)
        return result([renderer.record(row, table, fields) for row in page], headers=headers)

    def _paging_headers(self, call: Call, total: int, limit: int, offset: int) -> list[tuple[str, str]]:
        headers = []
        if not call.flag("sysparm_no_count") or self._instance.settings.no_count_header:
            headers.append(("X-Total-Count", str(total)))
        if call.flag("sysparm_suppress_pagination_header") or limit == 0 or (total <= limit and offset == 0):
            return headers
        last = (total - 1) // limit * limit if total else 0
        places = [("first", 0)]
        if offset + limit < total:
            places.append(("next", offset + limit))
        if offset > 0:
            places.append(("prev", max(0, offset - limit)))
        places.append(("last", last))
        link = ",".join(f'<{_page_url(call, place)}>;rel="{name}"' for name, place in places)
        return [*headers, ("Link", link)]

    def one(self, call: Call, version: str, table: str, sys_id: str) -> Answer:
        """GET of one record."""
        require_table(self._instance, table)
        return self._record(call, version, table, self._find(call, table, sys_id))

    def _find(self, call: Call, table: str, sys_id: str) -> Row:
        row = self._instance.reader(call.user).find(table, sys_id)
        if row is None:
            raise record_not_found()
        return row

    def _record(self, call: Call, version: str, table: str, row: Row, status: int = 200) -> Answer:
        renderer = self._instance.reader(call.user).renderer(shape(call, version))
        fields = wanted_fields(self._instance, call, table)
        return result(renderer.record(row, table, fields), status)

    def create(self, call: Call, version: str, table: str) -> Answer:
        """POST to a table: 201 with ``Location``; 403 although committed when the caller cannot read what it made."""
        require_table(self._instance, table)
        incoming = one_record(read_body(call))
        self._not_virtual(table, "Insert")
        row = self._instance.writer.insert(table, incoming, write_context(self._instance, call))
        reader = self._instance.reader(call.user)
        if not reader.may_see(row):
            raise insufficient_rights()
        answer = self._record(call, version, table, row, 201)
        answer.headers.append(("Location", f"{call.base_url}/api/now/{version}table/{table}/{row.sys_id}"))
        return _maybe_without_body(call, answer)

    def change(self, call: Call, version: str, table: str, sys_id: str) -> Answer:
        """PUT or PATCH of a record: both change only what was sent."""
        require_table(self._instance, table)
        incoming = one_record(read_body(call))
        row = self._find(call, table, sys_id)
        self._not_virtual(table, "Update")
        updated = self._instance.writer.update(row, incoming, write_context(self._instance, call))
        return _maybe_without_body(call, self._record(call, version, table, updated))

    def delete(self, call: Call, table: str, sys_id: str) -> Answer:
        """DELETE of a record: 204."""
        require_table(self._instance, table)
        row = self._find(call, table, sys_id)
        self._not_virtual(table, "Delete")
        self._instance.writer.delete(row, write_context(self._instance, call))
        return Answer(204)

    def _not_virtual(self, table: str, operation: str) -> None:
        if self._instance.store.is_virtual(table):
            raise acl_refusal(operation)


def _page_url(call: Call, offset: int) -> str:
    params: list[tuple[str, Any]] = [(name, value) for name, value in call.params if name != "sysparm_offset"]
    return f"{call.base_url}{quote(call.path)}?{urlencode([*params, ('sysparm_offset', offset)])}"


def _maybe_without_body(call: Call, answer: Answer) -> Answer:
    if call.headers.get("X-no-response-body", "").lower() == "true":
        answer.payload = NO_BODY
    return answer
