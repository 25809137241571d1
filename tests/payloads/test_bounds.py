"""However large the alert: the signal fits into a queue message, says what was cut, and is read in linear time."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from connectors.azure_monitor.payloads.search_link import LONGEST_QUERY
from shared.core.signal import Resource, Signal, SignalState, to_dict
from shared.payloads.builder import LARGEST, fit
from shared.payloads.tables import LARGEST_TABLE, LONGEST_CELL
from tests.payloads.support import GUID, RECEIVED, SUB, VM, common, event, log, metric, parse, read

#: Azure Monitor sends at most 256 KB (Microsoft Learn, "Common alert schema").
LIMIT = 256 * 1024

#: Far above what the largest payload takes (20 ms), far below what anything quadratic would.
SECONDS = 3.0

LINK = "https://portal.azure.com/" + "x" * 4000


def size_of(signal: Signal) -> int:
    """Bytes without its rows, which have a bound of their own and may go to a blob."""
    rows = signal.rows
    if rows is not None:
        cells = sum(len(value) + 3 for row in rows.rows for value in row.values)
        assert cells <= LARGEST_TABLE
        assert max(map(len, rows.columns)) <= LONGEST_CELL
        assert rows.total >= len(rows.rows)
    assert len(signal.rows_from) < 2 * LONGEST_QUERY
    return len(json.dumps(to_dict(replace(signal, rows=None, rows_from=""))))


def old_log(**context: Any) -> dict[str, Any]:
    return common({"SearchQuery": "q", **context}, monitoringService="Log Analytics")


def health(**properties: Any) -> dict[str, Any]:
    return event("ServiceHealth", None, stage="Active", **properties)


def many(count: int, value: Any) -> dict[str, Any]:
    return {f"name-{number}": value for number in range(count)}


HUGE: dict[str, Any] = {
    "targets": common(alertTargetIDs=[f"{VM}-{number}" for number in range(2000)]),
    "items": common(log(searchQuery="q"), configurationItems=[f"vm-{number}" for number in range(25000)]),
    "dimensions": common(
        metric({"metricName": "m", "dimensions": [{"name": f"n{number}", "value": "v"} for number in range(8000)]})
    ),
    "one dimension": common(
        metric({"metricName": "m", "dimensions": [{"name": "n", "value": f"v{number}"} for number in range(8000)]})
    ),
    "criteria": common(metric(*[{"metricName": f"m{number}", "metricValue": 1} for number in range(5000)])),
    "query": common(log(searchQuery="x " * (LIMIT // 2))),
    "custom properties": common(custom=many(7000, "v" * 20)),
    "one custom property": common(custom={"k": "v" * LIMIT}),
    "non-Latin custom properties": common(custom=many(100, "日" * 800)),
    "nested custom property": common(custom={"k": [["v"] * 30000]}),
    "tags": common(custom={"tags": json.dumps(many(15000, 1))}),
    "labels": common({"expression": "e", "labels": many(10000, "v")}, monitoringService="Prometheus"),
    "rows": old_log(SearchResults={"tables": [{"columns": [{"name": "Computer"}], "rows": [["c" * 50]] * 5000}]}),
    "columns": old_log(SearchResults={"tables": [{"columns": [{"name": "c"}] * 10000, "rows": [[1] * 10000]}]}),
    "opening brackets": health(communication="<" * LIMIT),
    "half tags": health(communication="<a" * (LIMIT // 2)),
    "paragraphs": health(communication="<p>" * (LIMIT // 3)),
    "links": health(communication="<a href='https://x.example/y'>w</a>" * (LIMIT // 36)),
    "half links": health(communication="<a href='https://x" * (LIMIT // 18)),
    "comments": health(communication="<p><!--" * (LIMIT // 7)),
    "entities": health(communication="&amp;" * (LIMIT // 5)),
    "long entity": health(communication="&#" + "9" * LIMIT + ";"),
    "blanks": health(communication="<p>" + " " * LIMIT + "</p>"),
    "services": health(impactedServices=json.dumps([{"ServiceName": f"s{number}"} for number in range(9000)])),
    "long id": common(alertTargetIDs=["/subscriptions/s/providers/a" + "/b/c" * 60000]),
    "slashes": common(alertTargetIDs=["/" * LIMIT]),
    "alert id": common(alertId="providers/microsoft.alertsmanagement/alerts/" * (LIMIT // 44)),
    "rule": common(alertRule="r" * LIMIT),
    "encoded rule": common(alertRule=None, alertRuleID="/a/" + "%20" * (LIMIT // 3)),
    "description": common(description="日" * (LIMIT // 3)),
    "keys": many(15000, 1),
    "unknown context": common(many(15000, 1), monitoringService="Tomorrow", signalType=None),
    "time": common(firedDateTime="1" * LIMIT),
    "severity": common(severity="Sev" * (LIMIT // 3)),
    "resources of another cloud": {
        "properties": {
            "resourceDetails": {
                "Source": "Aws",
                "NativeResourceId": "日" * 1000,
                "ResourceName": "日" * 900,
                "ResourceType": "日" * 60000,
            },
            "status": {"code": "Unhealthy"},
            "displayName": "x",
        },
        "id": f"/subscriptions/{SUB}/providers/Microsoft.Security/assessments/{GUID}",
        "type": "Microsoft.Security/assessments",
    },
    "everything at once": common(
        log(
            searchQuery="日" * 4000,
            linkToSearchResultsUI=LINK,
            dimensions=[{"name": "_ResourceId", "value": "日" * 255}],
        ),
        many(200, "日" * 1900),
        alertTargetIDs=[
            f"/subscriptions/{SUB}/resourceGroups/{'日' * 400}/providers/a/b/{'日' * 400}{n}" for n in range(60)
        ],
        configurationItems=["日" * 256 + str(n) for n in range(60)],
        alertRule="日" * 512,
        alertRuleID="/a/" + "日" * 1000,
        description="日" * 9000,
        investigationLink=LINK,
        severity="日" * 40,
        monitorCondition="日" * 40,
    ),
    "junk": [1] * 50000,
    "alerts": [common()] * 300,
}


@pytest.mark.parametrize("name", HUGE)
def test_the_largest_payloads_are_read_in_time_and_fit(name: str) -> None:
    started = time.thread_time()
    found = parse(HUGE[name], RECEIVED)
    assert time.thread_time() - started < SECONDS
    assert found
    for item in found:
        if isinstance(item, Signal):
            assert size_of(item) <= LARGEST


@pytest.mark.parametrize("part", ["id", "name", "type", "resource_group", "subscription_id"])
def test_resources_are_bounded_however_they_came_to_be(part: str) -> None:
    texts: list[dict[str, Any]] = [{"id": "/a", "name": "b", part: "日" * 1024 + str(n)} for n in range(60)]
    resources = tuple(Resource(**text) for text in texts)
    warnings = tuple("日" * 199 + str(n) for n in range(20))
    found = fit(
        Signal(
            source="s", kind="k", key="alert:1:" + "日" * 365, state=SignalState.FIRED, occurred_at=RECEIVED,
            title="日" * 255, description="日" * 8000, condition="日" * 2000, rule="日" * 512, rule_id="日" * 1024,
            resources=resources, warnings=warnings, links={"portal": LINK}, origin="日" * 1000,
            details={f"d{n}": "日" * 2000 for n in range(90)}, dimensions={"日" * 200: "日" * 2000},
        )
    )  # fmt: skip
    assert size_of(found) <= LARGEST
    assert found.resources


def test_a_description_is_cut_before_its_condition_and_says_so() -> None:
    context = metric({"metricName": "m", "metricValue": 2, "operator": "GreaterThan", "threshold": "1"})
    signal = read(common(context, description="word " * 3000))
    assert len(signal.description) <= 8000
    assert signal.description.endswith("…\n\nm 2 is greater than 1 over 5 minutes")
    assert signal.warnings == ("The description was cut.",)


def test_a_title_is_cut_to_255_characters() -> None:
    signal = read(common(alertRule="r" * 300))
    assert len(signal.title) == 255
    assert signal.title.endswith("…")


def test_values_are_cut_to_2000_characters_and_queries_to_4000() -> None:
    signal = read(common(log(searchQuery="q" * 5000), custom={"long": "v" * 2500, "short": "v"}))
    assert len(signal.details["search_query"]) == 4000
    assert len(signal.custom_properties["long"]) == 2000
    assert signal.custom_properties["short"] == "v"
    assert signal.warnings == ("Some of the custom properties (1) were cut.", "Some of the details (1) were cut.")


def test_a_detail_that_is_no_query_is_cut_to_2000_characters() -> None:
    signal = read(common({"expression": "e" * 2500}, monitoringService="Prometheus"))
    assert len(signal.details["expression"]) == 2000


def test_a_long_condition_is_cut() -> None:
    criteria = [{"metricName": "m" * 400, "metricValue": number} for number in range(8)]
    signal = read(common(metric(*criteria)))
    assert len(signal.condition) == 2000
    assert signal.description == signal.condition
    assert signal.warnings == ("The condition was cut.",)


@pytest.mark.parametrize("size", range(100, 4000, 130))
def test_the_quick_look_never_lets_a_signal_pass_that_is_too_large(size: int) -> None:
    name = "日" * 190
    body = common(
        metric({"metricName": "日" * min(size, 1900), "metricValue": "日" * 50}),
        many(size // 200, "日" * 190),
        alertRule="日" * min(size, 500),
        alertId=None,
        alertTargetIDs=[name, name + "2"],
        description="日" * size,
    )
    assert size_of(read(body)) <= LARGEST


def test_values_at_the_limit_are_whole() -> None:
    signal = read(common(log(searchQuery="q" * 4000), custom={"long": "v" * 2000}))
    assert signal.details["search_query"] == "q" * 4000
    assert signal.custom_properties["long"] == "v" * 2000
    assert signal.warnings == ()


def test_the_first_50_resources_and_100_entries_are_kept() -> None:
    targets = [f"{VM}-{number}" for number in range(51)]
    signal = read(common(metric(dimensions=[]), custom=many(101, "v"), alertTargetIDs=targets))
    assert [resource.id for resource in signal.resources] == targets[:50]
    assert list(signal.custom_properties) == list(many(100, "v"))
    assert signal.warnings == (
        "Only the first 50 resources are listed.",
        "Only the first 100 custom properties are kept.",
    )


def test_maps_shrink_before_prose_and_links_stay_whole() -> None:
    context = log(searchQuery="q" * 4000, linkToSearchResultsUI=LINK)
    body = common(context, custom=many(100, "v" * 1900), investigationLink=LINK, description="word " * 1500)
    signal = read(body)
    assert size_of(signal) <= LARGEST
    assert signal.links["search"] == signal.links["investigation"] == LINK
    assert len(signal.description) > 3500
    assert len(signal.custom_properties) < 100


def test_an_alert_of_ordinary_size_is_kept_as_it_is() -> None:
    custom = many(20, "v" * 100)
    signal = read(common(metric({"metricName": "m"}), custom, description="word " * 200))
    assert signal.custom_properties == custom
    assert signal.description.startswith(("word " * 200).strip())
    assert signal.warnings == ()
