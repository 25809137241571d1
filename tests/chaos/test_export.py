"""The chaos of the export in small: every change that a poll could see is in the table exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local.chaos import export
from local.chaos.export_books import Change, Shown, balance

SEEN = {Change("a1", "3"): Shown("INC0000001", "Disk full", "New")}


@pytest.mark.timeout(330)
def test_given_tickets_that_change_while_everything_fails_then_each_change_is_in_the_table_once() -> None:
    part = export.run(3, export.SMALL, print)
    assert not part.broken, f"{part.broken}: {part.findings}"
    assert part.raw["killed"] == export.SMALL.rounds
    assert part.raw["stored"] > part.raw["changes"], "rows of a killed export were sent again"
    assert sum(name.startswith("Log Analytics") for name in part.raw["struck"]) >= 3, "faults met rows"
    assert sum(name.startswith("ServiceNow") for name in part.raw["struck"]) >= 3, "faults met reads"


def row(record: str = "r1", **more: str) -> dict[str, Any]:
    base = {"RecordId": record, "SysId": "a1", "Revision": "3", "ServiceDeskId_s": "INC0000001"}
    return {**base, "Title_s": "Disk full", "State": "New", "TimeGenerated": "2026-03-01T12:00:00Z", **more}


@pytest.mark.parametrize(
    ("rows", "finding"),
    [
        ([], "a1 in version 3 is not in the table"),
        ([row(Revision="2")], "a1 in version 3 is not in the table"),
        ([row(), row("r2")], "a1 in version 3 has several RecordIds"),
        ([row(), row(State="Resolved")], "rows with RecordId r1 differ"),
        ([row(Title_s="Other")], "a1 in version 3 was "),
    ],
)
def test_given_a_table_that_is_wrong_then_the_books_say_so(rows: list[Mapping[str, Any]], finding: str) -> None:
    assert any(one.startswith(finding) for one in balance(SEEN, rows).findings())


def test_given_a_row_that_was_sent_twice_then_nothing_is_said() -> None:
    books = balance(SEEN, [row(), row(TimeGenerated="2026-03-02T12:00:00Z")])
    assert (books.findings(), books.stored, books.records) == ([], 2, 1)
