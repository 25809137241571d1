"""Business rules that administrators wrote: active ``sys_script`` rows that abort when their filter matches.

Scripts are JavaScript and are not run; what a rule does without a script is: a *before* rule with *Abort action* and a
filter condition (ServiceNow docs, "Business rules").
"""

from __future__ import annotations

from local.servicenow.errors import business_rule_abort
from local.servicenow.query.evaluate import Compiler, Environment
from local.servicenow.query.parser import parse
from local.servicenow.rules.draft import Draft
from local.servicenow.store import Row


class AbortRules:
    """The abort rules of an instance; the list is read again when application files change."""

    def __init__(self) -> None:
        self._version = -1
        self._rules: list[Row] = []

    def check(self, draft: Draft, operation: str, env: Environment) -> None:
        """Run the rules of the draft's table; ``operation``: insert, update or delete.

        Raises:
            ApiError: 403, aborted by the first rule that matches.
        """
        store = draft.world.store
        version = store.version("sys_script")
        if version != self._version:
            self._version = version
            self._rules = sorted(
                (row for row in store.scan("sys_script") if _aborts(row)),
                key=lambda row: int(row.get("order") or "100"),
            )
        lineage = draft.world.dictionary.lineage(draft.table)
        for rule in self._rules:
            if rule.get("collection") in lineage and rule.get(f"action_{operation}") == "true":
                row = Row(draft.table, draft.values)
                query = parse(rule.get("filter_condition"))
                plan = Compiler(env, previous=draft.previous).plan(draft.table, query)
                if plan.matches(row):
                    raise business_rule_abort(draft.table, rule.get("name"), rule.sys_id)


def _aborts(row: Row) -> bool:
    return row.get("active") == "true" and row.get("abort_action") == "true" and row.get("when") == "before"
