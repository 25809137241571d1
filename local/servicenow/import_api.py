"""The Import Set API: ``/api/now[/v1]/import/{staging_table}``.

Source: ServiceNow docs, "Import Set API". A row that fails in a transform map is still answered 201: the failure is in
``result[].status``.
"""

from __future__ import annotations

from typing import Any

from local.servicenow.commits import Origin
from local.servicenow.errors import ApiError, acl_refusal, record_not_found, unreadable
from local.servicenow.exchange import Call
from local.servicenow.identity import SYSTEM
from local.servicenow.instance import Instance
from local.servicenow.media import one_record, read_body
from local.servicenow.store import Row
from local.servicenow.table_api import write_context
from local.servicenow.writing import WriteContext, new_id
from local.simulator_kit.calls import Answer

_STAGING = "sys_import_set_row"


class ImportApi:
    """Serves the calls."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def one(self, call: Call, staging: str) -> Answer:
        """POST of one row: staged, transformed at once, answered with one result per transform map."""
        self._require_staging(call, staging)
        incoming = one_record(read_body(call))
        import_set = self._import_set(call.origin, staging)
        results = self._import(call, staging, import_set, incoming, 0)
        payload = {"import_set": import_set.get("number"), "staging_table": staging, "result": results}
        return Answer(201, payload)

    def several(self, call: Call, staging: str) -> Answer:
        """POST of many rows (``insertMultiple``): the answer names the import set, results are read from the rows."""
        self._require_staging(call, staging)
        body = read_body(call)
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise unreadable("The payload has no list of records.")
        import_set = self._import_set(call.origin, staging)
        for index, record in enumerate(records):
            self._import(call, staging, import_set, record, index)
        return Answer(201, {"import_set_id": import_set.sys_id, "multi_import_set_id": new_id()})

    def read(self, call: Call, staging: str, sys_id: str) -> Answer:
        """GET: the result of a staged row."""
        self._require_staging(call, staging)
        row = self._instance.reader(call.user).find(staging, sys_id)
        if row is None:
            raise record_not_found()
        import_set = self._instance.store.get("sys_import_set", row.get("sys_import_set"))
        map_row = self._instance.store.get("sys_transform_map", row.get("sys_transform_map"))
        outcome: dict[str, Any] = {
            "transform_map": map_row.get("name") if map_row else "",
            "table": row.get("sys_target_table"),
            "status": row.get("sys_import_state"),
        }
        target_id = row.get("sys_target_sys_id")
        if target_id:
            outcome |= self._target(call, row.get("sys_target_table"), target_id)
        if row.get("sys_row_error"):
            outcome["error_message"] = row.get("sys_row_error")
        number = import_set.get("number") if import_set else ""
        return Answer(200, {"import_set": number, "staging_table": staging, "result": [outcome]})

    def _require_staging(self, call: Call, staging: str) -> None:
        if staging not in self._instance.dictionary or _STAGING not in self._instance.dictionary.lineage(staging):
            raise ApiError(400, f"Invalid staging table {staging}", "Invalid staging table")
        if not self._instance.access.may(call.user, "create", staging):
            raise acl_refusal("Insert")

    def _import_set(self, origin: Origin, staging: str) -> Row:
        values = {"table_name": staging, "state": "processed", "mode": "synchronous"}
        return self._instance.writer.insert("sys_import_set", values, WriteContext(SYSTEM, origin))

    def _import(
        self, call: Call, staging: str, import_set: Row, incoming: dict[str, Any], index: int
    ) -> list[dict[str, Any]]:
        staged_values = {name: value for name, value in incoming.items() if not name.startswith("sys_")}
        links = {"sys_import_set": import_set.sys_id, "sys_import_row": str(index)}
        system = WriteContext(SYSTEM, call.origin)
        staged = self._instance.writer.insert(staging, staged_values | links, system)
        maps = [
            row
            for row in self._instance.store.scan("sys_transform_map")
            if row.get("source_table") == staging and row.get("active") == "true"
        ]
        if not maps:
            raise ApiError(500, "null value in entry: transform_map=null")
        maps.sort(key=lambda row: int(row.get("order") or "100"))
        outcomes = [self._transform(call, staged, map_row) for map_row in maps]
        first = outcomes[0]
        note = {
            "sys_import_state": first["status"],
            "sys_target_table": first["table"],
            "sys_target_sys_id": first.get("sys_id", ""),
            "sys_transform_map": maps[0].sys_id,
            "sys_row_error": first.get("error_message", ""),
        }
        self._instance.writer.update(staged, note, WriteContext(SYSTEM, call.origin))
        return outcomes

    def _transform(self, call: Call, staged: Row, map_row: Row) -> dict[str, Any]:
        """Run one map; what goes wrong is an outcome, not an error of the call."""
        target = map_row.get("target_table")
        outcome: dict[str, Any] = {"transform_map": map_row.get("name"), "table": target}
        if target not in self._instance.dictionary:
            return {**outcome, "status": "error", "error_message": f"Invalid table {target}"}
        values, coalesce = self._mapped(staged, map_row)
        context = write_context(self._instance, call)
        context.by_display = True
        existing = self._existing(target, values, coalesce)
        if existing is None and values.get("sys_id") and "sys_id" in coalesce:
            return {**outcome, "status": "error", "error_message": "Target record not found"}
        if not any(values.values()):
            return {**outcome, "status": "skipped", "status_message": "Row has no mapped value"}
        try:
            if existing is None:
                row = self._instance.writer.insert(target, values, context)
                status = "inserted"
            else:
                before = len(context.committed)
                row = self._instance.writer.update(existing, values, context)
                status = "updated" if len(context.committed) > before else "ignored"
        except ApiError as error:
            return {**outcome, "status": "error", "error_message": error.detail or error.message}
        return {**outcome, **self._target(call, target, row.sys_id), "status": status}

    def _mapped(self, staged: Row, map_row: Row) -> tuple[dict[str, str], list[str]]:
        values: dict[str, str] = {}
        coalesce = []
        copy_empty = map_row.get("copy_empty_fields") == "true"
        for entry in self._instance.store.scan("sys_transform_entry"):
            if entry.get("map") != map_row.sys_id:
                continue
            value = staged.get(entry.get("source_field"))
            if value or copy_empty:
                values[entry.get("target_field")] = value
            if entry.get("coalesce") == "true":
                coalesce.append(entry.get("target_field"))
        return values, coalesce

    def _existing(self, target: str, values: dict[str, str], coalesce: list[str]) -> Row | None:
        """The record that all coalesce fields find; without a value for one of them there is none."""
        if not coalesce or not all(values.get(name) for name in coalesce):
            return None
        store = self._instance.store
        indexed = store.lookup(target, coalesce[0], values[coalesce[0]])
        for row in indexed if indexed is not None else store.scan(target):
            if all(row.get(name).casefold() == values[name].casefold() for name in coalesce):
                return row
        return None

    def _target(self, call: Call, table: str, sys_id: str) -> dict[str, Any]:
        row = self._instance.store.get(table, sys_id)
        display = self._instance.dictionary.display_column(table)
        return {
            "display_name": display,
            "display_value": row.get(display) if row else "",
            "record_link": f"{call.base_url}/api/now/table/{table}/{sys_id}",
            "sys_id": sys_id,
        }
