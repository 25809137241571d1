"""Fired, updated or resolved: by what a payload says of itself, never by its times or values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.signal import SignalState
from tests.payloads.support import VM, activity_log, common, event, fixture, metric, metric_alert, read


@pytest.mark.parametrize(
    ("stage", "state", "opens"),
    [
        ("Active", SignalState.FIRED, True),
        ("Planned", SignalState.FIRED, True),
        ("InProgress", SignalState.UPDATED, True),
        ("Rescheduled", SignalState.UPDATED, True),
        ("RCA", SignalState.UPDATED, False),
        ("Resolved", SignalState.RESOLVED, False),
        ("Complete", SignalState.RESOLVED, False),
        ("Canceled", SignalState.RESOLVED, False),
    ],
)
def test_a_service_health_stage_tells_state_and_whether_a_ticket_may_be_opened(
    stage: str, state: SignalState, opens: bool
) -> None:
    for body in (
        event("ServiceHealth", {"status": "Active"}, stage=stage, trackingId="AB1C-2DE"),
        activity_log({"eventSource": "ServiceHealth", "status": "Active"}, stage=stage, trackingId="AB1C-2DE"),
    ):
        signal = read(body)
        assert (signal.state, signal.opens) == (state, opens)


def test_a_service_health_event_without_stage_is_judged_by_its_status() -> None:
    signal = read(event("ServiceHealth", {"status": "Resolved"}, trackingId="AB1C-2DE"))
    assert signal.state is SignalState.RESOLVED
    assert signal.warnings == ()


def test_an_unknown_service_health_stage_counts_as_fired_and_is_reported() -> None:
    signal = read(event("ServiceHealth", None, stage="Simmering", trackingId="AB1C-2DE"))
    assert signal.state is SignalState.FIRED
    assert signal.warnings == ("The Service Health stage 'Simmering' is not known.",)


def operation(name: str) -> dict[str, Any]:
    return {"operationName": f"Microsoft.Resourcehealth/healthevent/{name}/action", "eventSource": "ResourceHealth"}


@pytest.mark.parametrize("current", ["Available", "Unavailable", "Degraded", "Unknown", None])
@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("Activated", SignalState.FIRED),
        ("Updated", SignalState.UPDATED),
        ("InProgress", SignalState.UPDATED),
        ("Pending", SignalState.UPDATED),
        ("Resolved", SignalState.RESOLVED),
    ],
)
def test_a_resource_health_operation_tells_the_state_and_an_available_resource_is_no_outage(
    name: str, state: SignalState, current: str | None
) -> None:
    if (name, current) == ("Activated", "Available"):
        state = SignalState.UPDATED
    signal = read(event("Resource Health", operation(name), currentHealthStatus=current))
    assert signal.state is state
    if state is SignalState.UPDATED:
        assert signal.opens is (current in ("Unavailable", "Degraded"))
    else:
        assert signal.opens is (state is SignalState.FIRED)


@pytest.mark.parametrize(
    ("previous", "current", "opens"),
    [
        ("Available", "Available", False),
        ("Unavailable", "Available", False),
        ("Unknown", "Unknown", False),
        ("Unknown", "unknown", False),
        # something is wrong, and this may be the first that anybody hears of it
        ("Unavailable", "Unavailable", True),
        ("Degraded", "Degraded", True),
        ("Available", "Unavailable", True),
        ("Available", "Degraded", True),
        ("Available", "Unknown", True),
        (None, None, True),
        ("Available", None, True),
    ],
)
@pytest.mark.parametrize("fields", [operation("Activated"), {"status": "Active", "eventSource": "ResourceHealth"}])
def test_resource_health_opens_nothing_where_nothing_changed_for_the_worse(
    fields: dict[str, Any], previous: str | None, current: str | None, opens: bool
) -> None:
    statuses = {"previousHealthStatus": previous, "currentHealthStatus": current}
    assert read(event("Resource Health", fields, **statuses)).opens is opens
    assert read(activity_log({**fields, "resourceId": VM}, **statuses)).opens is opens


@pytest.mark.parametrize(
    ("status", "current", "state"),
    [
        ("Active", "Unavailable", SignalState.FIRED),
        ("InProgress", "Unavailable", SignalState.UPDATED),
        ("Updated", "Available", SignalState.UPDATED),
        ("Resolved", "Available", SignalState.RESOLVED),
        ("Resolved", "Unavailable", SignalState.UPDATED),
    ],
)
def test_without_a_telling_operation_the_status_of_resource_health_counts(
    status: str, current: str, state: SignalState
) -> None:
    assert read(event("ResourceHealth", {"status": status}, currentHealthStatus=current)).state is state


def test_the_real_chain_of_a_database_ends_with_its_resolution_only() -> None:
    chain = [
        read(fixture(f"common/resource-health-{name}")) for name in ("activated-fired", "updated-available", "resolved")
    ]
    assert [signal.state for signal in chain] == [SignalState.FIRED, SignalState.UPDATED, SignalState.RESOLVED]
    assert len({signal.key for signal in chain}) == 1
    assert chain[0].order < chain[2].order
    assert chain[1].order < chain[2].order


@pytest.mark.parametrize("status", ["Started", "In Progress", "Succeeded", "Failed", "Active", "Resolved"])
def test_an_activity_event_is_fired_whatever_its_status(status: str) -> None:
    assert read(event("Activity Log - Administrative", {"status": status})).state is SignalState.FIRED


@pytest.mark.parametrize(("said", "state"), [("Fired", SignalState.FIRED), ("resolved", SignalState.RESOLVED)])
def test_monitor_condition_tells_the_state(said: str, state: SignalState) -> None:
    signal = read(common(monitorCondition=said))
    assert signal.state is state
    assert signal.opens is (state is SignalState.FIRED)


@pytest.mark.parametrize("said", [None, "", "Pending"])
def test_a_missing_or_unknown_monitor_condition_counts_as_fired_and_is_reported(said: str | None) -> None:
    signal = read(common(monitorCondition=said))
    assert signal.state is SignalState.FIRED
    assert any("monitorCondition" in warning for warning in signal.warnings)


def test_a_resolved_time_does_not_resolve_a_fired_alert() -> None:
    signal = read(common(resolvedDateTime="2024-03-05T09:00:00Z"))
    assert signal.state is SignalState.FIRED
    assert signal.opens
    assert signal.occurred_at == datetime(2024, 3, 5, 8, 15, 18, 689000, tzinfo=UTC)


def test_a_value_beyond_its_threshold_does_not_unresolve_an_alert() -> None:
    criterion = {"metricName": "m", "operator": "GreaterThan", "threshold": "1", "metricValue": 99}
    assert read(common(metric(criterion), monitorCondition="Resolved")).state is SignalState.RESOLVED


@pytest.mark.parametrize(
    ("status", "state"),
    [("Activated", SignalState.FIRED), ("Deactivated", SignalState.RESOLVED), ("Resolved", SignalState.RESOLVED)],
)
def test_status_tells_the_state_in_the_older_schemas(status: str, state: SignalState) -> None:
    classic = fixture("classic/metric-activated")
    for body in (metric_alert(status), {**classic, "status": status}):
        assert read(body).state is state


def test_an_unknown_classic_status_counts_as_fired_and_is_reported() -> None:
    signal = read({**fixture("classic/metric-activated"), "status": "Simmering"})
    assert signal.state is SignalState.FIRED
    assert signal.warnings == ("status says 'Simmering'; the alert is taken as fired.",)
