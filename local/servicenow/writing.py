"""Writing rows as a user: access rules, input values, business rules, system columns, one commit."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from local.servicenow.commits import Change, Origin
from local.servicenow.errors import ApiError, acl_refusal
from local.servicenow.identity import Identity
from local.servicenow.inputs import Inputs, as_text
from local.servicenow.reading import Reader, Services
from local.servicenow.rules import engine
from local.servicenow.rules.draft import Draft, FollowUp
from local.servicenow.rules.scripts import AbortRules
from local.servicenow.schema.model import JOURNALS, Column
from local.servicenow.store import Row
from local.servicenow.stored_time import parse_stored, to_stored

_HEX32 = re.compile(r"[0-9a-fA-F]{32}")
#: System columns a client may set only with sysparm_suppress_auto_sys_field.
_AUTO = frozenset({"sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count"})
_LARGEST_CASCADE = 500

#: Unique indexes of the base system: columns by table. An item is listed once on each task.
_UNIQUE: dict[str, tuple[str, ...]] = {"task_ci": ("task", "ci_item")}


@dataclass(slots=True)
class WriteContext:
    """How a write is to be done.

    ``by_display``, ``suppress_auto``: the parameters of those names; ``by_action``: a state model's own action writes;
    ``run_rules`` is False for the bulk insert of events.
    ``drop`` and ``overwrite`` are set by scenarios (fields silently ignored, or replaced after the rules ran), ``skew``
    shifts the time stamps by seconds, ``delay`` makes the commit visible that many seconds late. ``committed`` collects
    what was written, ``touched`` the rows of the commit under way: a rule does not write a row twice.
    """

    identity: Identity
    origin: Origin = field(default_factory=Origin)
    by_display: bool = False
    suppress_auto: bool = False
    by_action: bool = False
    run_rules: bool = True
    drop: frozenset[str] = frozenset()
    overwrite: dict[str, str] = field(default_factory=dict)
    skew: float = 0.0
    delay: float = 0.0
    committed: list[Change] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


class Committer(Protocol):
    """The instance, as far as writing needs it."""

    def commit(self, changes: list[Change], user: str, origin: Origin) -> None:
        """Apply changes at once, journal and keep them."""
        ...

    def next_number(self, table: str) -> str:
        """A fresh record number."""
        ...


class Writer:
    """Writes rows of one instance."""

    def __init__(self, services: Services, committer: Committer) -> None:
        self._services = services
        self._world = services.world
        self._committer = committer
        self._abort_rules = AbortRules()

    def insert(self, table: str, incoming: dict[str, Any], context: WriteContext) -> Row:
        """Create a row.

        Raises:
            ApiError: refused by access rules, business rules or the database; nothing was written then.
        """
        if not self._services.access.may(context.identity, "create", table):
            raise acl_refusal("Insert")
        context.touched.clear()
        changes = self._insert(table, incoming, context)
        self._commit(changes, context)
        return changes[0].row

    def update(self, row: Row, incoming: dict[str, Any], context: WriteContext) -> Row:
        """Change the given columns; writing what is there already changes nothing and is no commit.

        Raises:
            ApiError: refused by access rules or business rules; nothing was written then.
        """
        access = self._services.access
        if not access.may(context.identity, "write", row.table):
            raise acl_refusal("Update")
        if not access.may_write_row(context.identity, row):
            if self._world.settings.closed_write == "refuse":
                raise acl_refusal("Update")
            return row
        context.touched.clear()
        # What the user saw may be older than what is stored (late commits): write on top of the latter.
        changes = self._update(self._world.store.get(row.table, row.sys_id) or row, incoming, context)
        if not changes:
            return row
        self._commit(changes, context)
        return changes[0].row

    def delete(self, row: Row, context: WriteContext) -> None:
        """Delete a row.

        Raises:
            ApiError: refused by access rules or business rules; nothing was deleted then.
        """
        if not self._services.access.may(context.identity, "delete", row.table):
            raise acl_refusal("Delete")
        draft = Draft(row.table, dict(row.values), row, context.identity, "", self._world)
        self._abort_rules.check(draft, "delete", Reader(self._services, context.identity))
        self._commit([Change(row, None)], context)

    def _commit(self, changes: list[Change], context: WriteContext) -> None:
        self._committer.commit(changes, context.identity.user_name, context.origin)
        context.committed.extend(changes)
        if context.delay:
            for change in changes:
                if change.after is not None:
                    self._services.visibility.delay(change.after, change.before, context.delay)

    def _now(self, context: WriteContext) -> str:
        now = self._services.clock.text()
        if not context.skew:
            return now
        when = parse_stored(now)
        return to_stored(when.fromtimestamp(when.timestamp() + context.skew, when.tzinfo)) if when else now

    def _insert(self, table: str, incoming: dict[str, Any], context: WriteContext) -> list[Change]:
        columns = self._world.dictionary.columns(table)
        now = self._now(context)
        draft = Draft(table, {}, None, context.identity, now, self._world, by_action=context.by_action)
        draft.values.update((name, column.default) for name, column in columns.items() if column.default)
        if "opened_at" in columns:
            draft.set(opened_at=now, opened_by=context.identity.sys_id)
        self._take(draft, incoming, context)
        sys_id = self._choose_id(incoming)
        if "number" in columns and not draft.get("number"):
            draft.set(number=self._committer.next_number(table))
        if "task_effective_number" in columns:
            draft.set(task_effective_number=draft.get("number"))
        if "sys_class_name" in columns:
            draft.set(sys_class_name=table)
        draft.values["sys_id"] = sys_id
        if context.run_rules:
            engine.before(draft)
            self._abort_rules.check(draft, "insert", Reader(self._services, context.identity))
        draft.values.update(context.overwrite)
        if self._world.store.taken(table, sys_id) or self._violates_unique_index(table, draft):
            raise self._duplicate(table, draft)
        user = context.identity.user_name
        stamps = {
            "sys_created_on": now,
            "sys_created_by": user,
            "sys_updated_on": now,
            "sys_updated_by": user,
            "sys_mod_count": "0",
        }
        given = self._given_stamps(incoming, context)
        draft.values.update(stamps | given)
        self._hash_password(draft, columns)
        return self._finish(draft, None, context)

    def _update(self, row: Row, incoming: dict[str, Any], context: WriteContext) -> list[Change]:
        now = self._now(context)
        values = dict(row.values)
        draft = Draft(row.table, values, row, context.identity, now, self._world, by_action=context.by_action)
        self._take(draft, incoming, context)
        if draft.values == row.values and not draft.notes and not context.overwrite:
            return []
        engine.before(draft)
        self._abort_rules.check(draft, "update", Reader(self._services, context.identity))
        draft.values.update(context.overwrite)
        given = self._given_stamps(incoming, context)
        if draft.values == row.values and not draft.notes and not given:
            return []
        draft.values.update(
            sys_updated_on=now,
            sys_updated_by=context.identity.user_name,
            sys_mod_count=str(int(row.get("sys_mod_count") or "0") + 1),
        )
        if context.suppress_auto and context.identity.is_admin:
            draft.values.update({name: row.get(name) for name in _AUTO})
        draft.values.update(given)
        self._hash_password(draft, self._world.dictionary.columns(row.table))
        return self._finish(draft, row, context)

    def _take(self, draft: Draft, incoming: dict[str, Any], context: WriteContext) -> None:
        """Move what was sent into the draft: unknown columns are ignored, and so are those that may not be written."""
        columns = self._world.dictionary.columns(draft.table)
        access = self._services.access
        reader = Reader(self._services, context.identity)
        inputs = Inputs(self._world.dictionary, self._world.store, self._world.settings, reader.named)
        for name, value in incoming.items():
            column = columns.get(name)
            if column is None or column.read_only or name in context.drop:
                continue
            if not access.may_write_field(context.identity, draft.table, name):
                continue
            if column.virtual:
                text = as_text(value)
                if text and column.type in JOURNALS and name != "comments_and_work_notes":
                    draft.notes[name] = text
                    draft.given.add(name)
                continue
            stored = inputs.read(draft.table, column, value, context.identity, context.by_display)
            if stored is not None:
                draft.values[name] = stored
                draft.given.add(name)

    def _given_stamps(self, incoming: dict[str, Any], context: WriteContext) -> dict[str, str]:
        if not context.suppress_auto or not context.identity.is_admin:
            return {}
        given = {name: text for name in _AUTO & incoming.keys() if (text := as_text(incoming[name]))}
        if not given.get("sys_mod_count", "0").isdecimal():
            del given["sys_mod_count"]
        return given

    def _choose_id(self, incoming: dict[str, Any]) -> str:
        wanted = incoming.get("sys_id")
        if self._world.settings.honour_client_sys_id and isinstance(wanted, str) and _HEX32.fullmatch(wanted):
            return wanted
        return new_id()

    def _hash_password(self, draft: Draft, columns: dict[str, Column]) -> None:
        for name in draft.given:
            if columns[name].type == "password":
                draft.values[name] = Inputs.password(draft.values["sys_id"], draft.get(name))

    def _violates_unique_index(self, table: str, draft: Draft) -> bool:
        columns = _UNIQUE.get(table)
        if columns is None:
            return False
        wanted = [draft.get(name) for name in columns]
        return any([row.get(name) for name in columns] == wanted for row in self._world.store.scan(table))

    def _duplicate(self, table: str, draft: Draft) -> ApiError:
        name = self._world.dictionary.display_column(table)
        status = int(self._world.settings.duplicate_key_status)
        display = draft.get(name) or draft.values["sys_id"]
        return ApiError(status, "Operation Failed", f"Error during insert of {table} ({display})")

    def _finish(self, draft: Draft, before: Row | None, context: WriteContext) -> list[Change]:
        """The change itself, its journal entries, and whatever the rules make of it on other records."""
        row = Row(draft.table, draft.values)
        changes = [Change(before, row, dict(draft.notes))]
        changes += [Change(None, self._journal_row(row, name, text, draft)) for name, text in draft.notes.items()]
        context.touched.add(row.sys_id)
        engine.after(draft, row.sys_id)
        for follow_up in draft.follow_ups:
            changes += self._follow(follow_up, context, len(changes))
        return changes

    def _follow(self, follow_up: FollowUp, context: WriteContext, so_far: int) -> list[Change]:
        if so_far > _LARGEST_CASCADE:
            raise ApiError(500, "Operation Failed", "Business rules recursed too deeply")
        # Rules run in the user's session, but above the user's rights.
        above = replace(context.identity, roles=context.identity.roles | {"admin"}, method="system")
        inner = replace(
            context, identity=above, by_display=False, by_action=True, drop=frozenset(), overwrite={}, committed=[]
        )
        if not follow_up.sys_id:
            return self._insert(follow_up.table, dict(follow_up.values), inner)
        row = self._world.store.get(follow_up.table, follow_up.sys_id)
        if row is None or row.sys_id in context.touched:
            return []
        return self._update(row, dict(follow_up.values), inner)

    def _journal_row(self, row: Row, name: str, text: str, draft: Draft) -> Row:
        user = draft.identity.user_name
        return Row(
            "sys_journal_field",
            {
                "sys_id": new_id(),
                "name": row.table,
                "element": name,
                "element_id": row.sys_id,
                "value": text,
                "sys_created_on": draft.now,
                "sys_created_by": user,
                "sys_updated_on": draft.now,
                "sys_updated_by": user,
                "sys_mod_count": "0",
            },
        )


def new_id() -> str:
    """A fresh sys_id."""
    return os.urandom(16).hex()
