"""The log alerts fire for what they are named after: their queries, run over lines as the app writes them.

The engine is duckdb-kql, which runs Kusto queries on DuckDB; Azure's own is not to be had without a cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import duckdb_kql
import pytest

from shared.platform.log import record
from tests.infra.bicep import WATCH, parse

SILENT, OVERDUE = "missingVitalSigns", "overdueFunctions"
SINCE = "2026-03-01T11:30:00Z"


class _Lines(logging.Handler):
    """What Application Insights would get as the messages of traces."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Messages of the events that the test records with the app's own ``record``."""
    logger, handler = logging.getLogger("bridge"), _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.messages
    logger.setLevel(level)
    logger.removeHandler(handler)


def found(query: str, messages: list[str] | None) -> list[dict[str, Any]]:
    """Rows that a query finds in a window with these messages; None for a workspace that lacks the table."""
    connection = duckdb.connect()
    if messages is not None:
        connection.execute("CREATE TABLE AppTraces (TimeGenerated TIMESTAMP, Message VARCHAR, SeverityLevel INTEGER)")
        for message in messages:
            connection.execute("INSERT INTO AppTraces VALUES ('2026-03-01 12:00:00', ?, 1)", [message])
    rows = duckdb_kql.query(connection, parse(WATCH)["variables"][query]["value"])
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]


def looked(**fields: Any) -> None:
    record("vital_signs", functions_overdue=fields.get("overdue", []), oldest_wait_seconds=4, poison=0)


def late(function: str, since: str = SINCE) -> None:
    record("function_overdue", logging.WARNING, function=function, since=since, advice="restart the app")


def other() -> None:
    record("signal_accepted", key="alert:1:x", title='{"event": "vital_signs"}')


def nothing() -> None:
    return


@pytest.mark.parametrize("happened", [nothing, other, lambda: late("resync")], ids=["no line", "other", "overdue"])
def test_given_no_look_in_the_window_when_the_rule_runs_then_a_row_with_zero_fires_it(
    lines: list[str], happened: Callable[[], None]
) -> None:
    happened()
    assert found(SILENT, lines) == [{"looks": 0}]


def test_given_one_look_in_the_window_when_the_rule_runs_then_nothing_fires(lines: list[str]) -> None:
    looked(overdue=["resync"])
    other()
    assert len(lines) == 2
    assert found(SILENT, lines) == []


def test_given_each_overdue_function_says_so_twice_when_the_rule_runs_then_one_row_names_each(lines: list[str]) -> None:
    for _ in range(2):
        looked(overdue=["deliver", "resync"])
        late("deliver")
        late("resync", "2026-03-01T11:00:00Z")
    rows = sorted(found(OVERDUE, lines), key=lambda row: str(row["function_name"]))
    assert [(row["function_name"], row["lines"]) for row in rows] == [("deliver", 2), ("resync", 2)]
    assert [f"{row['since']:%H:%M}" for row in rows] == ["11:30", "11:00"]


def test_given_nothing_is_overdue_when_the_rule_runs_then_nothing_fires(lines: list[str]) -> None:
    looked()
    other()
    assert found(OVERDUE, lines) == []


def test_given_a_new_workspace_that_cannot_resolve_the_table_when_the_rules_run_then_only_the_silence_fires() -> None:
    assert found(SILENT, None) == [{"looks": 0}]
    assert found(OVERDUE, None) == []
