"""How tickets show the rows of log alerts: limits, and columns that nobody may see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.configuration import parse_config
from app.container import Container
from shared.core.errors import ConfigurationError
from tests.payloads.support import common, log

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

BASE = """
version: 1
connections:
  desk: {type: servicenow, url: "https://contoso.example.com", auth: {type: api_key, key: {secret: key}}}
"""


@pytest.fixture
def preview(tmp_path: Any) -> Any:
    def shown(sections: str, body: dict[str, Any], group: str = "") -> dict[str, Any]:
        path = tmp_path / "bridge.yaml"
        path.write_text(f"{BASE}default: {{connection: desk{group}}}\n{sections}", encoding="utf-8")
        (item,) = Container({"BRIDGE_CONFIG": str(path)}, now=lambda: NOW).preview(body)
        return item

    return shown


def table(*rows: list[Any]) -> dict[str, Any]:
    """A log alert V1 that brings rows of computers and users."""
    columns = [{"name": name, "type": "string"} for name in ("Computer", "UserName", "ApiToken", "Note")]
    results = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": list(rows)}]}
    context = {"SearchQuery": "Logins", "ResultCount": len(rows), "SearchResults": results}
    return common(context, monitoringService="Log Analytics")


ROWS = [[f"web-{number:02}", "mara@contoso.example", "t0p", "x" * 300] for number in range(20)]


def description(item: dict[str, Any]) -> str:
    return str(item["ticket"]["fields"]["description"])


def test_rows_of_a_payload_are_shown_within_the_limits_of_the_configuration(preview: Any) -> None:
    text = description(preview("log_rows: {rows: 3, columns: 2}\n", table(*ROWS)))
    assert "Computer | UserName\nweb-00 | mara@contoso.example\n" in text
    assert "web-02 | mara" in text
    assert "web-03 | mara" not in text
    assert "... and 17 more rows" in text


def test_the_bytes_of_a_table_are_bounded_and_what_is_left_out_is_counted(preview: Any) -> None:
    text = description(preview("log_rows: {rows: 20, bytes: 600}\n", table(*ROWS)))
    shown = text.split("Rows that the query returned:\n")[1].split("\n\n")[0]
    assert len(shown.encode()) <= 600
    assert shown.splitlines()[-1] == f"... and {20 - len(shown.splitlines()) + 2} more rows"


def test_columns_are_hidden_or_dropped_by_name_also_among_the_dimensions(preview: Any) -> None:
    body = table(*ROWS)
    body["data"]["alertContext"]["Dimensions"] = [{"name": "UserName", "value": "mara@contoso.example"}]
    item = preview('log_rows: {redact: ["user*"], drop: [Note, "*token"]}\n', body)
    text = description(item)
    assert "Computer | UserName\nweb-00 | (hidden)" in text
    assert "UserName: (hidden)" in text
    assert not any(secret in json.dumps(item["ticket"]) for secret in ("t0p", "mara", "xxx"))


def test_columns_that_sound_like_secrets_are_hidden_unless_the_configuration_says_otherwise(preview: Any) -> None:
    assert "t0p" not in description(preview("log_rows: {}\n", table(*ROWS)))
    assert "t0p" in description(preview("log_rows: {redact: []}\n", table(*ROWS)))


def test_rows_of_a_simple_log_alert_are_treated_alike(preview: Any) -> None:
    row = [{"name": "Computer", "value": "web-01"}, {"name": "Password", "value": "hunter2"}]
    text = description(preview("log_rows: {}\n", common(log(event=[row]))))
    assert "Computer: web-01\nPassword: (hidden)" in text


def test_each_row_becomes_a_ticket_in_the_preview_without_hidden_columns(preview: Any) -> None:
    item = preview("log_rows: {redact: [UserName]}\n", table(*ROWS[:2]), group=", group: {by: row}")
    assert item["ticket"] is None
    assert item["reason"] == "route 'default' matches: 2 tickets, by row"
    parts = item["parts"]
    assert [part["signal"]["resources"][0]["name"] for part in parts] == ["web-00", "web-01"]
    assert [part["ticket"]["fields"]["short_description"].rpartition(" on ")[2] for part in parts] == [
        "web-00",
        "web-01",
    ]
    assert "UserName: (hidden)" in parts[0]["ticket"]["fields"]["description"]
    assert "Computer: web-01" not in parts[0]["ticket"]["fields"]["description"]
    assert parts[0]["ticket"]["fields"]["correlation_id"] != parts[1]["ticket"]["fields"]["correlation_id"]


def test_a_hidden_column_tells_no_rows_apart(preview: Any) -> None:
    columns = [{"name": name, "type": "string"} for name in ("UserName", "Plan")]
    rows = [["mara", "a"], ["olaf", "a"], ["pia", "b"]]
    context = {"SearchQuery": "q", "SearchResults": {"tables": [{"columns": columns, "rows": rows}]}}
    body = common(context, monitoringService="Log Analytics")
    assert len(preview("log_rows: {}\n", body, group=", group: {by: row}")["parts"]) == 3
    assert len(preview("log_rows: {redact: [UserName]}\n", body, group=", group: {by: row}")["parts"]) == 2


MISTAKES = {
    "a hidden column that should tell rows apart": (
        "default: {connection: desk, group: {by: row, columns: [Computer, UserName]}}\nlog_rows: {redact: [user*]}\n",
        "default.group.columns[1]: log_rows.redact hides column 'UserName', so that it cannot tell rows apart. Fix:",
    ),
    "a note interval for rows": (
        "default: {connection: desk, group: {by: row, note_every: 5m}}\n",
        "default.group: 'note_every' is for groups of alerts, not for 'by: row'. Fix: take it out",
    ),
    "columns for a group": (
        "default: {connection: desk, group: {by: rule, columns: [Computer]}}\n",
        "default.group: 'columns' is for 'by: row' and 'by: item' only. Fix: take it out",
    ),
    "columns for items": (
        "default: {connection: desk, group: {by: item, columns: [Computer]}}\n",
        "default.group: 'columns' is for 'by: row' only. Fix: take it out",
    ),
    "a scope that is none": (
        "default: {connection: desk}\nlog_rows: {scopes: ['https://evil.example/x']}\n",
        "log_rows.scopes[0]: has characters that are not allowed here",
    ),
    "a ticket that would wait for long": (
        "default: {connection: desk}\nlog_rows: {wait: 1m}\n",
        "log_rows.wait",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named_with_their_place_and_fix(name: str) -> None:
    text, expected = MISTAKES[name]
    with pytest.raises(ConfigurationError) as caught:
        parse_config(BASE + text)
    assert expected in "\n".join(caught.value.problems)
