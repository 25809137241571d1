"""The control API under ``/control``: what tests see and steer, apart from the instance's own addresses."""

from __future__ import annotations

from typing import Any

from local.servicenow.demo.platform import PROPERTIES
from local.servicenow.errors import ApiError
from local.servicenow.identity import SYSTEM
from local.servicenow.instance import Instance
from local.servicenow.writing import WriteContext
from local.simulator_kit import control
from local.simulator_kit.control import Endpoints, limit_of
from local.simulator_kit.scenarios import Scenario


class Control(control.Control):
    """The control API of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        super().__init__(instance)

    def more_endpoints(self) -> Endpoints:
        """What is peculiar to an instance."""
        return {
            ("GET", "settings"): (self._settings, "Every setting and instance property with its value."),
            ("PATCH", "settings"): (self._set_settings, "Change settings, and properties by name (glide.*)."),
            ("GET", "journal"): (self._journal, "What was committed; ?table=, ?limit= newest (1000)."),
            ("GET", "history/{id}"): (self._history, "What was committed to one record."),
            ("POST", "rows"): (
                self._insert,
                'Insert many rows as the system, {"table": "incident", "rows": [{...}]}; time stamps may be given.',
            ),
            ("GET", "violations"): (
                self._violations,
                "Writes on closed tickets, and rows that share a correlation_id.",
            ),
        }

    def more_help(self) -> dict[str, Any]:
        """The instance properties that are known."""
        return {"properties": PROPERTIES}

    def shown_settings(self) -> dict[str, Any]:
        """Settings, and instance properties."""
        properties = {row.get("name"): row.get("value") for row in self._instance.store.scan("sys_properties")}
        return super().shown_settings() | {"properties": properties}

    def change_settings(self, changes: dict[str, Any]) -> None:
        """Change settings, and instance properties (names with a dot)."""
        self._instance.change_settings(changes)

    def clock_moved(self) -> None:
        """Jobs may be due."""
        self._instance.clock_moved()

    def scenarios_cleared(self) -> None:
        """Hidden rows are visible again."""
        self._instance.visibility.clear()

    def apply_now(self, scenario: Scenario, /) -> dict[str, Any]:
        """End grants; ``grants`` is how many."""
        tokens = self._instance.tokens
        if scenario.type == "expire_tokens":
            return {"grants": tokens.expire(scenario.params["which"])}
        if scenario.type != "revoke":
            return {}
        user = self._instance.accounts.user(scenario.match.user) if scenario.match.user else None
        ended = 0
        for token in tokens:
            if not scenario.match.user or (user is not None and token.user == user.sys_id):
                tokens.revoke(token.access)
                tokens.revoke(token.refresh)
                ended += 1
        return {"grants": ended}

    def _journal(self, _body: dict[str, Any], query: dict[str, str], _tail: str) -> Any:
        table, limit = query.get("table"), limit_of(query, 1000)
        entries = [entry for entry in self._instance.journal.entries if not table or entry.table == table]
        return {"total": len(entries), "journal": [entry.as_json() for entry in entries[-limit:]] if limit else []}

    def _history(self, _body: dict[str, Any], _query: dict[str, str], tail: str) -> Any:
        return {"history": [entry.as_json() for entry in self._instance.journal.history(tail)]}

    def _insert(self, body: dict[str, Any], *_: Any) -> Any:
        table, rows = body.get("table"), body.get("rows")
        if not isinstance(table, str) or table not in self._instance.dictionary:
            raise ValueError("table: the name of a table")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("rows: a list of objects")
        context = WriteContext(SYSTEM, suppress_auto=True)
        try:
            return {"sys_ids": [self._instance.writer.insert(table, row, context).sys_id for row in rows]}
        except ApiError as error:
            raise ValueError(f"a row was refused: {error.detail or error.message}") from error

    def _violations(self, *_: Any) -> Any:
        journal, store, dictionary = self._instance.journal, self._instance.store, self._instance.dictionary
        duplicates = [
            {
                "table": table,
                "correlation_id": key,
                "sys_ids": ids,
                "present": [sys_id for sys_id in ids if store.get(table, sys_id) is not None],
            }
            for table, key, ids in journal.duplicates()
            # Rows of staging tables may repeat a key: each is one attempt.
            if table in dictionary and dictionary.base(table) in ("task", "cmdb")
        ]
        return {
            "closed_writes": [entry.as_json() for entry in journal.closed_writes()],
            "duplicates": duplicates,
        }
