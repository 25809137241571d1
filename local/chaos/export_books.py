"""What a poll can see of every ticket, and whether the table of Log Analytics has it: exactly once, and the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from local.chaos.people import TABLES
from local.chaos.stage import Stage

_PAGE = 1_000
#: Tickets that changed earlier are not exported.
_SINCE = "sys_updated_on>=javascript:gs.daysAgoStart(28)"
_COLUMNS = "sys_id,number,state,short_description,sys_mod_count"

#: The only column of a row that the time of receipt may decide.
_RECEIVED = "TimeGenerated"
_FINDINGS = 20


class Change(NamedTuple):
    """A ticket in one of its versions."""

    sys_id: str
    revision: str


class Shown(NamedTuple):
    """What people see of it."""

    number: str
    title: str
    state: str


@dataclass
class Books:
    """What was found.

    Attributes:
        changes: that were seen. stored: rows of the table. records: different RecordIds of them.
        missing: seen, but not in the table. split: changes that have several RecordIds.
        different: RecordIds whose rows differ. wrong: changes whose row says something else than the ticket did.
    """

    changes: int
    stored: int = 0
    records: int = 0
    missing: list[Change] = field(default_factory=list)
    split: list[Change] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def findings(self) -> list[str]:
        """Sentences, the first of each kind."""
        return [
            *(f"{one.sys_id} in version {one.revision} is not in the table" for one in self.missing[:_FINDINGS]),
            *(f"{one.sys_id} in version {one.revision} has several RecordIds" for one in self.split[:_FINDINGS]),
            *(f"rows with RecordId {one} differ" for one in self.different[:_FINDINGS]),
            *self.wrong[:_FINDINGS],
        ]


def visible(stage: Stage) -> dict[Change, Shown]:
    """Every ticket as the bridge's user can read it now."""
    desk, found = stage.servicenow, {}
    auth = (desk["integration_username"], desk["integration_password"])
    for table in TABLES:
        offset, more = 0, True
        while more:
            query = {
                "sysparm_query": f"{_SINCE}^ORDERBYsys_id",
                "sysparm_fields": _COLUMNS,
                "sysparm_display_value": "all",
                "sysparm_limit": str(_PAGE),
                "sysparm_offset": str(offset),
            }
            answer = stage.http.get(f"{desk['url']}/api/now/table/{table}", params=query, auth=auth)
            answer.raise_for_status()
            rows: list[dict[str, dict[str, str]]] = answer.json()["result"]
            for row in rows:
                change = Change(row["sys_id"]["value"], row["sys_mod_count"]["value"])
                words = (row[name]["display_value"] for name in ("number", "short_description", "state"))
                found[change] = Shown(*words)
            offset, more = offset + len(rows), len(rows) == _PAGE
    return found


def balance(seen: Mapping[Change, Shown], rows: Iterable[Mapping[str, Any]]) -> Books:
    """Compare what was seen with the rows of the table."""
    books = Books(len(seen))
    by_change: dict[Change, set[str]] = defaultdict(set)
    by_record: dict[str, dict[str, Any]] = {}
    different: dict[str, None] = {}
    for row in rows:
        books.stored += 1
        record, content = row["RecordId"], {name: value for name, value in row.items() if name != _RECEIVED}
        by_change[Change(row["SysId"], row["Revision"])].add(record)
        if by_record.setdefault(record, content) != content:
            different[record] = None
    books.records, books.different = len(by_record), list(different)
    books.split = [change for change, records in by_change.items() if len(records) > 1]
    for change, shown in seen.items():
        records = by_change.get(change)
        if not records:
            books.missing.append(change)
            continue
        row = by_record[next(iter(records))]
        stored = Shown(row["ServiceDeskId_s"], row["Title_s"], row["State"])
        if stored != shown:
            books.wrong.append(f"{change.sys_id} in version {change.revision} was {shown}, its row says {stored}")
    return books
