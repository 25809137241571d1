"""The workbook as an HTML page: what a person sees here before anything is deployed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from connectors.log_analytics.columns import TICKETS_TABLE
from local.workbook.__main__ import main
from local.workbook.answer import Answer
from local.workbook.queries import FOLDER
from local.workbook.render import render
from local.workbook.workspace import Workspace
from tests.workbook.scenario import NOON, SHOP, ago, filled_logs, ticket

WORKBOOK: dict[str, Any] = json.loads((FOLDER / "workbook.json").read_text(encoding="utf-8"))


class _Reader(HTMLParser):
    """Rows of tables, addresses, tags and values of charts, by the id of the part they stand in."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.links: dict[str, list[str]] = {}
        self.marks: dict[str, list[str]] = {}
        self.tags: set[str] = set()
        self._part, self._in = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        if given.get("class") == "query":
            self._part = str(given["id"])
        if tag == "tr":
            self.rows.setdefault(self._part, []).append([])
        if tag in ("td", "th"):
            self.rows[self._part][-1].append("")
        if tag == "a":
            self.links.setdefault(self._part, []).append(str(given["href"]))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "title", "pre"):
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in ("td", "th", "a"):
            self.rows[self._part][-1][-1] += data
        elif self._in == "title":
            self.marks.setdefault(self._part, []).append(data)


@pytest.fixture(scope="module")
def logs() -> Iterator[Workspace]:
    found = filled_logs()
    hostile: dict[str, Any] = {
        "Title_s": "<script>alert(1)</script>",
        "Url": "javascript:alert(1)",
        "ServiceDeskId_s": "INC0000666",
    }
    found.add(TICKETS_TABLE, [ticket("id-666", ago(28), CreatedDate_t=ago(400), **hostile)])
    yield found
    found.close()


