"""One simulated instance: its data, its rules, its journal, and the commit that ties them together."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.servicenow.access import Access
from local.servicenow.attachments import Attachments
from local.servicenow.authentication import Authentication
from local.servicenow.commits import Change, Entry, Journal, Origin
from local.servicenow.demo.build import base_dictionary, base_rows
from local.servicenow.dictionary_updates import apply_dictionary_change
from local.servicenow.errors import ApiError
from local.servicenow.faults import Faults
from local.servicenow.identity import SYSTEM, Accounts, Identity
from local.servicenow.oauth import OAuth
from local.servicenow.persistence import CommitLog
from local.servicenow.properties import Properties
from local.servicenow.reading import Reader, Services
from local.servicenow.rules.draft import World
from local.servicenow.scenarios import KINDS, TRAITS
from local.servicenow.schema.choices import CLOSE_CODES
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.settings import Settings
from local.servicenow.store import Row, Store
from local.servicenow.stored_time import to_stored
from local.servicenow.tokens import Tokens
from local.servicenow.virtual_tables import register_virtual_tables
from local.servicenow.visibility import Visibility
from local.servicenow.writing import WriteContext, Writer, new_id
from local.simulator_kit.clock import Clock
from local.simulator_kit.request_log import RequestLog
from local.simulator_kit.scenarios import Scenarios

#: Instance seconds between two looks at what is due to be closed.
_AUTO_CLOSE_EVERY = 60.0
_TASK_BASE = "task"


class Instance:
    """Everything behind the HTTP front. ``public_key`` (PEM) verifies the JWTs of the demo client."""

    def __init__(self, public_key: str, directory: Path | None = None) -> None:
        self.public_key = public_key
        self.clock = Clock()
        self.settings = Settings()
        self.log = CommitLog(directory)
        self.journal = Journal()
        self.requests = RequestLog("table")
        self.scenarios = Scenarios(KINDS, TRAITS)
        self.tiny_urls: dict[str, str] = {}
        self.dictionary: Dictionary = base_dictionary()
        self.store = Store(self.dictionary)
        self.visibility = Visibility(self.clock)
        self.properties = Properties(self.store)
        self.accounts = Accounts(self.store, self.properties)
        self.access = Access(self.dictionary, self.settings)
        self.world = World(self.dictionary, self.store, self.settings)
        self.services = Services(self.world, self.access, self.clock, self.properties, self.visibility)
        self.tokens = Tokens(self.clock, self.log.append)
        self.authentication = Authentication(self.services, self.accounts, self.tokens)
        self.oauth = OAuth(self.services, self.accounts, self.tokens, self.authentication, self.system_log)
        self.attachments = Attachments(self.log.append)
        self.writer = Writer(self.services, self)
        self.faults = Faults(self.scenarios, self.clock, self.visibility)
        self._next_auto_close = 0.0
        register_virtual_tables(self)
        self._load_demo()
        for record in self.log.replay():
            self._restore(record)

    def close(self) -> None:
        """Release the log file."""
        self.log.close()

    def reader(self, identity: Identity) -> Reader:
        """Reads as that user."""
        return Reader(self.services, identity)

    # Committing

    def commit(self, changes: list[Change], user: str, origin: Origin) -> None:
        """Apply changes at once, journal them and write them to the log."""
        time = self.clock.text()
        closed = [self._was_closed(change) for change in changes]
        for change in changes:
            self._apply(change.before, change.after)
        entries = [
            self.journal.record(change, closed=was_closed, time=time, user=user, origin=origin)
            for change, was_closed in zip(changes, closed, strict=True)
            if change.row.table != "sys_journal_field"
        ]
        if self.log.enabled:
            self.log.append(self._commit_record(changes, entries))

    def _commit_record(self, changes: list[Change], entries: list[Entry]) -> dict[str, Any]:
        return {
            "kind": "commit",
            "put": [[change.after.table, change.after.values] for change in changes if change.after is not None],
            "remove": [[change.row.table, change.row.sys_id] for change in changes if change.after is None],
            "counters": self.store.counters,
            "entries": [asdict(entry) for entry in entries],
        }

    def _apply(self, before: Row | None, after: Row | None) -> None:
        if after is not None:
            self.store.put(after)
        elif before is not None:
            self.store.remove(before.table, before.sys_id)
            self.attachments.forget(before.sys_id)
        apply_dictionary_change(self.dictionary, self.store, before, after)

    def _was_closed(self, change: Change) -> bool:
        before = change.before
        return (
            before is not None and before.get("active") == "false" and self.dictionary.base(before.table) == _TASK_BASE
        )

    def next_number(self, table: str) -> str:
        """The next record number of the table's prefix; numbers of aborted inserts are lost, as on an instance."""
        definition = next(
            (found for name in self.dictionary.lineage(table) if (found := self.dictionary.tables[name]).prefix), None
        )
        if definition is None:
            return ""
        number = self.store.counters.get(definition.prefix, definition.first_number)
        self.store.counters[definition.prefix] = number + 1
        return f"{definition.prefix}{number:07d}"

    def system_log(self, message: str) -> None:
        """Write a line of syslog, as the system."""
        now = self.clock.text()
        values = {
            "sys_id": new_id(),
            "level": "2",
            "message": message,
            "source": "simulator",
            "sys_created_on": now,
            "sys_created_by": "system",
            "sys_updated_on": now,
            "sys_updated_by": "system",
            "sys_mod_count": "0",
        }
        row = Row("syslog", values)
        self.store.put(row)
        self.log.append({"kind": "commit", "put": [["syslog", values]], "remove": [], "counters": {}, "entries": []})

    # Jobs

    def run_due_jobs(self) -> None:
        """Close incidents that have been resolved for ``glide.ui.autoclose.time`` days."""
        now = self.clock.timestamp()
        if now < self._next_auto_close:
            return
        self._next_auto_close = now + _AUTO_CLOSE_EVERY
        days = self.properties.number("glide.ui.autoclose.time", 0)
        if days <= 0:
            return
        limit = to_stored(datetime.fromtimestamp(now, UTC) - timedelta(days=days))
        context = WriteContext(SYSTEM)
        for row in list(self.store.scan("incident")):
            if row.get("state") == "6" and row.get("resolved_at") and row.get("resolved_at") <= limit:
                self._auto_close(row, context)

    def _auto_close(self, row: Row, context: WriteContext) -> None:
        try:
            self.writer.update(row, {"state": "7"}, context)
        except ApiError as error:
            self.system_log(f"{row.get('number')} cannot be closed: {error.detail}")

    def clock_moved(self) -> None:
        """The clock was set: jobs look again at once, and the log remembers."""
        self._next_auto_close = 0.0
        self.log.append({"kind": "clock", "state": self.clock.state()})
        self.run_due_jobs()

    # Control

    def change_settings(self, changes: dict[str, Any]) -> None:
        """Set switches, and instance properties (names with a dot), all or none.

        Raises:
            ValueError: a name or value does not fit.
        """
        own = {name: value for name, value in changes.items() if "." not in name}
        self.settings.patch(own)
        for name, value in changes.items():
            if "." in name:
                self.set_property(name, str(value).lower() if isinstance(value, bool) else str(value))
        if "close_codes" in own:
            self._set_close_codes()
        if own:
            self.log.append({"kind": "settings", "values": self.settings.values()})

    def set_property(self, name: str, value: str) -> None:
        """Give an instance property a value, making it when it does not exist."""
        found = next((row for row in self.store.scan("sys_properties") if row.get("name") == name), None)
        context = WriteContext(SYSTEM)
        if found is not None:
            self.writer.update(found, {"value": value}, context)
        else:
            self.writer.insert("sys_properties", {"name": name, "value": value, "sys_name": name}, context)

    def _set_close_codes(self) -> None:
        active = CLOSE_CODES[self.settings.close_codes]
        for row in list(self.store.scan("sys_choice")):
            if row.get("name") == "incident" and row.get("element") == "close_code":
                inactive = "false" if row.get("value") in active else "true"
                self.writer.update(row, {"inactive": inactive}, WriteContext(SYSTEM))

    def reset(self, *, keep_settings: bool) -> None:
        """Back to the first day; scenarios, log and tokens go too."""
        self.scenarios.clear()
        self.tokens.clear()
        self.journal.clear()
        self.requests.reset()
        self.visibility.clear()
        self.attachments.clear()
        self.tiny_urls.clear()
        self.clock.reset()
        self.log.truncate()
        if not keep_settings:
            self.settings.patch(Settings().values())
        self._next_auto_close = 0.0
        fresh = base_dictionary()
        self.dictionary.replace_with(fresh)
        self.store.clear()
        self._load_demo()
        if keep_settings:
            self._set_close_codes()
            self.log.append({"kind": "settings", "values": self.settings.values()})

    def _load_demo(self) -> None:
        for row in base_rows(self.dictionary, self.public_key):
            self.store.put(row)

    def add_tiny_url(self, url: str) -> str:
        """Keep a long address; returns its short id."""
        tiny = new_id()
        self.tiny_urls[tiny] = url
        self.log.append({"kind": "tiny", "id": tiny, "url": url})
        return tiny

    def _restore(self, record: dict[str, Any]) -> None:
        match record["kind"]:
            case "commit":
                for table, values in record["put"]:
                    row = Row(table, values)
                    self._apply(self.store.get(table, row.sys_id) if table in self.dictionary else None, row)
                for table, sys_id in record["remove"]:
                    self._apply(self.store.get(table, sys_id), None)
                self.store.counters.update(record["counters"])
                for entry in record["entries"]:
                    self.journal.add(Entry(**entry))
            case "token" | "jti":
                self.tokens.restore(record)
            case "settings":
                known = self.settings.values().keys()
                self.settings.patch({name: value for name, value in record["values"].items() if name in known})
            case "clock":
                self.clock.restore(record["state"])
            case "tiny":
                self.tiny_urls[record["id"]] = record["url"]
            case "blob":
                self.attachments.restore(record)
