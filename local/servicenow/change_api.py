"""The Change Management API: ``/api/sn_chg_rest[/v1]/change``.

Source: ServiceNow docs, "Change Management API". Every field is ``{"display_value", "value"}`` (dates with
``display_value_internal``), parameters may be in the body or in the query, states may be given by name, creating
answers 200, and unknown fields are reported in ``__meta.ignoredFields``.
"""

from __future__ import annotations

from typing import Any

from local.servicenow.errors import ApiError, insufficient_rights, record_not_found
from local.servicenow.exchange import Call, result
from local.servicenow.instance import Instance
from local.servicenow.media import one_record, read_body
from local.servicenow.query.parser import Condition, Term, parse
from local.servicenow.reading import Reader
from local.servicenow.rendering import Shape
from local.servicenow.rules.change import possible_moves
from local.servicenow.store import Row
from local.servicenow.table_api import write_context
from local.servicenow.writing import WriteContext
from local.simulator_kit.calls import Answer

TABLE, TASK_TABLE = "change_request", "change_task"
#: Templates of standard changes are addressed by their record producers, not by the versions that changes refer to.
TEMPLATES = "std_change_record_producer"
DEFAULT_LIMIT = 500
_WHAT_FAILED = {"insert": "created", "update": "updated", "delete": "deleted"}


