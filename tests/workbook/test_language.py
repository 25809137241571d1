"""Every query is one that Log Analytics would take: parsed and analysed by Microsoft's own language service.

The engine that runs them here (test_answers.py) is another one and more lenient.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from connectors.log_analytics.columns import LOG_TABLE, TABLES, TICKETS_TABLE
from local.workbook.kusto import Analysis, analyse
from local.workbook.layout import workbook
from local.workbook.queries import FUNCTIONS, filled, names, placeholders, read
from local.workbook.written import files
from tests.workbook.scenario import values

PARTS = ("functions", "alerts", "workbook")
ALL_QUERIES = [name for part in PARTS for name in names(part)]

#: What a workbook may hold besides its own parameters: nothing of the workbook gives these, alert rules do.
OF_ALERT_RULES = {"ThresholdMinutes"}


@pytest.fixture(scope="module")
def analyses() -> dict[str, Analysis]:
    """Every query with the parameters of a workbook filled in."""
    return analyse({name: filled(read(name), values()) for name in ALL_QUERIES})


def test_given_the_declared_tables_when_every_query_is_analysed_then_nothing_is_said(
    analyses: dict[str, Analysis],
) -> None:
    assert len(analyses) == len(ALL_QUERIES) > 20
    assert {name: found.remarks for name, found in analyses.items() if found.remarks} == {}
    assert all(found.columns for found in analyses.values())


@pytest.mark.parametrize(
    ("table", "query"), [(TICKETS_TABLE, "functions/ServiceDeskTickets"), (LOG_TABLE, "workbook/connector_status")]
)
def test_given_a_table_without_a_column_when_a_query_that_uses_it_is_analysed_then_the_column_is_named(
    table: str, query: str
) -> None:
    without = TABLES | {table: tuple(one for one in TABLES[table] if one.name != "Connection")}
    found = analyse({query: filled(read(query), values())}, without)[query]
    assert {(one.severity, one.at) for one in found.remarks} == {("Error", "Connection")}


def test_given_wrong_queries_when_they_are_analysed_then_the_places_are_named() -> None:
    wrong = {
        "ServiceDesk_CL | where Number == 1": "Number",
        "ServiceDeskTickets() | project ChangedAt": "ChangedAt",
        "ServiceDeskTicket() | count": "ServiceDeskTicket",
        "ServiceDesk_CL | sumarize count()": "sumarize",
        "ServiceDesk_CL | where Title_s + 1 > 2": "+",
    }
    for query, found in analyse({query: query for query in wrong}).items():
        first = next(one for one in found.remarks if one.severity == "Error")
        assert first.at == wrong[query], first.message


def test_given_a_function_in_the_folder_then_it_is_one_that_is_saved() -> None:
    assert {name.removeprefix("functions/") for name in names("functions")} == set(FUNCTIONS)


def items(kind: int) -> list[dict[str, Any]]:
    return [one for one in workbook()["items"] if one["type"] == kind]


def parameter_names() -> set[str]:
    """Parameters that the workbook gives: its own, and those of selected rows."""
    (row,) = items(9)
    own = {one["name"] for one in row["content"]["parameters"]}
    of_rows = {e["parameterName"] for one in items(3) for e in one["content"].get("exportedParameters", [])}
    return own | of_rows


def test_every_parameter_of_a_query_is_one_of_the_workbook_and_every_one_is_used() -> None:
    used = {name.partition(":")[0] for query in names("workbook") for name in placeholders(read(query))}
    assert used == parameter_names()
    assert {name for query in names("alerts") for name in placeholders(read(query))} == OF_ALERT_RULES
    assert not {name for query in names("functions") for name in placeholders(read(query))}


def test_the_workbook_shows_every_query_of_its_folder_as_it_stands_there() -> None:
    (row,) = items(9)
    shown = [one["content"]["query"] for one in items(3)]
    asked = [one["query"] for one in row["content"]["parameters"] if "query" in one]
    assert sorted(shown + asked) == sorted(read(name).rstrip("\n") for name in names("workbook"))
    item_names = [one["name"] for one in workbook()["items"]]
    assert len(item_names) == len(set(item_names))


def test_the_time_range_limits_times_of_tickets_and_never_when_a_row_was_received() -> None:
    """A row of a back-fill is received long after what it tells (TimeGenerated of old times is replaced)."""
    for name in (*names("workbook"), *names("functions")):
        text = re.sub(r"//.*", "", read(name))
        assert not re.search(r"where[^|]*TimeGenerated", text), name
        assert "ago(" not in text, name
    for one in items(3):
        assert "timeContextFromParameter" not in one["content"]
        assert one["content"]["timeContext"]["durationMs"] >= 730 * 86_400_000


def test_columns_that_the_workbook_formats_links_or_exports_are_columns_of_the_answer(
    analyses: dict[str, Analysis],
) -> None:
    by_text = {read(name).rstrip("\n"): analyses[name].columns for name in names("workbook")}
    for one in items(3):
        content = one["content"]
        settings = content.get("gridSettings", {}).get("formatters", [])
        named = {f["columnMatch"].strip("^$") for f in settings}
        named |= {f["formatOptions"]["linkColumn"] for f in settings if "linkColumn" in f.get("formatOptions", {})}
        named |= {e["fieldName"] for e in content.get("exportedParameters", [])}
        chart = content.get("chartSettings", {})
        named |= {chart[x] for x in ("xAxis", "group") if x in chart} | set(chart.get("yAxis", []))
        assert named <= set(by_text[content["query"]]), one["name"]
        assert named or one["name"] in ("delays-by-severity", "resolution")


def test_the_files_that_are_written_from_others_are_up_to_date() -> None:
    for file, text in files().items():
        assert file.read_text(encoding="utf-8") == text, f"run 'make schema': {file.name}"
        if file.suffix == ".json":
            json.loads(text)
