"""Payloads that people reported, from the body to the tickets that come of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.registry import REGISTRY
from shared.core.messages import SignalMessage, UnreadableMessage
from shared.core.problem import Problem
from shared.core.ticket_system import Phase, TicketKind
from shared.web.intake import accept, read_json
from tests.delivery.world import Row, World

_FIXTURES = Path(__file__).parent.parent / "fixtures" / "reported"


class Reported:
    """A world into which bodies are posted, each at the time that its alert says."""

    def __init__(self, **options: Any) -> None:
        self.world = World(**options)
        self.reasons: list[str] = []

    def post(self, body: Any, at: datetime | None = None) -> None:
        """Take a body in, and work off what is due by then."""
        later = self.world.now + timedelta(days=3650)  # no time of the body lies in the future
        read = accept(body, later, REGISTRY.schemas, REGISTRY.foreign).messages
        times = [one.signal.occurred_at for one in read if isinstance(one, SignalMessage)]
        arrival = at or max([self.world.now, *(time for time in times if time < later)])
        for message in accept(body, arrival, REGISTRY.schemas, REGISTRY.foreign).messages:
            if isinstance(message, SignalMessage):
                self.world.now = max(self.world.now, at or message.signal.occurred_at)
                self.world.queue.put(message)
                self.world.work_off(self.world.now)
            elif isinstance(message, UnreadableMessage):
                self.reasons.append(message.unreadable.reason)

    @property
    def rows(self) -> list[Row]:
        return list(self.world.desk.rows.values())

    @property
    def titles(self) -> list[str]:
        return [draft.fields["short_description"] for draft in self.world.desk.drafts]

    @property
    def descriptions(self) -> list[str]:
        return [draft.fields["description"] for draft in self.world.desk.drafts]


def bodies(name: str) -> list[Any]:
    """The bodies of a fixture, in the order in which they were sent."""
    found = json.loads((_FIXTURES / f"{name}.json").read_text("utf-8"))
    return found if isinstance(found, list) and found else [found]


def posted(*names: str, **options: Any) -> Reported:
    reported = Reported(**options)
    for name in names:
        for body in bodies(name):
            reported.post(body)
    return reported


@pytest.mark.parametrize("name", ["advisor-thrice-common", "advisor-thrice-noncommon"])
def test_a_recommendation_that_advisor_repeats_is_one_ticket_with_notes(name: str) -> None:
    reported = posted(name)
    (ticket,) = reported.rows
    assert len(ticket.notes) == 2
    assert "Severity: Sev2" in reported.descriptions[0]


def test_a_recommendation_is_the_same_ticket_in_both_schemas() -> None:
    assert len(posted("advisor-thrice-common", "advisor-thrice-noncommon").rows) == 1


def test_a_security_event_that_two_rules_report_is_one_ticket_without_a_note() -> None:
    (ticket,) = posted("security-event-of-two-rules").rows
    assert ticket.notes == []


def test_evaluations_of_a_prometheus_rule_are_one_ticket_whatever_their_alert_ids() -> None:
    (ticket,) = posted("prometheus-new-alertid-each-evaluation").rows
    assert (ticket.phase, len(ticket.notes)) == (Phase.OPEN, 4)


def test_a_prometheus_alert_that_comes_and_goes_is_held_open_and_resolved_when_it_stays_quiet() -> None:
    reported = posted("prometheus-flapping-new-alertids", route="flapping: {changes: 2, within: 30m}")
    (ticket,) = reported.rows
    assert ticket.phase is Phase.OPEN
    assert any("flapping" in note.lower() for note in ticket.notes)
    reported.world.work_off(datetime(2026, 11, 28, 7, 10, tzinfo=UTC))
    assert [row.phase for row in reported.rows] == [Phase.RESOLVED]


def test_series_of_one_prometheus_rule_are_tickets_of_their_own() -> None:
    reported = Reported()
    for namespace in ("shop", "bank"):
        (body,) = bodies("prometheus-without-severity")
        body["data"]["alertContext"]["labels"]["namespace"] = namespace
        reported.post(body)
    assert len(reported.rows) == 2


def test_the_target_is_known_where_a_relay_sends_the_name_that_the_api_has_for_it() -> None:
    reported = posted("essentials-targetresource-instead-of-alerttargetids")
    assert reported.titles == ["cpu high on vm-shop-1"]


def test_titles_name_a_nested_resource_with_what_it_is_nested_in() -> None:
    assert posted("metric-nested-resource-names").titles == [
        "nest vmss on vmss-web/0",
        "nest blob on stshop/default",
        "nest slot on app-shop/staging",
        "nest db on sql-shop/master",
        "nest twin on vm-twin",
    ]


def test_each_test_of_an_action_group_opens_a_ticket_that_says_it_is_a_test() -> None:
    reported = posted("test-action-group-samples")
    assert [row.phase for row in reported.rows] == [Phase.OPEN] * 3
    assert all(title.startswith("[Test] ") for title in reported.titles)
    assert all("This is a test" in text for text in reported.descriptions)


def test_a_test_that_is_sent_again_opens_a_ticket_again_and_its_end_resolves_it() -> None:
    body, *_ = bodies("test-action-group-samples")
    again = json.loads(json.dumps(body).replace("2026-11-20T12:00:00Z", "2026-11-20T12:07:00Z"))
    over = json.loads(json.dumps(again).replace('"Fired"', '"Resolved"'))
    over["data"]["essentials"]["resolvedDateTime"] = "2026-11-20T12:09:00Z"
    reported = Reported()
    for one in (body, body, again, over):  # the second is a repetition of the first
        reported.post(one)
    assert [row.phase for row in reported.rows] == [Phase.OPEN, Phase.RESOLVED]
    assert [row.notes for row in reported.rows] == [[], []]


@pytest.mark.parametrize("name", ["resource-health-no-transition", "resource-health-activated-but-available"])
def test_resource_health_that_reports_no_outage_opens_nothing(name: str) -> None:
    assert posted(name).rows == []


def test_a_route_makes_no_ticket_of_what_people_did_themselves() -> None:
    quiet = "routes:\n- {name: people, when: {details: {cause: UserInitiated}}, ticket: none}\n"
    assert posted("resource-health-user-stopped", sections=quiet).rows == []
    assert len(posted("metric-rule-name-brackets", sections=quiet).rows) == 1


def test_routes_tell_causes_of_resource_health_apart() -> None:
    by_people = "{name: people, when: {details: {cause: UserInitiated}}, connection: desk, ticket: change_request}"
    for name, kind in (
        ("resource-health-user-stopped", TicketKind.CHANGE_REQUEST),
        ("metric-rule-name-brackets", TicketKind.INCIDENT),
    ):
        (ticket,) = posted(name, sections=f"routes:\n- {by_people}\n").rows
        assert ticket.kind is kind


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("logicapp-triggeroutputs-wrapper", "cpu high on vm-shop-1"),
        ("logicapp-body-as-string", "cpu high on vm-shop-1"),
        ("logicapp-body-content-base64", "cpu high on vm-shop-1"),
        ("servicebus-contentdata-base64", "cpu high on vm-shop-1"),
        ("recommendation-logicapp-body-wrapper", "Endpoint protection should be installed on machines on vm-shop-1"),
    ],
)
def test_an_alert_is_found_in_the_envelope_of_a_relay(name: str, title: str) -> None:
    reported = posted(name)
    assert (reported.titles, reported.reasons) == ([title], [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sentinel-incident-trigger", "an incident of Microsoft Sentinel"),
        ("prometheus-alertmanager-native", "a notification of Prometheus Alertmanager"),
        ("empty-object", "This is an empty JSON object."),
        ("null", "This is no JSON object"),
    ],
)
def test_what_is_no_alert_is_kept_with_its_name(name: str, reason: str) -> None:
    reported = posted(name)
    assert reported.rows == []
    assert len(reported.reasons) == 1
    assert reason in reported.reasons[0]


def test_an_empty_array_makes_nothing_and_a_text_is_refused() -> None:
    assert posted("empty-array").rows == []
    for name in ("json-string-literal", "null"):
        with pytest.raises(Problem) as caught:
            read_json((_FIXTURES / f"{name}.json").read_bytes(), "application/json")
        assert caught.value.status == 400


#: Payloads that were always read right: title, severity, and phase of each ticket.
RIGHT = {
    "availability-test-two-targets-resolved": [],
    "backup-fired-then-resolved": [("Backup Failure on vm-shop-1", "resolved")],
    "log-v2-arc-machine-resourceid-dimension": [("heartbeat lost on onprem-01", "open")],
    "log-v2-container-insights-pod": [("heartbeat lost on aks-shop", "open")],
    "log-v2-dimension-empty-and-long": [("heartbeat lost on dup", "open")],
    "log-v2-dynamic-threshold": [("heartbeat lost on vm-shop-1", "open")],
    "log-v2-resolved-dimensions-null": [],
    "metric-alerttargetids-string": [("cpu high on vm-shop-1", "open")],
    "metric-customproperties-nested": [("cpu high on vm-shop-1", "open")],
    "metric-customproperties-placeholders": [("cpu high on vm-shop-1", "open")],
    "metric-description-html-code-tags": [("cpu high on vm-shop-1", "open")],
    "metric-multiple-alerttargetids": [("cpu high on vm-shop-1", "open")],
    "metric-noncommon-pascalcase-deactivated": [],
    "metric-resolved-time-before-fired-time": [("T1 resolved before fired on vm-shop-1", "resolved")],
    "metric-rule-name-brackets": [("[PROD] CPU high on vm-shop-1", "open")],
    "prometheus-without-severity": [("shop rules/HighErrorRate on aks-shop", "open")],
    "recommendation-delete-properties-null": [
        ("Endpoint protection should be installed on machines on vm-del-1", "resolved")
    ],
    "recommendation-severity-critical-risk": [
        ("Endpoint protection should be installed on machines on vm-shop-1", "open")
    ],
    "recommendation-subscription-scoped": [("MFA should be enabled on accounts with owner permissions", "open")],
    "recommendation-unwrapped-properties-null": [("Recommendation x on vm-shop-1", "open")],
    "recommendation-without-metadata": [("Endpoint protection should be installed on machines on vm-shop-1", "open")],
    "service-health-billing": [("Your invoice section changes on 1 January", "open")],
    "smart-detection-failure-anomalies": [],
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_read_right_stays_right(name: str) -> None:
    reported = posted(name)
    assert list(zip(reported.titles, (row.phase.value for row in reported.rows), strict=True)) == RIGHT[name]
    assert reported.reasons == []


def test_a_long_rule_name_is_cut_in_the_title_only() -> None:
    reported = posted("metric-rule-name-260")
    assert reported.titles[0].startswith("Very long rule name xxx")


def test_a_security_alert_goes_through_its_statuses_on_one_ticket() -> None:
    reported = posted("security-alert-export-statuses")
    assert {row.correlation.partition("#")[0] for row in reported.rows} == {"security_alert:1:2517-abc-1"}
    assert reported.reasons == []
