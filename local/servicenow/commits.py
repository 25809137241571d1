"""What was committed, row by row: history of each record, writes on closed tickets, duplicates by correlation_id.

This is the simulator's own witness, beside what the API shows: a duplicate that was deleted again, or a write on a
closed ticket that changed nothing visible, can still be seen here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from local.servicenow.store import Row

#: Columns whose values never leave the database.
_SECRETS = frozenset({"user_password", "client_secret", "shared_key", "token"})


@dataclass(frozen=True, slots=True)
class Change:
    """One row written: ``before`` is None for an insert, ``after`` None for a delete."""

    before: Row | None
    after: Row | None
    #: Journal texts written with it, by field.
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The row after the change, or the deleted one."""
        row = self.after if self.after is not None else self.before
        if row is None:
            raise ValueError("a change needs a row before or after it")
        return row

    @property
    def operation(self) -> str:
        return "insert" if self.before is None else "delete" if self.after is None else "update"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. ``changes``: field -> [old, new]; ``time`` is the instance's, stored form."""

    seq: int
    time: str
    user: str
    operation: str
    table: str
    sys_id: str
    number: str
    changes: dict[str, list[str]]
    request_id: str
    transaction_id: str
    closed_write: bool = False
    correlation_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the control API and the log file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a commit comes from: request and transaction id, empty for jobs."""

    request_id: str = ""
    transaction_id: str = ""


def differences(change: Change) -> dict[str, list[str]]:
    """Fields with old and new value; journal texts count as changes from nothing."""
    before = change.before.values if change.before else {}
    after = change.after.values if change.after else {}
    names = [*before, *(name for name in after if name not in before)]
    found = {
        name: [before.get(name, ""), after.get(name, "")]
        for name in names
        if before.get(name, "") != after.get(name, "") and name not in _SECRETS
    }
    return found | {name: ["", text] for name, text in change.notes.items()}


class Journal:
    """Every commit since the instance was made or reset."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._by_record: dict[str, list[Entry]] = {}
        self._closed: list[Entry] = []
        self._holders: dict[tuple[str, str], dict[str, None]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self._by_record.clear()
        self._closed.clear()
        self._holders.clear()

    def record(self, change: Change, *, closed: bool, time: str, user: str, origin: Origin) -> Entry:
        """Note a change; ``closed``: the row was closed before it."""
        row = change.row
        entry = Entry(
            seq=len(self.entries) + 1,
            time=time,
            user=user,
            operation=change.operation,
            table=row.table,
            sys_id=row.sys_id,
            number=row.get("number"),
            changes=differences(change),
            request_id=origin.request_id,
            transaction_id=origin.transaction_id,
            closed_write=closed and change.operation == "update",
            correlation_id=row.get("correlation_id"),
        )
        self.add(entry)
        return entry

    def add(self, entry: Entry) -> None:
        """Take an entry, new or from the log file."""
        self.entries.append(entry)
        self._by_record.setdefault(entry.sys_id.lower(), []).append(entry)
        if entry.closed_write:
            self._closed.append(entry)
        if entry.correlation_id and entry.operation != "delete":
            self._holders.setdefault((entry.table, entry.correlation_id), {})[entry.sys_id] = None

    def history(self, sys_id: str) -> list[Entry]:
        """Entries of one record, oldest first."""
        return self._by_record.get(sys_id.lower(), [])

    def closed_writes(self) -> list[Entry]:
        """Updates of rows that were closed."""
        return self._closed

    def duplicates(self) -> list[tuple[str, str, list[str]]]:
        """(table, correlation_id, sys_ids) for every correlation_id that more than one row of a table has borne."""
        return [(table, key, list(ids)) for (table, key), ids in self._holders.items() if len(ids) > 1]
