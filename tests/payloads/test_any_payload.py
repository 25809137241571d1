"""Whatever arrives: nothing raises, everything is accounted for, and every signal keeps its promises."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.bridge.payloads.problem import REASONS
from shared.core.signal import Signal, SignalState, Unreadable, from_dict, to_dict
from shared.payloads.builder import LARGEST
from tests.payloads.support import DETAILS, RECEIVED, every_name, fixture, names, parse

KINDS: dict[str, set[str]] = {
    "azure_monitor": {
        *("metric", "log", "activity", "service_health", "resource_health", "prometheus", "smart_detection", "budget"),
        *("backup", "autoscale", "other"),
    },
    "defender": {"recommendation", "sub_assessment", "security_alert"},
    "secure_score": {"control"},
    "manual": {"manual"},
    "bridge": set(REASONS),
}

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 1.5, 2**70, 10**400, float("nan"), float("inf"), -float("inf")),
    *("", "  ", "null", "None", "N/A", "<null>", "\ud800bad\x00\x07", "\u2028", "x" * 5000, "日" * 3000, "İstanbul"),
    *("/", "//", "/subscriptions/", "/subscriptions/a/resourceGroups", "/providers/", "a/providers/b", "a|b\\c"),
    *("[]", "{}", "[1,2", '{"a":1}', "[[[]]]", "[" * 2000, '{"tags": {"a": 1}}'),
    *("0001-01-01T00:00:00", "9999-12-31T23:59:59.9999999Z", "2022-01-01T00:00:00+14:00", "1/1/2020", "13/45/2020"),
    *("PT5M", "P99999999D", "7.00:00:00", "&#" + "9" * 5000 + ";", "&lt;p&gt;a&lt;/p&gt;", "<a<a<a", "Sev3", "5"),
    *("http://[bad", "https://portal.azure.com:99999/", "https://u@h/", "https://portal.azure.us/x y", "$1,000.00"),
    *([], {}, [[]], [None], [{}], {"": None}, {"a": {"b": [1, {"c": "d"}]}}, ["a", "b"]),
    *([{"name": "x", "value": {"y": 1}}], [{"name": None, "value": None}], {"tags": {"a": 1}}),
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(codec=None), max_size=8),
    st.sampled_from([value for value in ODD if not isinstance(value, dict | list)]),
)
words = st.sampled_from(
    [
        *("schemaId", "data", "essentials", "alertContext", "customProperties", "properties", "context", "condition"),
        *("allOf", "alertId", "alertRule", "status", "activityLog", "records", "value", "RequestBody", "WebhookName"),
        *("AlertRuleName", "SearchQuery", "operation", "monitoringService", "conditionType", "labels", "tags"),
        *(
            "type",
            "id",
            "name",
            "resourceDetails",
            "SystemAlertId",
            "AlertType",
            "ContentData",
            "Body",
            "SystemProperties",
        ),
        *("profile", "score", "controlCategory", "maxScore", "controlScores", "azureTenantId", "metadata"),
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(words | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=25,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a payload with every place in it."""
    inside = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for place, found in inside:
        yield value, place
        if isinstance(found, dict | list):
            yield from places(found)


def distort(body: Any, chance: random.Random) -> Any:
    """A copy of a payload with a few of its values dropped, exchanged, repeated, renamed or wrapped."""
    body = json.loads(json.dumps(body))
    for _ in range(chance.choice([1, 1, 2, 3, 6, 12])):
        found = list(places(body))
        if not found:
            break
        container, place = chance.choice(found)
        change = chance.randrange(6)
        if change == 0:
            container.pop(place)
        elif change == 1:
            container[place] = json.loads(json.dumps(chance.choice(ODD)))
        elif change == 2:
            container[place] = [container[place], container[place]]
        elif change == 3:
            container[place] = {"value": container[place]}
        elif change == 4 and isinstance(place, str):
            container[place.swapcase()] = container.pop(place)
        else:
            container[place] = json.dumps(container[place])
    return body


