"""When it happened: every notation in use, and which time counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.signal import Signal
from shared.core.times import rfc3339
from shared.payloads.values import in_words, moment, span
from tests.payloads.support import RECEIVED, activity_log, common, event, fixture, metric_alert, parse, read


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # the parts are year to microsecond


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-05T08:15:18Z", utc(2024, 3, 5, 8, 15, 18)),
        ("2024-03-05T08:15:18.4Z", utc(2024, 3, 5, 8, 15, 18, 400000)),
        ("2024-03-05T08:15:18.12Z", utc(2024, 3, 5, 8, 15, 18, 120000)),
        ("2024-03-05T08:15:18.99645Z", utc(2024, 3, 5, 8, 15, 18, 996450)),
        ("2024-03-05T08:15:18.6892387Z", utc(2024, 3, 5, 8, 15, 18, 689238)),
        ("2021-10-12T00:32:38.1239171", utc(2021, 10, 12, 0, 32, 38, 123917)),
        ("2021-10-12T00:32:38.607+00:00", utc(2021, 10, 12, 0, 32, 38, 607000)),
        ("2021-10-12T02:32:38.1239171+02:00", utc(2021, 10, 12, 0, 32, 38, 123917)),
        ("2024-02-22 09:46:54Z", utc(2024, 2, 22, 9, 46, 54)),
        ("2022-11-01", utc(2022, 11, 1)),
        ("3/22/2019 1:36:31 PM", utc(2019, 3, 22, 13, 36, 31)),
        ("3/22/2019 12:00:01 AM", utc(2019, 3, 22, 0, 0, 1)),
        ("06/25/2017 19:59:39", utc(2017, 6, 25, 19, 59, 39)),
        ("6/1/2018", utc(2018, 6, 1)),
        ("11/17/2021 5:40:29 PM -08:00", utc(2021, 11, 18, 1, 40, 29)),
        ("Wed, 21 Aug 2019 16:17:47 GMT", utc(2019, 8, 21, 16, 17, 47)),
        (" 2024-03-05T08:15:18Z ", utc(2024, 3, 5, 8, 15, 18)),
    ],
)
def test_every_notation_met_in_the_field_is_read_in_utc(text: str, expected: datetime) -> None:
    found = moment(text)
    assert found == expected
    assert found is not None
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "1/1/0001 12:00:00 AM",
        "9999-12-31T23:59:59.9999999",
        "0001-01-01T00:00:00+14:00",
        "13/45/2020 99:99:99 PM",
        "Mon, 99 Foo 2020 00:00:00 GMT",
        "yesterday",
        "",
        "null",
        None,
        1709626518,
        True,
        [],
        {},
        "\ud800",
    ],
)
def test_never_and_nonsense_are_no_time(value: Any) -> None:
    assert moment(value) is None


@pytest.mark.parametrize(
    ("value", "unit", "seconds", "words"),
    [
        ("PT5M", 60, 300, "5 minutes"),
        ("PT1M", 60, 60, "1 minute"),
        ("PT90M", 60, 5400, "1 hour 30 minutes"),
        ("PT1H", 60, 3600, "1 hour"),
        ("P1D", 60, 86400, "1 day"),
        ("P1DT2H3M4S", 60, 93784, "1 day 2 hours 3 minutes 4 seconds"),
        ("P2W", 60, 1209600, "14 days"),
        ("pt15m", 60, 900, "15 minutes"),
        ("7.00:00:00", 60, 604800, "7 days"),
        ("00:05:00", 60, 300, "5 minutes"),
        ("15", 60, 900, "15 minutes"),
        (3600, 1, 3600, "1 hour"),
    ],
)
def test_durations_are_spelt_out(value: Any, unit: int, seconds: int, words: str) -> None:
    assert span(value, unit) == seconds
    assert in_words(seconds) == words


@pytest.mark.parametrize("value", ["PT0S", "00:00:00", "0", 0, None, "", "soon", "P", "PT", True, [], float("nan")])
def test_no_window_is_no_duration(value: Any) -> None:
    assert span(value) is None


def test_a_resolution_before_its_firing_is_ordered_after_it() -> None:
    signal = read(fixture("common/metric-resolved-before-fired-empty-allof"))
    assert signal.fired_at is not None
    assert signal.resolved_at is not None
    assert signal.resolved_at < signal.fired_at
    assert signal.occurred_at == signal.fired_at


def test_a_resolution_is_dated_by_its_resolved_time() -> None:
    signal = read(fixture("common/metric-static-resolved"))
    assert signal.occurred_at == signal.resolved_at == utc(2024, 3, 5, 8, 31, 2, 118004)


@pytest.mark.parametrize("status", ["Deactivated", "Resolved"])
def test_the_end_of_an_older_alert_has_no_firing_time(status: str) -> None:
    for signal in (read(metric_alert(status)), read({**fixture("classic/metric-resolved"), "status": status})):
        assert signal.fired_at is None
        assert signal.resolved_at == signal.occurred_at


def test_a_health_resolution_is_dated_by_its_event_not_by_the_end_of_the_impact() -> None:
    properties = {"stage": "Resolved", "trackingId": "T", "impactMitigationTime": "2031-01-01T00:00:00Z"}
    for body in (
        event("ServiceHealth", None, **properties),
        activity_log({"eventSource": "ServiceHealth"}, **properties),
    ):
        assert read(body).resolved_at == utc(2024, 3, 5, 8, 14)
    operation = {"operationName": "Microsoft.Resourcehealth/healthevent/Resolved/action"}
    assert read(event("Resource Health", operation)).resolved_at == utc(2024, 3, 5, 8, 14)


def test_an_update_is_dated_by_its_event() -> None:
    signal = read(fixture("common/service-health-rca-updated"))
    assert signal.occurred_at == utc(2024, 10, 12, 0, 32, 18, 612196)


def test_a_flat_log_alert_fires_at_the_end_of_its_search_interval() -> None:
    signal = read(fixture("noncommon/log-v1-flat"))
    assert signal.fired_at == signal.occurred_at == utc(2021, 11, 16, 15, 16, 49)


@pytest.mark.parametrize("said", [None, "0001-01-01T00:00:00", "soon"])
def test_an_alert_without_time_is_dated_by_its_receipt_and_says_so(said: str | None) -> None:
    signal = read(common(firedDateTime=said))
    assert signal.fired_at is None
    assert signal.occurred_at == RECEIVED
    assert signal.warnings == ("The payload says no time; the time of its receipt is used.",)


def test_a_time_of_receipt_in_another_zone_becomes_utc() -> None:
    local = RECEIVED.astimezone(tz=None)
    (signal,) = parse(common(firedDateTime=None), local)
    (naive,) = parse(common(firedDateTime=None), RECEIVED.replace(tzinfo=None))
    assert isinstance(signal, Signal)
    assert isinstance(naive, Signal)
    assert rfc3339(signal.occurred_at) == rfc3339(naive.occurred_at) == "2030-01-02T03:04:05.678Z"


def test_milliseconds_survive() -> None:
    assert rfc3339(read(common()).fired_at) == "2024-03-05T08:15:18.689Z"


def test_a_time_in_the_future_is_the_time_of_receipt() -> None:
    ahead = (RECEIVED + timedelta(hours=1)).isoformat()
    signal = read(common(firedDateTime=ahead))
    assert signal.occurred_at == RECEIVED + timedelta(minutes=1)
    assert any("future" in warning for warning in signal.warnings)


def test_events_in_the_future_keep_the_order_in_which_they_arrive() -> None:
    times = []
    for second, minutes in enumerate((0, 5, 6, 500)):
        body = common(firedDateTime=(RECEIVED + timedelta(minutes=minutes)).isoformat())
        (item,) = parse(body, RECEIVED + timedelta(seconds=second))
        assert isinstance(item, Signal)
        times.append(item.occurred_at)
    assert times == sorted(set(times))


def test_a_clock_that_is_a_little_ahead_is_believed() -> None:
    ahead = RECEIVED + timedelta(seconds=59)
    signal = read(common(firedDateTime=ahead.isoformat()))
    assert signal.occurred_at == ahead
    assert signal.warnings == ()
