"""Dimensions, custom properties, tags and links: objects of text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.payloads.values import web_link
from tests.payloads.support import ALERT_ID, SUB, activity_log, common, event, fixture, log, metric, metric_alert, read

PAGE = (
    "https://portal.azure.com/#blade/Microsoft_Azure_Monitoring_Alerts/AlertDetails.ReactView/alertId/"
    + ALERT_ID.replace("/", "%2F")
)


def test_every_value_becomes_text_and_nothing_is_left_out() -> None:
    custom = {"n": 3, "f": 1.5, "t": True, "o": {"a": [1]}, "l": ["x"], "z": None, "e": "", "s": " x ", "lit": "N/A"}
    assert read(common(custom=custom)).custom_properties == {
        "n": "3",
        "f": "1.5",
        "t": "true",
        "o": '{"a":[1]}',
        "l": '["x"]',
        "s": "x",
        "lit": "N/A",
    }


@pytest.mark.parametrize("context", [metric(), log(searchQuery="q"), {"SearchQuery": "q", "ResultCount": 1}])
def test_properties_of_the_rule_win_over_those_of_the_action(context: dict[str, Any]) -> None:
    body = common({**context, "properties": {"team": "action", "only": "action"}}, {"team": "rule"})
    assert read(body).custom_properties == {"team": "rule", "only": "action"}


def test_properties_of_the_action_stand_when_the_rule_has_none() -> None:
    absent: tuple[Any, ...] = (None, {}, "", [])
    for nothing in absent:
        body = common(metric(properties={"team": "action"}), nothing)
        assert read(body).custom_properties == {"team": "action"}


@pytest.mark.parametrize("service", ["Activity Log - Administrative", "ServiceHealth", "Resource Health"])
def test_the_properties_of_an_event_are_no_custom_properties(service: str) -> None:
    assert read(event(service, None, title="x", stage="Active")).custom_properties == {}


def test_the_older_schemas_have_properties_beside_the_context_or_null() -> None:
    body = metric_alert()
    assert read(body).custom_properties == {}
    body["data"]["properties"] = {"team": "shop"}
    assert read(body).custom_properties == {"team": "shop"}
    activity = activity_log({"eventDataId": "e"})
    activity["data"]["properties"] = {"team": "shop"}
    assert read(activity).custom_properties == {"team": "shop"}


def test_dimensions_of_all_criteria_are_one_object() -> None:
    first = [{"name": "Api", "value": "Get"}, {"name": "Geo", "value": None}, {"name": "Count", "value": 3}, "odd", {}]
    second = [{"name": "Api", "value": "Put"}, {"name": "Api", "value": "Get"}]
    body = common(metric({"metricName": "a", "dimensions": first}, {"metricName": "b", "dimensions": second}))
    assert read(body).dimensions == {"Api": "Get, Put", "Count": "3"}


def test_dimensions_given_as_an_object_are_read() -> None:
    assert read(common(metric({"metricName": "a", "dimensions": {"Api": "Get"}}))).dimensions == {"Api": "Get"}


@pytest.mark.parametrize("name", ["tags", "Tags", "TAGS"])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_property_or_dimension_called_tags_is_spread(name: str, as_text: bool) -> None:
    tags = {"env": "prod", "Cost centre": 4711, "none": None}
    value = json.dumps(tags) if as_text else tags
    wanted = {"env": "prod", "Cost centre": "4711"}
    assert read(common(custom={name: value})).tags == wanted
    dimension = {"name": name, "value": value}
    assert read(common(log(searchQuery="q", dimensions=[dimension]))).tags == wanted


@pytest.mark.parametrize("value", ["prod", "[1]", "{broken", None, 7, ["a"]])
def test_tags_that_are_no_object_are_just_a_property(value: Any) -> None:
    assert read(common(custom={"tags": value})).tags == {}


def test_labels_of_prometheus_are_tags() -> None:
    signal = read(fixture("common/prometheus-fired"))
    assert signal.tags["severity"] == "warning"
    assert signal.severity == 3


def test_the_portal_link_is_built_from_the_alert_id() -> None:
    assert read(common()).links == {"portal": PAGE}
    assert read(common(alertId=ALERT_ID.lstrip("/"))).links == {"portal": PAGE}
    assert read(common(alertId="alert-7")).links == {}


@pytest.mark.parametrize("cloud", ["us", "cn"])
def test_the_portal_is_that_of_the_alerts_own_cloud(cloud: str) -> None:
    investigation = common(investigationLink=f"https://portal.azure.{cloud}/#view/x")
    api_only = common(log(searchQuery="q", linkToSearchResultsAPI=f"https://api.loganalytics.{cloud}/v1"))
    old = common({"SearchQuery": "q", "LinkToSearchResultsApi": f"https://api.loganalytics.{cloud}/v1"})
    for body in (investigation, api_only, old):
        assert read(body).links["portal"].startswith(f"https://portal.azure.{cloud}/#blade/")


def test_searches_link_to_pages_for_people_the_filtered_one_first() -> None:
    links = {
        "linkToSearchResultsUI": "https://portal.azure.com#@t/all",
        "linkToFilteredSearchResultsUI": "https://portal.azure.com#@t/filtered",
        "linkToSearchResultsAPI": "https://api.loganalytics.io/v1/all",
        "linkToFilteredSearchResultsAPI": "https://api.loganalytics.io/v1/filtered",
    }
    assert read(common(log(searchQuery="q", **links))).links["search"] == "https://portal.azure.com#@t/filtered"
    del links["linkToFilteredSearchResultsUI"]
    assert read(common(log(searchQuery="q", **links))).links["search"] == "https://portal.azure.com#@t/all"
    del links["linkToSearchResultsUI"]
    assert "search" not in read(common(log(searchQuery="q", **links))).links


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            "https://portal.azure.com/#@contoso.example/resource/x",
            "https://portal.azure.com/#@contoso.example/resource/x",
        ),
        ("https://portal.azure.com#@t/blade", "https://portal.azure.com#@t/blade"),
        ("HTTP://portal.azure.cn/", "HTTP://portal.azure.cn/"),
        ("https://portal.azure.com/a b/é", "https://portal.azure.com/a%20b/%C3%A9"),
        ('https://portal.azure.com/"><script>', "https://portal.azure.com/%22%3E%3Cscript%3E"),
        ("https://user@evil.example/", ""),
        ("https://portal.azure.com@evil.example/", ""),
        ("https://portal.azure.com:port/", ""),
        ("https://[bad", ""),
        ("https:///nohost", ""),
        ("https://", ""),
        ("javascript:alert(1)", ""),
        ("//portal.azure.com", ""),
        ("LINK", ""),
        ("", ""),
    ],
)
def test_only_whole_web_addresses_are_links(given: str, shown: str) -> None:
    assert web_link(given) == shown


def test_what_is_no_link_is_left_out_and_reported() -> None:
    signal = read(common(investigationLink="ftp://portal.azure.com/"))
    assert signal.links == {"portal": PAGE}
    assert signal.warnings == ("The investigation link is no web address and was left out.",)


@pytest.mark.parametrize("nothing", [None, "", "None", "null"])
def test_an_absent_link_is_not_reported(nothing: str | None) -> None:
    signal = read(common(investigationLink=nothing))
    assert signal.links == {"portal": PAGE}
    assert signal.warnings == ()


def test_a_link_is_never_cut() -> None:
    fits = "https://portal.azure.com/" + "x" * (4096 - 25)
    assert read(common(investigationLink=fits)).links["investigation"] == fits
    signal = read(common(investigationLink=fits + "x"))
    assert "investigation" not in signal.links
    assert signal.warnings == ("The investigation link is longer than 4096 characters and was left out.",)


def test_a_given_portal_link_of_the_older_schemas_is_kept() -> None:
    link = f"https://portal.azure.com/#resource/subscriptions/{SUB}"
    assert read(metric_alert(portalLink=link)).links == {"portal": link}