def check(body: Any) -> None:
    """Read a payload and hold every item to what a signal promises."""
    found = parse(body, RECEIVED)
    if isinstance(body, list):
        assert len(found) >= len(body)
    else:
        assert found
    for item in found:
        if isinstance(item, Unreadable):
            assert item.reason
            assert not item.reason.startswith("Reading this payload failed"), item.reason
        else:
            check_signal(item)


def check_signal(signal: Signal) -> None:
    written = json.dumps(to_dict(signal), allow_nan=False)
    assert len(written) <= LARGEST
    written.encode()
    json.dumps(to_dict(signal), ensure_ascii=False).encode()  # no lone surrogate is left anywhere
    assert from_dict(json.loads(written)) == signal
    assert signal.kind in KINDS[signal.source]
    kind, version, payload = signal.key.split(":", 2)
    assert kind.replace("_", "").isalpha()
    assert version == "1"
    assert payload.strip()
    assert signal.key == signal.key.lower().strip()
    assert signal.severity in (None, 0, 1, 2, 3, 4)
    for moment in (signal.occurred_at, signal.fired_at, signal.resolved_at):
        assert moment is None or moment.utcoffset() == timedelta(0)
    assert signal.title
    assert len(signal.title) <= 255
    assert "\n" not in signal.title
    assert len(signal.description) <= 8000
    assert signal.opens is not True or signal.state is not SignalState.RESOLVED
    assert signal.details.keys() <= DETAILS[signal.source].keys()
    for entries in (signal.dimensions, signal.custom_properties, signal.tags, signal.details, signal.links):
        assert len(entries) <= 100
        for name, value in entries.items():
            assert isinstance(name, str)
            assert name
            assert isinstance(value, str)
            assert value
    assert signal.links.keys() <= {"portal", "investigation", "search"}
    assert all(link.lower().startswith(("https://", "http://")) for link in signal.links.values())
    known = [
        (resource.id or "").lower().strip("/") or "name:" + (resource.name or "").lower()
        for resource in signal.resources
    ]
    assert len(known) == len(set(known)) <= 50
    assert all(resource.name for resource in signal.resources)


@pytest.mark.parametrize(("source", "examples"), [("azure_monitor", 1200), ("defender", 800), ("secure_score", 400)])
def test_distorted_payloads_never_raise_and_signals_keep_their_promises(source: str, examples: int) -> None:
    @given(st.sampled_from(names(source)), st.integers(0, 2**32))
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def distorted(name: str, seed: int) -> None:
        check(distort(fixture(name, source), random.Random(seed)))

    distorted()


@given(st.one_of(st.lists(anything, max_size=4), st.dictionaries(words | st.text(max_size=8), anything, max_size=6)))
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example({"data": {"essentials": {"alertId": "\ud800"}}})
@example({"data": {"essentials": {"alertId": "a", "alertTargetIDs": ["\x00/\x00"]}}})
@example({"data": {"essentials": {"alertId": "a"}, "alertContext": {"condition": {"allOf": [{"metricName": "\n"}]}}}})
def test_any_json_never_raises(body: Any) -> None:
    check(body)


@pytest.mark.parametrize(("source", "name"), every_name())
@pytest.mark.parametrize("odd", [None, "", 7, [], {}, "null", [None], {"a": None}])
def test_any_one_value_may_be_anything(source: str, name: str, odd: Any) -> None:
    original = json.dumps(fixture(name, source))
    count = len(list(places(json.loads(original))))
    for number in range(count):
        body = json.loads(original)
        container, place = list(places(body))[number]
        container[place] = odd
        check(body)


def test_nesting_to_the_limit_of_the_decoder_is_survived() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = {"a": [deep]}
    for path in ("custom", "context", "essentials"):
        body = fixture("common/metric-static-fired")
        if path == "custom":
            body["data"]["customProperties"] = {"deep": deep}
        elif path == "context":
            body["data"]["alertContext"] = deep
        else:
            body["data"]["essentials"]["alertTargetIDs"] = deep
        check(body)
    check(deep)
    check([deep])
