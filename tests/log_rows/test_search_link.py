"""What a payload says of its query: only what is sure to be a scope, a text and a span is taken."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from connectors.azure_monitor.log_rows.bounds import bounded_search, resource_graph_query
from connectors.azure_monitor.payloads.search_link import LONGEST_QUERY, LogSearch, parse_search, search_of_link
from shared.core.errors import SourceRefused
from shared.core.signal import Signal
from tests.payloads.support import common, log, read

GUID = "9d3c6b1e-54a7-4f02-8c9b-0e7f1a2d3c4b"
BEGIN, END = datetime(2026, 3, 1, 11, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = quote("2026-03-01T11:00:00.0000000Z/2026-03-01T12:00:00.0000000Z", safe="")
VM = f"subscriptions/{GUID}/resourceGroups/rg-shop/providers/Microsoft.Compute/virtualMachines/web-01"


def link(
    scope: str = f"workspaces/{GUID}", host: str = "api.loganalytics.io", query: str = "Heartbeat%7Ctake%205"
) -> str:
    return f"https://{host}/v1/{scope}/query?query={query}&timespan={SPAN}"


@pytest.mark.parametrize("scope", [f"workspaces/{GUID}", f"subscriptions/{GUID}", VM])
@pytest.mark.parametrize("host", ["api.loganalytics.io", "api.loganalytics.us", "api.loganalytics.azure.cn"])
def test_scope_text_and_span_are_taken_out_of_a_link(scope: str, host: str) -> None:
    found = search_of_link(link(scope, host), None, None)
    assert found == LogSearch(scope, "Heartbeat|take 5", BEGIN, END)
    assert parse_search(found.text()) == found


HOSTILE = {
    "another host": link(host="evil.example"),
    "a host that looks like one": link(host="api.loganalytics.io.evil.example"),
    "user information": link(host="api.loganalytics.io@evil.example"),
    "http": link().replace("https", "http"),
    "a scope with dots": link(f"workspaces/{GUID}/../../x"),
    "an encoded slash that leaves the scope": link(f"workspaces/{GUID}%2f..%2fx"),
    "an encoded question mark": link(f"workspaces/{GUID}%3fx"),
    "no GUID": link("workspaces/DEMO_WORKSPACE"),
    "another API": link("apps/x"),
    "no query": link(query=""),
    "a query that is too long": link(query="x" * (LONGEST_QUERY + 1)),
    "a span that ends before it begins": link().replace("2026-03-01T11", "2026-03-01T13"),
    "a port that is none": link(host="api.loganalytics.io:x"),
    "no link": "LINK",
    "half an address": "https://[",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_link_that_is_not_the_query_of_log_analytics_is_not_taken(name: str) -> None:
    assert search_of_link(HOSTILE[name], BEGIN, END) is None


def test_a_link_without_a_whole_span_takes_that_of_the_alerts_window() -> None:
    once = link().replace("%2F2026-03-01T12%3A00%3A00.0000000Z", "")
    assert search_of_link(once, None, None) is None
    found = search_of_link(once, BEGIN, END)
    assert found is not None
    assert (found.begin, found.end) == (BEGIN, END)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "[1,2,3,4]",
        '["a","b","2026","x"]',
        "null",
        '["../x","q","2026-03-01T11:00:00Z","2026-03-01T12:00:00Z"]',
    ],
)
def test_what_was_not_written_by_the_bridge_is_no_query(text: str) -> None:
    assert parse_search(text) is None


def test_the_filtered_query_goes_before_the_other_and_without_links_the_fields_say_it() -> None:
    criterion = {
        "searchQuery": "Heartbeat",
        "linkToSearchResultsAPI": link(),
        "linkToFilteredSearchResultsAPI": link(query="Heartbeat%7Cwhere%20x"),
    }
    assert _search(criterion).query == "Heartbeat|where x"
    plain = {"searchQuery": "Heartbeat"}
    found = _search(plain, windowStartTime="2026-03-01T11:00:00Z", windowEndTime="2026-03-01T12:00:00Z")
    assert (found.scope, found.query, found.begin) == (VM, "Heartbeat", BEGIN)


def test_rows_that_the_payload_brings_are_not_queried() -> None:
    signal = read(common(log(event=[[{"name": "Computer", "value": "web-01"}]], linkToSearchResultsAPI=link())))
    assert signal.rows is not None
    assert signal.rows_from == ""


def _search(criterion: Mapping[str, object], **window: str) -> LogSearch:
    body = common(log(**criterion), alertTargetIDs=[f"/{VM}"])
    body["data"]["alertContext"]["condition"] |= window
    signal: Signal = read(body)
    found = parse_search(signal.rows_from)
    assert found is not None
    return found


def search(query: str) -> LogSearch:
    return LogSearch(f"workspaces/{GUID}", query, END - timedelta(days=30), END)


def test_a_query_runs_over_two_days_at_most_and_without_its_chart() -> None:
    found = bounded_search(search("Heartbeat | summarize count() by Computer | render timechart ;"), inside=False)
    assert found.query == "Heartbeat | summarize count() by Computer"
    assert found.end - found.begin == timedelta(days=2)


@pytest.mark.parametrize(
    "query",
    [
        'externaldata(x:string)["https://evil.example"]',
        "T | evaluate HTTP_REQUEST('https://evil.example')",
        "externaldata (x:int)",
    ],
)
def test_a_query_that_fetches_addresses_is_not_run(query: str) -> None:
    with pytest.raises(SourceRefused, match="fetches addresses"):
        bounded_search(search(query), inside=False)


@pytest.mark.parametrize(
    "query",
    ['workspace("other").T', 'union T, app ("x").requests', 'arg("").Resources', "cluster('c').database('d').T"],
)
def test_a_query_may_not_leave_the_scopes_of_the_configuration(query: str) -> None:
    assert bounded_search(search(query), inside=False).query == query
    with pytest.raises(SourceRefused, match=r"leaves log_rows\.scopes"):
        bounded_search(search(query), inside=True)


def test_a_query_of_resource_graph_alone_is_told_apart_from_one_that_joins_logs() -> None:
    assert resource_graph_query('arg("").Resources | where type == "x"') == 'Resources | where type == "x"'
    assert resource_graph_query('arg("").Resources | join (workspace("x").T) on id') == ""
    assert resource_graph_query("Heartbeat") == ""