class ChangeApi:
    """Serves the calls; ``kind`` is the type in the path, empty for any."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def listing(self, call: Call, kind: str) -> Answer:
        """GET of changes."""
        return result(self._rows(call, TABLE, {"type": kind} if kind else {}))

    def create(self, call: Call, kind: str) -> Answer:
        """POST of a change."""
        return self._create(call, {"type": kind} if kind else {})

    def create_standard(self, call: Call, template_id: str) -> Answer:
        """POST of a standard change from a template."""
        template = self._instance.store.get(TEMPLATES, template_id)
        if template is None or template.get("active") != "true":
            raise record_not_found()
        fixed = {"type": "standard", "std_change_producer_version": template.get("current_version")}
        return self._create(call, fixed | {"short_description": template.get("name")}, keep=("short_description",))

    def templates(self, call: Call, template_id: str) -> Answer:
        """GET of the standard change templates, or of one."""
        if not template_id:
            return result(self._rows(call, TEMPLATES, {"active": "true"}))
        reader = self._instance.reader(call.user)
        return result(self._shown(reader, self._find(reader, TEMPLATES, template_id)))

    def models(self, call: Call) -> Answer:
        """GET of the change models."""
        return result(self._rows(call, "chg_model", {"active": "true"}))

    def one(self, call: Call, change_id: str) -> Answer:
        """GET of a change."""
        reader = self._instance.reader(call.user)
        return self._answer(self._shown(reader, self._find(reader, TABLE, change_id)))

    def change(self, call: Call, change_id: str) -> Answer:
        """PATCH of a change."""
        reader = self._instance.reader(call.user)
        return self._update(call, self._find(reader, TABLE, change_id), self._fields(call))

    def delete(self, call: Call, change_id: str) -> Answer:
        """DELETE of a change: 204."""
        return self._delete(call, TABLE, change_id)

    def next_states(self, call: Call, change_id: str) -> Answer:
        """GET of the states a change may be moved to, and of the transitions that are known."""
        row = self._find(self._instance.reader(call.user), TABLE, change_id)
        labels = self._instance.dictionary.choice_labels(TABLE, "state")
        state = row.get("state")
        moves = possible_moves(row)
        transitions = [
            [
                {
                    "sys_id": f"{row.sys_id[:24]}{index:08d}",
                    "display_value": f"{labels.get(state, state)} to {labels.get(target, target)}",
                    "from_state": state,
                    "to_state": target,
                    "transition_available": available,
                    "automatic_transition": False,
                    "conditions": [],
                }
            ]
            for index, (target, available) in enumerate(moves.items())
        ]
        available = [state, *(target for target, open_now in moves.items() if open_now)]
        shown = {value: labels.get(value, value) for value in (state, *moves)}
        payload = {"available_states": available, "state_transitions": transitions, "state_label": shown}
        return result(payload)

    def approve(self, call: Call, change_id: str) -> Answer:
        """PATCH of the caller's approval: ``{"state": "approved"|"rejected", "comments": ""}``."""
        decision = str(one_record(read_body(call)).get("state", ""))
        if decision not in ("approved", "rejected"):
            raise ApiError(400, "Invalid state value", "state must be approved or rejected")
        reader = self._instance.reader(call.user)
        row = self._find(reader, TABLE, change_id)
        pending = self._instance.store.lookup("sysapproval_approver", "sysapproval", row.sys_id) or []
        for approval in pending:
            if approval.get("state") == "requested" and approval.get("approver") == call.user.sys_id:
                self._instance.writer.update(approval, {"state": decision}, write_context(self._instance, call))
                return self._answer(self._shown(reader, self._find(reader, TABLE, row.sys_id)))
        raise ApiError(400, "No approval of this change is requested from the user", "")

    def conflict(self, call: Call, change_id: str) -> Answer:
        """POST starts the conflict check, GET tells its outcome, DELETE cancels it."""
        reader = self._instance.reader(call.user)
        row = self._find(reader, TABLE, change_id)
        if call.method == "GET":
            status = row.get("conflict_status")
            payload = {"status": status, "last_run": row.get("conflict_last_run"), "record_count": "0"}
            return result({**payload, "job_status": "0" if status == "Not Run" else "2", "conflicts": []})
        found = {"conflict_status": "Not Run", "conflict_last_run": ""}
        if call.method == "POST":
            found = {"conflict_status": "No Conflict", "conflict_last_run": self._instance.clock.text()}
        self._instance.writer.update(row, found, write_context(self._instance, call))
        return result(row.sys_id) if call.method == "POST" else Answer(204)

    # Tasks of a change

    def tasks(self, call: Call, change_id: str) -> Answer:
        """GET of a change's tasks."""
        change = self._find(self._instance.reader(call.user), TABLE, change_id)
        return result(self._rows(call, TASK_TABLE, {"change_request": change.sys_id}))

    def create_task(self, call: Call, change_id: str) -> Answer:
        """POST of a task for a change."""
        change = self._find(self._instance.reader(call.user), TABLE, change_id)
        fixed = {"change_request": change.sys_id, "parent": change.sys_id}
        return self._insert(call, TASK_TABLE, self._fields(call) | fixed)

    def task(self, call: Call, change_id: str, task_id: str) -> Answer:
        """GET or PATCH of a task of that change, DELETE: 204."""
        reader = self._instance.reader(call.user)
        change = self._find(reader, TABLE, change_id)
        row = self._find(reader, TASK_TABLE, task_id)
        if row.get("change_request") != change.sys_id:
            raise record_not_found()
        if call.method == "DELETE":
            return self._delete(call, TASK_TABLE, task_id)
        if call.method == "PATCH":
            return self._update(call, row, self._fields(call))
        return self._answer(self._shown(reader, row))

    # What they share

    def _fields(self, call: Call) -> dict[str, Any]:
        """Fields of the body and of the query."""
        fields = {name: value for name, value in call.params if not name.startswith("sysparm_")}
        return fields | one_record(read_body(call))

    def _rows(self, call: Call, table: str, fixed: dict[str, str]) -> list[dict[str, Any]]:
        if not self._instance.access.may(call.user, "read", table):
            raise insufficient_rights()
        reader = self._instance.reader(call.user)
        query = parse(call.param("sysparm_query"))
        plain = fixed | {name: value for name, value in call.params if not name.startswith("sysparm_")}
        terms: list[list[Term]] = [[Condition(name, "=", value)] for name, value in plain.items()]
        query.groups = [group + terms for group in query.groups]
        offset = max(0, call.number("sysparm_offset", 0))
        limit = max(0, call.number("sysparm_limit", DEFAULT_LIMIT))
        rows = reader.select(table, query)[offset : offset + limit]
        return [self._shown(reader, row) for row in rows if reader.may_see(row)]

    def _find(self, reader: Reader, table: str, sys_id: str) -> Row:
        row = reader.find(table, sys_id)
        if row is None:
            raise record_not_found()
        return row

    def _create(self, call: Call, fixed: dict[str, str], keep: tuple[str, ...] = ()) -> Answer:
        fields = self._fields(call)
        forced = {name: value for name, value in fixed.items() if name not in keep or not fields.get(name)}
        return self._insert(call, TABLE, fields | forced)

    def _context(self, call: Call, fields: dict[str, Any], table: str) -> WriteContext:
        """Names of states and of other choices count as their values."""
        for name, value in fields.items():
            column = self._instance.dictionary.column(table, name)
            if column is not None and column.choice and isinstance(value, str):
                labels = self._instance.dictionary.choice_labels(table, name)
                named = {label.casefold(): key for key, label in labels.items()}
                fields[name] = named.get(value.casefold(), value)
        return write_context(self._instance, call)

    def _insert(self, call: Call, table: str, fields: dict[str, Any]) -> Answer:
        context = self._context(call, fields, table)
        try:
            row = self._instance.writer.insert(table, fields, context)
        except ApiError as error:
            raise _explained(error, "insert") from error
        return self._written(call, row, fields)

    def _update(self, call: Call, row: Row, fields: dict[str, Any]) -> Answer:
        context = self._context(call, fields, row.table)
        try:
            updated = self._instance.writer.update(row, fields, context)
        except ApiError as error:
            raise _explained(error, "update") from error
        return self._written(call, updated, fields)

    def _delete(self, call: Call, table: str, sys_id: str) -> Answer:
        row = self._find(self._instance.reader(call.user), table, sys_id)
        try:
            self._instance.writer.delete(row, write_context(self._instance, call))
        except ApiError as error:
            raise _explained(error, "delete") from error
        return Answer(204)

    def _written(self, call: Call, row: Row, fields: dict[str, Any]) -> Answer:
        shown = self._shown(self._instance.reader(call.user), row)
        known = self._instance.dictionary.columns(row.table)
        return self._answer({**shown, "__meta": {"ignoredFields": [name for name in fields if name not in known]}})

    def _answer(self, shown: dict[str, Any]) -> Answer:
        return result([shown] if self._instance.settings.change_api_array else shown)

    def _shown(self, reader: Reader, row: Row) -> dict[str, Any]:
        renderer = reader.renderer(Shape(display="all", exclude_link=True))
        shown = renderer.record(row, row.table, None)
        for name, column in self._instance.dictionary.columns(row.table).items():
            if column.is_date_time and name in shown:
                shown[name]["display_value_internal"] = shown[name]["display_value"]
        return shown


def _explained(error: ApiError, operation: str) -> ApiError:
    """This API puts the reason into the message."""
    if error.message != "Operation Failed":
        return error
    text = f"Change Request record could not be {_WHAT_FAILED[operation]}. {error.detail}"
    return ApiError(error.status, text, "")