@pytest.fixture(scope="module")
def text(logs: Workspace, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "workbook.html"
    render(WORKBOOK, logs.run, out, now=NOON)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    return reader


def test_the_page_shows_every_part_of_the_workbook_and_parameters_with_what_they_offer(text: str) -> None:
    for item in WORKBOOK["items"]:
        if item["type"] == 3:
            assert f'id="{item["name"]}"' in text
            assert item["content"]["title"] in text
    pills = re.findall(r"<span>([\w ]+): <b>([^<]+)</b></span>", text)
    assert pills == [("Time range", "Last 30 days"), ("Connection", "All (2)"), ("Azure subscription", "All (2)")]


def test_the_page_has_no_script_and_asks_no_network_for_anything(page: _Reader, text: str) -> None:
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert "@import" not in text
    assert "url(" not in text


def test_text_of_tickets_stays_text_and_leads_nowhere_but_to_web_pages(page: _Reader, text: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "INC0000666" in [row[0] for row in page.rows["tickets"]]
    links = [one for found in page.links.values() for one in found]
    assert links
    assert all(one.startswith("https://") for one in links)


def test_tables_show_the_answers_without_hidden_columns(page: _Reader) -> None:
    head, *rows = page.rows["tickets"]
    assert not {"Url", "AlertUrl", "SysId"} & set(head)
    assert rows[0][:4] == ["CHG0000005", "Patch web-01", "ChangeRequest", "Scheduled"]
    assert page.rows["places"][1:] == [
        [SHOP, "microsoft.compute/virtualmachines", "2", "1"],
        ["bbbbbbbb-0000-4000-8000-000000000002", "microsoft.sql/servers", "1", "1"],
    ]
    assert page.links["changes"] == ["https://contoso.service-now.com/nav_to.do?uri=change_request.do?sys_id=id-5"]


def test_charts_draw_the_values(page: _Reader) -> None:
    assert len(page.marks["created"]) == 5
    assert f"{ago(10, hours=12):%Y-%m-%d} 00:00, Incident: 1" in page.marks["created"]
    assert sorted(page.marks["delays"]) == ["Median: 100", "Median: 20", "P95: 100", "P95: 20"]
    assert "On Hold, Incident: 1" in page.marks["states"]


def test_the_history_is_that_of_the_first_ticket(page: _Reader) -> None:
    assert [row[1:4:2] for row in page.rows["history"][1:]] == [["ticket", "New"], ["ticket", "Scheduled"]]


def test_given_no_rows_when_the_page_is_written_then_every_part_says_so(tmp_path: Path) -> None:
    logs, out = Workspace(), tmp_path / "empty.html"
    render(WORKBOOK, logs.run, out)
    logs.close()
    shown = [item for item in WORKBOOK["items"] if item["type"] == 3 and "conditionalVisibility" not in item]
    assert out.read_text(encoding="utf-8").count("No rows.") == len(shown)


@pytest.mark.parametrize(("days", "grain"), [(1, "1h"), (7, "6h"), (30, "1d"), (400, "1d")])
def test_bars_are_as_wide_as_fits_the_time_range(days: int, grain: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def run(kql: str) -> Answer:
        asked.append(kql)
        return Answer(("Time", "Kind", "Tickets"), ((NOON.replace(tzinfo=None) - timedelta(hours=3), "Incident", 2),))

    created = next(item for item in WORKBOOK["items"] if item["name"] == "created")
    chosen = json.loads(json.dumps(WORKBOOK["items"][1]))
    chosen["content"]["parameters"][0]["value"]["durationMs"] = days * 86_400_000
    render({"items": [chosen, created]}, run, tmp_path / "page.html", now=NOON)
    assert f"bin(CreatedDate_t, {grain})" in asked[-1]


@pytest.mark.parametrize(("most", "labels"), [(9_000, "3,000"), (604_000, "600k"), (1_200_000, "1.2M"), (3, "3")])
def test_large_numbers_beside_an_axis_are_short_enough_to_be_seen(most: int, labels: str, tmp_path: Path) -> None:
    created = next(item for item in WORKBOOK["items"] if item["name"] == "created")
    answer = Answer(("Time", "Kind", "Tickets"), ((NOON.replace(tzinfo=None), "Incident", most),))
    out = tmp_path / "page.html"
    render({"items": [WORKBOOK["items"][1], created]}, lambda _: answer, out, now=NOON)
    shown = re.findall(r'text-anchor="end">([^<]+)<', out.read_text(encoding="utf-8"))
    assert labels in shown
    assert max(map(len, shown)) <= 6


def test_given_a_query_with_an_unknown_parameter_when_the_page_is_written_then_it_is_named(tmp_path: Path) -> None:
    created = next(item for item in WORKBOOK["items"] if item["name"] == "created")
    with pytest.raises(KeyError, match="Connection"):
        render({"items": [created]}, lambda _: Answer((), ()), tmp_path / "page.html")


def test_the_command_reads_rows_from_a_file_and_says_where_the_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, out = tmp_path / "rows.duckdb", tmp_path / "page.html"
    filled_logs(rows).close()
    assert main(["page", str(rows), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out.as_uri()}\n"
    assert "INC0000001" in out.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["page", str(tmp_path / "missing.duckdb")])
    assert "missing.duckdb: no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["page", str(out)])
    assert "page.html: no file of DuckDB" in capsys.readouterr().err


def test_given_rows_as_they_are_sent_when_they_are_added_then_times_are_times_and_strangers_are_refused() -> None:
    logs = Workspace()
    sent = {"TimeGenerated": "2026-03-01T12:00:00.000Z", "RecordId": "a", "SysId": "b", "Fields": {"u_region": "EMEA"}}
    logs.add(TICKETS_TABLE, [sent])
    (row,) = logs.run("ServiceDesk_CL | project TimeGenerated, Title_s, Deleted, R = tostring(Fields.u_region)").rows
    assert row == (datetime(2026, 3, 1, 12), "", None, "EMEA")  # noqa: DTZ001 - the engine's times have no zone
    with pytest.raises(KeyError, match="ServiceDesk_CL has no column Number"):
        logs.add(TICKETS_TABLE, [{"Number": "INC0000001"}])
    logs.close()
