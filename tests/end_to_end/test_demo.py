"""``make demo`` shows what it promises: the table of alerts, then recommendations and Secure Score."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """The lines of the demo's tables, on a wide terminal."""
    ended = subprocess.run(
        [sys.executable, "-m", "local", "demo", "--exit"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "220"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.splitlines()


def cells(lines: list[str], first: str) -> list[str]:
    """The row that begins with a text."""
    (row,) = [line for line in lines if line.startswith(f"│ {first} ")]
    return [cell.strip() for cell in row.strip("│").split("│")]


@pytest.mark.parametrize(
    ("signal", "decision", "state", "calls"),
    [
        ("metric alert, Fired", "new ticket", "Resolved", "3"),
        ("the metric alert once more", "duplicate: nothing to do", "Resolved", "0"),
        ("metric alert, Resolved", "ticket resolved", "Resolved", "2"),
        ("a Resolved that overtook its Fired", "remembered: its Fired is to come", "", "0"),
        ("... and its Fired", "new ticket, born resolved", "Resolved", "1"),
        ("custom JSON nobody can read", "quarantined", "", "0"),
        ("through a connection made by consent", "new ticket", "New", "2"),
        ("25 machines of one service at once", "1 new ticket, 24 more counted in it", "New", "2"),
    ],
)
def test_alerts(shown: list[str], signal: str, decision: str, state: str, calls: str) -> None:
    row = cells(shown, signal)
    assert (row[1], row[3]) == (decision, state)
    assert int(row[4]) <= int(calls)


@pytest.mark.parametrize(
    ("step", "state", "source"),
    [
        ("a rule assigns a recommendation", "New", "due "),
        ("another one is assigned by hand", "New", "due "),
        ("its due date passes", "New", "a work note reminds the owner"),
        ("the machine is healthy again", "Resolved", "the assignment is deleted"),
        ("a Secure Score action is filed as a change", "New", "Default"),
        ("people walk it to Closed", "Closed", "Default"),
        ("the bridge tells Secure Score", "Closed", "ThirdParty"),
    ],
)
def test_recommendations_and_secure_score(shown: list[str], step: str, state: str, source: str) -> None:
    row = cells(shown, step)
    assert row[2] == state
    assert row[3].startswith(source)


def test_each_story_has_one_ticket(shown: list[str]) -> None:
    assigned, healed = cells(shown, "another one is assigned by hand"), cells(shown, "the machine is healthy again")
    assert assigned[1] == healed[1] != cells(shown, "a rule assigns a recommendation")[1]
    assert cells(shown, "a Secure Score action is filed as a change")[1].startswith("CHG")


def test_a_log_alert_shows_its_rows_and_three_machines_have_three_tickets(shown: list[str]) -> None:
    assert cells(shown, "a log alert (V2) brings no rows")[3] == "the ticket shows: db-shop-02 | 1; db-shop-03 | 0"
    rows = [line for line in shown if line.startswith("│ one alert names three machines ")]
    assert len({row.split("│")[2] for row in rows}) == 3
    assert cells(shown, "its Resolved ends all of them")[2] == "Resolved"


def test_a_dry_run_makes_no_ticket_and_says_what_it_would_do(shown: list[str]) -> None:
    row = cells(shown, "a rule that is only rehearsed (dry run)")
    assert row[1:] == ["", "no ticket", "bridge.py report: route rehearsed would create 1 ticket"]


def test_alert_decision_and_ticket_are_joined_in_log_analytics(shown: list[str]) -> None:
    row = cells(shown, "azure-incidents")
    assert row[1:4] == ["created", cells(shown, "Service Health incident, Active")[2], "Resolved"]


def test_the_demo_says_what_reached_log_analytics_and_where_the_workbook_is(shown: list[str]) -> None:
    (line,) = [line for line in shown if line.startswith("Log Analytics has ")]
    found = re.fullmatch(
        r"Log Analytics has (\d+) rows of (\d+) tickets, and (\d+) rows of what the bridge did\. "
        r"The workbook on them: (file://\S+)",
        line,
    )
    assert found is not None, line
    rows, tickets, log = (int(text) for text in found.groups()[:3])
    assert rows >= tickets >= 10
    assert log >= 20
    page = Path(urlsplit(found[4]).path).read_text("utf-8")
    assert "<svg" in page
    assert cells(shown, "metric alert, Fired")[2] in page


def test_health_says_which_functions_azure_has_called(shown: list[str]) -> None:
    (line,) = [line for line in shown if line.startswith("Health: ")]
    assert "deliver" in line
    assert "1 new quarantined item in the last hour" in line


def test_the_log_in_of_each_connection_is_said_with_how_long_it_lasts(shown: list[str]) -> None:
    by_consent, shipped = [line for line in shown if line.startswith("Log-in of ")]
    assert by_consent == "Log-in of by-consent: oauth_authorization_code as interactive.user, 99 days left."
    assert "no end is known" in shipped
