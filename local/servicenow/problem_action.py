"""Moves a problem by the state model's own action, as scripted endpoints of integrations do.

Through the Table API a state write may be ignored or aborted (setting ``problem_transitions``); integrations such as
the certified Ansible collection therefore install ``PATCH /api/<namespace>/.../{number}/new_state/{state}``.
"""

from __future__ import annotations

from local.servicenow.errors import record_not_found
from local.servicenow.exchange import Call, result
from local.servicenow.instance import Instance
from local.servicenow.media import one_record, read_body
from local.servicenow.table_api import shape, write_context
from local.simulator_kit.calls import Answer

_PATH = ("101", "102", "103", "104", "106")


class ProblemAction:
    """Serves the endpoint."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def walk(self, call: Call, sys_id: str) -> Answer:
        """The resource that docs/servicenow.md gives to paste: go to the state in the body step by step.

        One update per step, with the other fields in the first; a state that lies behind is entered at once.
        """
        reader = self._instance.reader(call.user)
        row = reader.find("problem", sys_id)
        if row is None or row.get("correlation_display") != "Azure ITSM Bridge":
            raise record_not_found()
        given = one_record(read_body(call))
        target, here = str(given.pop("state", "")), row.get("state")
        ahead = _PATH[_PATH.index(here) + 1 : _PATH.index(target) + 1] if here in _PATH and target in _PATH else []
        call.operation = "update"
        context = write_context(self._instance, call)
        context.by_action = True
        for state in ahead or [target]:
            row = self._instance.writer.update(row, {**given, "state": state}, context)
            given = {}
        shown = ("sys_id", "number", "state", "active", "correlation_id")
        return result({name: row.sys_id if name == "sys_id" else row.get(name) for name in shown})

    def move(self, call: Call, key: str, state: str) -> Answer:
        """Set fields of the body and the state; ``key`` is a number or sys_id, ``state`` a value or a label."""
        reader = self._instance.reader(call.user)
        by_number = self._instance.store.lookup("problem", "number", key) or []
        row = reader.find("problem", by_number[0].sys_id if by_number else key)
        if row is None:
            raise record_not_found()
        labels = self._instance.dictionary.choice_labels("problem", "state")
        values = {label.casefold().replace(" ", "_"): value for value, label in labels.items()}
        incoming = one_record(read_body(call))
        incoming["state"] = values.get(state.casefold(), state)
        call.operation = "update"
        context = write_context(self._instance, call)
        context.by_action = True
        updated = self._instance.writer.update(row, incoming, context)
        return result(reader.renderer(shape(call, "")).record(updated, "problem", None))
