"""Reading rows as a user: access rules, visibility, encoded queries, display values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from local.servicenow.access import Access
from local.servicenow.displays import Displays
from local.servicenow.errors import insufficient_rights
from local.servicenow.identity import Identity
from local.servicenow.properties import Properties
from local.servicenow.query.dates import Sandbox
from local.servicenow.query.evaluate import Compiler, Plan
from local.servicenow.query.parser import Query, parse
from local.servicenow.rendering import Renderer, Shape
from local.servicenow.rules.draft import World
from local.servicenow.schema.model import Column
from local.servicenow.store import Row
from local.servicenow.visibility import Visibility
from local.simulator_kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of an instance that reading needs."""

    world: World
    access: Access
    clock: Clock
    properties: Properties
    visibility: Visibility


_NOTE_KINDS = {"work_notes": "Work notes", "comments": "Additional comments"}


class Reader:
    """Reads for one user at one moment; also the environment of query evaluation."""

    def __init__(self, services: Services, identity: Identity) -> None:
        self._services = services
        self._world = services.world
        self.identity = identity
        self.sandbox = Sandbox(
            services.clock.now(), identity.sys_id, identity.user_name, identity.groups, identity.zone
        )
        self.case_sensitive = services.world.settings.string_equality == "sensitive"
        self.displays = Displays(services.world.dictionary, services.world.store.get, identity)
        self._hidden_rows: dict[str, list[Plan]] = {}

    # The environment of queries

    def column(self, table: str, name: str) -> Column | None:
        """A column of the dictionary."""
        return self._world.dictionary.column(table, name)

    def readable(self, table: str, name: str) -> bool:
        """May the user see the field?"""
        return self._services.access.may_read_field(self.identity, table, name)

    def row(self, table: str, sys_id: str) -> Row | None:
        """A row by id, for dot-walking: references show whatever the row rules say."""
        return self._world.store.get(table, sys_id) if sys_id and table in self._world.dictionary else None

    def rows(self, table: str) -> Iterable[Row]:
        """Rows of a table, as visible now."""
        if table not in self._world.dictionary:
            return ()
        rows = self._world.store.scan(table)
        visibility = self._services.visibility
        if visibility.plain:
            return rows
        return (seen for row in rows if (seen := visibility.seen(row, self.identity)) is not None)

    def family(self, table: str) -> tuple[str, ...]:
        """The table and those that extend it."""
        return self._world.dictionary.family(table) if table in self._world.dictionary else ()

    def text(self, row: Row, column: Column) -> str:
        """Stored value; for journal columns every entry's text."""
        if not column.virtual:
            return row.get(column.name)
        return "\n".join(entry.get("value") for entry in self._entries(row, column.name))

    def display(self, row: Row, column: Column) -> str:
        """Display value."""
        return self.displays.of(row.table, column, row.get(column.name))

    # Reading for the APIs

    def find(self, table: str, sys_id: str) -> Row | None:
        """The row if it exists and the user may read it."""
        row = self._world.store.get(table, sys_id)
        if row is None:
            return None
        seen = self._services.visibility.seen(row, self.identity)
        return seen if seen is not None and self.may_see(seen) else None

    def may_see(self, row: Row) -> bool:
        """Table and row rules for reading."""
        access = self._services.access
        if not access.may(self.identity, "read", row.table):
            return False
        return not any(plan.matches(row) for plan in self._hidden(row.table))

    def _hidden(self, table: str) -> list[Plan]:
        plans = self._hidden_rows.get(table)
        if plans is None:
            queries = self._services.access.hidden_row_queries(self.identity, table)
            plans = [Compiler(self).plan(table, parse(query)) for query in queries]
            self._hidden_rows[table] = plans
        return plans

    def select(self, table: str, query: Query) -> list[Row]:
        """Rows that match, ordered, before the row rules are applied (paging and counting come before them).

        Raises:
            ApiError: 403 for a condition on a hidden field, when the settings say so.
        """
        plan = Compiler(self).plan(table, query)
        settings = self._world.settings
        if plan.hidden and settings.query_field_refusal == "forbid":
            raise insufficient_rights("Field(s) present in the query do not have permission to be read")
        if plan.dropped and self._services.properties.on("glide.invalid_query.returns_no_rows"):
            return []
        found = [row for row in self._candidates(table, plan) if plan.matches(row)]
        if plan.order:
            plan.sort(found)
        elif not settings.stable_order and len(found) > 1:
            shift = int(self._services.clock.timestamp() * 1000) % len(found)
            found = found[shift:] + found[:shift]
        return found

    def _candidates(self, table: str, plan: Plan) -> Iterable[Row]:
        """Rows an index offers when every alternative has an indexed equality, else all rows."""
        if not self._services.visibility.plain:
            return self.rows(table)
        chosen: dict[str, Row] = {}
        for equalities in plan.candidates:
            rows = self._indexed(table, equalities)
            if rows is None:
                return self.rows(table)
            chosen.update((row.sys_id, row) for row in rows)
        return chosen.values()

    def _indexed(self, table: str, equalities: list[tuple[str, list[str]]]) -> list[Row] | None:
        for column, values in equalities:
            found: list[Row] | None = []
            for value in values:
                rows = self._world.store.lookup(table, column, value)
                found = None if rows is None or found is None else found + rows
            if found is not None:
                return found
        return None

    def named(self, table: str, name: str) -> list[Row]:
        """Rows whose display value is this text."""
        if table not in self._world.dictionary:
            return []
        wanted = name.casefold()
        column = self._world.dictionary.display_column(table)
        indexed = self._world.store.lookup(table, column, name)
        rows = indexed if indexed is not None else self._world.store.scan(table)
        return [row for row in rows if row.get(column).casefold() == wanted]

    # Journals

    def _entries(self, row: Row, field: str) -> list[Row]:
        fields = ("work_notes", "comments") if field == "comments_and_work_notes" else (field,)
        entries = self._world.store.lookup("sys_journal_field", "element_id", row.sys_id) or []
        return [entry for entry in entries if entry.get("element") in fields]

    def notes(self, row: Row, column: Column) -> str:
        """Display text of a journal column: newest first, each entry under a line with time, name and kind.

        Source: ServiceNow docs, "Journal fields".
        """
        blocks = []
        for entry in reversed(self._entries(row, column.name)):
            author = self._world.store.lookup("sys_user", "user_name", entry.get("sys_created_by"))
            name = author[0].get("name") if author else ""
            kind = _NOTE_KINDS.get(entry.get("element"), entry.get("element"))
            head = (
                f"{self.displays.stamp(entry.get('sys_created_on'))} - {name or entry.get('sys_created_by')} ({kind})"
            )
            blocks.append(f"{head}\n{entry.get('value')}\n\n")
        return "".join(blocks)

    def renderer(self, shape: Shape) -> Renderer:
        """A renderer for this user."""
        readable = None if self.identity.is_admin or not self._world.settings.hidden_fields else self.readable
        return Renderer(self._world.dictionary, self.displays, shape, self._world.store.get, self.notes, readable)
