"""Checks one table for what the configuration writes into it: columns, lengths, choices, references, states. For
changes also: the Change Management API, and the template of standard changes.

Sources: ServiceNow docs, "sys_dictionary", "sys_choice" and "sys_db_object" (tables inherit columns and choices; a
table's own choices for a column replace the inherited ones as a whole).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.servicenow import dictionary
from connectors.servicenow.change_management import BASE
from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.references import References
from connectors.servicenow.settings import Change
from connectors.servicenow.tables import LIMITS, TEMPLATE_FIELD, TEMPLATES, TicketTable
from connectors.servicenow.wire import Purpose, WireCall, is_sys_id, list_call, shorten, value
from shared.core.errors import Refused, TicketSystemError

Constants = Mapping[str, frozenset[str]]

_READ = ("sys_id", "number", "state", "active", "correlation_id")

#: Columns that polling for changes needs besides.
_POLLED = ("correlation_display", "sys_updated_on", "sys_mod_count")
_API = "change_request: change api"
_TEMPLATE = "change_request: template"

_ALWAYS = ("correlation_id", "correlation_display", "state", "work_notes", "parent")


class TableCheck:
    """The check of one table."""

    def __init__(self, client: Client, table: TicketTable, references: References, report: CheckReport) -> None:
        self._client = client
        self._table = table
        self._references = references
        self._report = report

    async def run(self, fields: Constants) -> None:
        """Add this table's lines. ``fields``: what routes write, with the constants among the values."""
        if not await self._readable():
            return
        wanted = self._constants(fields)
        lineage = await dictionary.lineage(self._client, self._table.name)
        columns = await self._columns(lineage, wanted)
        await self._choices(lineage, wanted, columns)
        for name in sorted(wanted):
            if self._references.is_reference(name):
                await self._reference(name, wanted[name])

    def _line(self, what: str) -> str:
        return f"{self._table.name}: {what}"

    def _constants(self, fields: Constants) -> dict[str, frozenset[str]]:
        """The constants by field, with the connector's closing values where the routes give none."""
        wanted = {name: frozenset(v for v in values if v.strip()) for name, values in fields.items()}
        for name, text in self._table.closing.items():
            wanted.setdefault(name, frozenset({text} if not name.endswith("notes") else ()))
        for name in _ALWAYS:
            wanted.setdefault(name, frozenset())
        wanted["state"] = frozenset(self._table.value(text) for text in wanted["state"])
        wanted["state"] |= {self._table.resolved, self._table.reopened, *self._table.closed, *self._table.steps}
        return wanted

    async def _readable(self) -> bool:
        line = self._line("read")
        try:
            found = await self._client.call(
                list_call(self._table.name, "ORDERBYDESCsys_created_on", (*_READ, *_POLLED), 1)
            )
        except TicketSystemError as error:
            self._report.error(line, error)
            return False
        hidden = [name for name in _READ if found and value(found[0], name) is None]
        if hidden:
            self._report.failed(
                line,
                f"the user cannot read {', '.join(hidden)}",
                "Allow the integration user to read these fields: without them no ticket can be followed.",
            )
        elif not found:
            self._report.warning(
                line, "no record is visible: the table is empty, or access rules hide every record from the user"
            )
        else:
            self._report.ok(line, "records can be read")
        unreadable = [name for name in _POLLED if found and value(found[0], name) is None]
        if unreadable:
            self._report.warning(
                self._line("changes"),
                f"the user cannot read {', '.join(unreadable)}: what people change in ServiceNow does not come back",
                "Allow the integration user to read these fields.",
            )
        return True

    async def _columns(self, lineage: list[str], wanted: Constants) -> dict[str, Mapping[str, Any]]:
        """The dictionary's entries for the fields that are written."""
        line = self._line("fields")
        reason = "the instance shows none of its dictionary"
        try:
            found = await dictionary.columns(self._client, lineage, wanted)
        except TicketSystemError as error:
            found, reason = {}, str(error)
        if not found:
            self._report.warning(
                line,
                f"the columns cannot be checked: {shorten(reason, 200)}",
                "Give the integration user the role personalize_dictionary for the check.",
            )
            return {}
        missing = sorted(name for name in wanted if name not in found)
        if missing:
            self._report.failed(
                line,
                f"the table has no {', '.join(missing)}; values for them would be ignored in silence",
                "Correct the names in the routes, or take them out.",
            )
        fixed = sorted(
            name for name in wanted if name in found and value(found[name], "read_only") == "true" and name != "state"
        )
        if fixed:
            self._report.warning(
                line, f"read-only for integrations: {', '.join(fixed)}", "Take them out of the routes."
            )
        if not missing and not fixed:
            self._report.ok(line, "every field that is written exists")
        self._length(found)
        self._unresolved(found, wanted)
        return found

    def _length(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        line, needed = self._line("correlation_id"), LIMITS["correlation_id"]
        length = value(found.get("correlation_id", {}), "max_length") or ""
        if not length.isdecimal():
            return
        if int(length) < needed:
            self._report.failed(
                line,
                f"holds {length} characters; keys have up to {needed} and would be cut, and never found again",
                f"Raise the column's length to {needed} on table task.",
            )
        else:
            self._report.ok(line, f"holds {length} characters")

    def _unresolved(self, found: Mapping[str, Mapping[str, Any]], wanted: Constants) -> None:
        """Reference fields that get names although nothing says how to find them."""
        for name, entry in found.items():
            if value(entry, "internal_type") != "reference" or self._references.is_reference(name):
                continue
            if any(not is_sys_id(text) for text in wanted.get(name, ())):
                self._report.failed(
                    self._line(name),
                    f"refers to {value(entry, 'reference') or 'another table'}, and the routes write a name",
                    "Add it to 'references' of the connection, or write the sys_id.",
                )

    async def _choices(self, lineage: list[str], wanted: Constants, columns: Mapping[str, Mapping[str, Any]]) -> None:
        """Constants that are not among the choices of their field."""
        elements = sorted(
            name
            for name, constants in wanted.items()
            if constants and not self._references.is_reference(name) and dictionary.is_column(name)
            if not columns or name in columns
        )
        query = f"nameIN{','.join(lineage)}^elementIN{','.join(elements)}^language=en^inactive=false"
        reason = "the instance shows none of its choices"
        try:
            listed = await self._client.call(
                list_call("sys_choice", query, ["name", "element", "value", "label"], 2000)
            )
        except TicketSystemError as error:
            listed, reason = [], str(error)
        if not any(value(row, "element") == "state" for row in listed):
            self._report.warning(
                self._line("choices"),
                f"states and other choices cannot be checked: {shorten(reason, 200)}",
                "Give the integration user the role personalize_choices for the check.",
            )
            return
        for element in elements:
            self._choice(element, wanted[element], _choices_of(listed, lineage, element))

    def _choice(self, element: str, constants: frozenset[str], choices: Mapping[str, str]) -> None:
        if not choices:
            return  # a field for free text
        line = self._line(element)
        unknown = sorted(text for text in constants if text not in choices)
        if not unknown:
            self._report.ok(line, f"knows {', '.join(sorted(constants))}")
            return
        offered = ", ".join(f"{text} ({label})" if text != label else text for text, label in choices.items())
        labels = {label.casefold(): text for text, label in choices.items()}
        meant = [f"'{labels[text.casefold()]}' for '{text}'" for text in unknown if text.casefold() in labels]
        where = "'states' of the connection" if element == "state" else "the routes"
        self._report.failed(
            line,
            f"does not know {', '.join(unknown)}; it has {shorten(offered, 400)}",
            f"Write {', '.join(meant)}: the value, not the label." if meant else f"Set one of its values in {where}.",
        )

    async def _reference(self, name: str, constants: frozenset[str]) -> None:
        line = self._line(name)
        for text in sorted(constants):
            try:
                found = await self._references.resolve(name, text)
            except TicketSystemError as error:
                self._report.error(line, error)
                return
            if found is None:
                self._report.failed(
                    line,
                    f"no single active record of {self._references.table_of(name)} matches '{text}'; "
                    "tickets would be made without it",
                    "Correct the name in the routes, or allow the integration user to read that table.",
                )
            else:
                self._report.ok(line, f"'{text}' is known")


def _choices_of(listed: list[Any], lineage: list[str], element: str) -> dict[str, str]:
    """Label by value, of the nearest table that has choices of its own for the field."""
    for table in lineage:
        own = {
            value(row, "value") or "": value(row, "label") or ""
            for row in listed
            if value(row, "name") == table and value(row, "element") == element
        }
        if own:
            return own
    return {}


class ChangeCheck:
    """The check of the setting ``change`` of the connection."""

    def __init__(self, client: Client, settings: Change, references: References, report: CheckReport) -> None:
        self._client = client
        self._settings = settings
        self._references = references
        self._report = report

    async def run(self) -> None:
        """Add the lines; none where changes are inserted into the table without a template."""
        if self._settings.api == "change_management":
            await self._api()
        if self._settings.template is not None:
            await self._template(self._settings.template)

    async def _api(self) -> None:
        try:
            await self._client.call(WireCall("GET", BASE, Purpose.LIST, {"sysparm_limit": "1"}))
        except TicketSystemError as error:
            self._report.error(_API, error)
        else:
            self._report.ok(_API, "the Change Management API answers")

    async def _template(self, template: str) -> None:
        try:
            found = await self._references.resolve(TEMPLATE_FIELD, template)
        except TicketSystemError as error:
            self._report.error(_TEMPLATE, error)
            return
        if found is None:
            self._report.failed(
                _TEMPLATE,
                f"no single template of standard changes is called '{template}'",
                f"Correct 'template' under 'change', or let the integration user read {TEMPLATES}.",
            )
            return
        if self._settings.api == "change_management":
            try:
                await self._client.call(WireCall("GET", f"{BASE}/standard/template/{found}", Purpose.RECORD))
            except Refused as error:
                self._report.failed(
                    _TEMPLATE,
                    f"the Change Management API has no template '{template}': {error.message}",
                    f"Name an active template of {TEMPLATES} under 'change', and let the integration user read it.",
                )
                return
            except TicketSystemError as error:
                self._report.error(_TEMPLATE, error)
                return
        self._report.ok(_TEMPLATE, f"'{template}' is known")
