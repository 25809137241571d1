"""Identification and reconciliation of configuration items: which record an incoming item is, and what becomes of it.

Source: ServiceNow docs, "Identification and Reconciliation engine (IRE)": identifier entries are tried in order, the
data source must be a choice of ``discovery_source``, all attribute values are text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.servicenow.errors import ApiError
from local.servicenow.exchange import Call
from local.servicenow.instance import Instance
from local.servicenow.schema.describe import demo_id
from local.servicenow.store import Row
from local.servicenow.table_api import write_context

#: Identifier entries of every class, in order of preference.
IDENTIFIERS = (("object_id",), ("serial_number",), ("name",))


@dataclass(slots=True)
class Outcome:
    """What became of one item.

    ``row`` is None when it was refused or not written, ``identifier`` the sys_id of the identifier entry that decided.
    """

    class_name: str
    operation: str = ""
    row: Row | None = None
    identifier: str = ""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)

    def as_json(self, index: int) -> dict[str, Any]:
        """The item of an IRE answer."""
        shown: dict[str, Any] = {
            "className": self.class_name,
            "sysId": self.row.sys_id if self.row is not None else "Unknown",
            "identifierEntrySysId": self.identifier or "Unknown",
            "identificationAttempts": self.attempts,
            "errorCount": len(self.errors),
            "warningCount": 0,
            "inputIndices": [index],
            "mergedPayloadIds": [],
            "markers": [],
        }
        if self.operation:
            shown["operation"] = self.operation
        if self.errors:
            shown["errors"] = self.errors
        return shown


def require_text(attributes: dict[str, Any]) -> None:
    """Values that are no text break the engine.

    Raises:
        ApiError: 500, as the instance's own type error.
    """
    for value in attributes.values():
        if not isinstance(value, str):
            kind = "java.lang.Boolean" if isinstance(value, bool) else "java.lang.Double"
            if isinstance(value, (dict, list)) or value is None:
                kind = "org.mozilla.javascript.NativeObject"
            raise ApiError(500, f"class {kind} cannot be cast to class java.lang.String")


class Identification:
    """The engine of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def reconcile(
        self, call: Call, class_name: str, values: dict[str, Any], source: str, *, write: bool = True
    ) -> Outcome:
        """Find the item's record and update it, or insert one; ``write=False`` only says what would happen.

        Raises:
            ApiError: a value is no text, or the write is refused.
        """
        require_text(values)
        outcome = Outcome(class_name)
        if class_name not in self._instance.dictionary or self._instance.dictionary.base(class_name) != "cmdb":
            outcome.errors.append(_error("INVALID_INPUT_DATA", f"In payload invalid className [{class_name}] exists"))
            return outcome
        if source not in {choice.value for choice in self._instance.dictionary.choices("cmdb_ci", "discovery_source")}:
            text = (
                f"In payload invalid data source [{source}] exist. You need to provide a valid choice value from field "
                "[discovery_source] in table [cmdb_ci]"
            )
            outcome.errors.append(_error("INVALID_INPUT_DATA", text))
            return outcome
        found = self._identify(outcome, class_name, values)
        if outcome.errors:
            return outcome
        if found is None:
            outcome.operation = "INSERT"
            if write:
                fields = {**values, "discovery_source": source}
                outcome.row = self._instance.writer.insert(class_name, fields, write_context(self._instance, call))
            return outcome
        changed = any(found.get(name) != value for name, value in values.items())
        outcome.operation = "UPDATE" if changed else "NO_CHANGE"
        outcome.row = found
        if write and changed:
            outcome.row = self._instance.writer.update(found, values, write_context(self._instance, call))
        return outcome

    def _identify(self, outcome: Outcome, class_name: str, values: dict[str, Any]) -> Row | None:
        usable = False
        for attributes in IDENTIFIERS:
            attempt: dict[str, Any] = {
                "identifierName": f"{class_name} rule",
                "attributes": list(attributes),
                "searchOnTable": class_name,
            }
            outcome.attempts.append(attempt)
            if not all(values.get(name) for name in attributes):
                attempt["attemptResult"] = "SKIPPED"
                continue
            usable = True
            outcome.identifier = demo_id("cmdb_identifier_entry", f"{class_name}:{','.join(attributes)}")
            matches = [
                row
                for row in self._instance.store.scan(class_name)
                if all(row.get(name).casefold() == str(values[name]).casefold() for name in attributes)
            ]
            attempt["attemptResult"] = "MATCHED" if len(matches) == 1 else "MULTI_MATCH" if matches else "NO_MATCH"
            if matches:
                return matches[0]
        if not usable:
            names = ", ".join(name for attributes in IDENTIFIERS for name in attributes)
            text = f"In payload missing minimum set of input values for criterion (matching) attributes: [{names}]"
            outcome.errors.append(_error("MISSING_MATCHING_ATTRIBUTES", text))
        return None

    def relate(self, call: Call, parent: str, child: str, kind: str, *, write: bool = True) -> str:
        """Make sure two items are related; the operation that took: INSERT or NO_CHANGE."""
        for row in self._instance.store.scan("cmdb_rel_ci"):
            if (row.get("parent"), row.get("child"), row.get("type")) == (parent, child, kind):
                return "NO_CHANGE"
        if write:
            values = {"parent": parent, "child": child, "type": kind}
            self._instance.writer.insert("cmdb_rel_ci", values, write_context(self._instance, call))
        return "INSERT"

    def relation_type(self, name_or_id: str) -> str:
        """sys_id of a relation type given by its name or sys_id; empty when there is none."""
        for row in self._instance.store.scan("cmdb_rel_type"):
            if name_or_id in (row.sys_id, row.get("name")):
                return row.sys_id
        return ""


def _error(code: str, message: str) -> dict[str, str]:
    return {"error": code, "message": message}
