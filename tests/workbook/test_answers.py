"""Every query, run over rows whose numbers are known. The texts are those that are deployed, with parameters filled in
as a workbook does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.log_analytics.columns import LOG_TABLE, TICKETS_TABLE
from local.workbook.queries import filled, read
from local.workbook.workspace import Workspace
from tests.workbook.scenario import ALERT, DATA, SHOP, WEB, ago, filled_logs, status, ticket, values


@pytest.fixture(scope="module")
def logs() -> Iterator[Workspace]:
    found = filled_logs()
    yield found
    found.close()


def answer(logs: Workspace, name: str, *columns: str, **changed: str) -> list[tuple[Any, ...]]:
    """Rows of a query of the workbook, these columns of each."""
    rows = logs.run(filled(read(f"workbook/{name}"), values(**changed))).dicts()
    return [tuple(_plain(row[one]) for one in columns) for row in rows]


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def by(logs: Workspace, function: str, *columns: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Rows of a function by connection and id."""
    rows = logs.run(f"{function}()").dicts()
    found = {(row["Connection"], row["SysId"]): tuple(_plain(row[one]) for one in columns) for row in rows}
    assert len(found) == len(rows), "a ticket is there twice"
    return found


def test_given_rows_sent_twice_late_and_of_two_instances_when_tickets_are_asked_for_then_each_is_there_once_and_newest(
    logs: Workspace,
) -> None:
    tickets = by(logs, "ServiceDeskTickets", "ServiceDeskId_s", "State", "Deleted")
    assert tickets == {
        ("prod", "id-1"): ("INC0000001", "Resolved", False),
        ("prod", "id-2"): ("INC0000002", "On Hold", False),
        ("prod", "id-3"): ("INC0000003", "Awaiting info", False),
        ("prod", "id-4"): ("INC0000004", "New", True),
        ("prod", "id-5"): ("CHG0000005", "Scheduled", False),
        ("prod", "id-6"): ("CHG0000006", "Closed", False),
        ("prod", "id-7"): ("INC0000007", "New", False),
        ("test", "id-1"): ("INC0000001", "New", False),
    }


def test_given_a_deleted_ticket_when_tickets_are_asked_for_then_it_keeps_its_title_and_says_when_it_went(
    logs: Workspace,
) -> None:
    tickets = by(logs, "ServiceDeskTickets", "Title_s", "DeletedDate_t", "LastModifiedDate_t")
    assert tickets["prod", "id-4"] == ("Made by mistake", ago(6), ago(7))
    assert [one for one, (_, gone, _) in tickets.items() if gone] == [("prod", "id-4")]


def test_given_a_ticket_that_was_deleted_and_restored_when_tickets_are_asked_for_then_it_is_there_again() -> None:
    logs = Workspace()
    gone = ticket("id-9", ago(2), 0, Deleted=True, RecordId="gone", Phase="")
    logs.add(TICKETS_TABLE, [ticket("id-9", ago(3), 1), gone, ticket("id-9", ago(1), 2)])
    assert by(logs, "ServiceDeskTickets", "Deleted") == {("prod", "id-9"): (False,)}
    assert set(by(logs, "ServiceDeskOpenTickets", "State")) == {("prod", "id-9")}
    # Deleted in the second of its last change.
    logs.add(TICKETS_TABLE, [ticket("id-9", ago(1), 0, Deleted=True, RecordId="gone-again", Phase="")])
    assert by(logs, "ServiceDeskTickets", "Deleted") == {("prod", "id-9"): (True,)}
    logs.close()


def test_given_resolved_closed_and_deleted_tickets_when_open_ones_are_asked_for_then_they_are_left_out(
    logs: Workspace,
) -> None:
    # id-3: its phase is not known, and nobody ended it.
    open_ = {("prod", "id-2"), ("prod", "id-3"), ("prod", "id-5"), ("prod", "id-7"), ("test", "id-1")}
    assert set(by(logs, "ServiceDeskOpenTickets", "State")) == open_


def test_given_a_row_sent_twice_when_changes_are_asked_for_then_each_change_is_there_once(logs: Workspace) -> None:
    rows = [row["RecordId"] for row in logs.run("ServiceDeskChanges()").dicts()]
    assert len(rows) == len(set(rows)) == 13
    assert rows.count("prod-id-1-1") == 1


def test_given_a_crash_a_resend_and_a_rehearsal_when_actions_are_asked_for_then_each_decision_is_there_once(
    logs: Workspace,
) -> None:
    found = logs.run("ServiceDeskActions()").dicts()
    rows = sorted((int(row["SignalId"].removeprefix("signal-")), row["Decision"]) for row in found)
    assert rows == [
        (1, "created"), (2, "commented"), (3, "resolved"), (4, "created"), (5, "resolved"), (6, "reopened"),
        (7, "suppressed"), (8, "suppressed"), (9, "flapping"), (10, "no_ticket"), (11, "dead_lettered"),
    ]  # fmt: skip


def test_given_tickets_of_alerts_and_of_people_when_both_are_asked_for_then_each_has_its_first_alert_or_none(
    logs: Workspace,
) -> None:
    columns = ("OfBridge", "AlertRule", "Signals", "FiredAt", "SubscriptionId", "ResourceType")
    tickets = by(logs, "ServiceDeskAlertTickets", *columns)
    machine, database = "microsoft.compute/virtualmachines", "microsoft.sql/servers"
    assert tickets["prod", "id-1"] == (True, "High CPU", 3, ago(10, seconds=20), SHOP, machine)
    # No configuration item: subscription and type are those of the alert.
    assert tickets["prod", "id-2"] == (True, "Slow queries", 3, ago(6, seconds=100), DATA, database)
    # A change that a person made: those of its configuration item.
    assert tickets["prod", "id-5"][0] is False
    assert tickets["prod", "id-5"][4:] == (SHOP, machine)
    # The same number and id in another instance has nothing to do with the alert.
    assert tickets["test", "id-1"][:3] == (False, None, None)
    assert len(tickets) == 8


def test_work_items_created_by_day_and_kind_without_those_that_were_deleted(logs: Workspace) -> None:
    rows = answer(logs, "work_items_created", "Time", "Kind", "Tickets")
    day = timedelta(hours=12)
    assert rows == [
        (ago(10) - day, "Incident", 1),
        (ago(6) - day, "Incident", 1),
        (ago(3) - day, "Incident", 1),
        (ago(2) - day, "Incident", 1),
        (ago(1) - day, "ChangeRequest", 1),
    ]


def test_work_items_by_kind_and_state(logs: Workspace) -> None:
    assert answer(logs, "work_items_by_state", "Kind", "State", "Tickets") == [
        ("ChangeRequest", "Scheduled", 1),
        ("Incident", "Awaiting info", 1),
        ("Incident", "New", 1),
        ("Incident", "On Hold", 1),
        ("Incident", "Resolved", 1),
    ]


def test_given_a_connection_or_a_subscription_is_chosen_then_only_its_tickets_count(logs: Workspace) -> None:
    assert answer(logs, "work_items_by_state", "State", "Tickets", Connection="'test'") == [("New", 1)]
    assert answer(logs, "work_items_by_state", "State", Subscription=f"'{DATA}'") == [("On Hold",)]
    both = answer(logs, "work_items_by_state", "State", Connection="'prod','test'", Subscription=f"'{SHOP}','{DATA}'")
    assert sorted(both) == [("On Hold",), ("Resolved",), ("Scheduled",)]
    assert answer(logs, "alert_rules", "AlertRule", Subscription=f"'{SHOP}'") == [("High CPU",)]
    assert answer(logs, "reopened", "AlertRule", Connection="'test'") == []


def test_impacted_computers(logs: Workspace) -> None:
    columns = ("Computer", "Tickets", "OfAlerts", "Open", "Newest")
    assert answer(logs, "impacted_computers", *columns) == [("web-01", 2, 1, 1, ago(2)), ("sql-01", 1, 1, 1, ago(6))]


def test_each_connection_is_shown_as_its_newest_row_says_with_its_lag_and_budget(logs: Workspace) -> None:
    columns = ("Connection", "State", "CallsUsed", "BudgetPercent", "Waiting", "DeadLetters", "Error")
    assert answer(logs, "connector_status", *columns) == [
        ("prod", "ok", 500, 50.0, 3, 1, ""),
        ("test", "failing", 50, None, 0, 1, "calls fail: not_authorised"),  # it has no limit
    ]
    ((late, seen), _) = answer(logs, "connector_status", "LagMinutes", "Seen")
    assert late == pytest.approx((datetime.now(UTC) - seen).total_seconds() / 60 + 1, abs=1)


def test_errors_name_the_connection_or_the_alert_rule(logs: Workspace) -> None:
    assert answer(logs, "connector_errors", "Connection", "What", "Error", "Times", "AlertRule") == [
        ("test", "connection", "calls fail: not_authorised", 1, ""),
        ("prod", "dead_lettered", "Data Policy Exception", 1, "Slow queries"),
    ]


def test_alert_rules_by_the_tickets_that_were_opened_for_them(logs: Workspace) -> None:
    assert answer(logs, "alert_rules", "AlertRule", "Tickets", "Open", "Signals") == [
        ("High CPU", 1, 0, 3),
        ("Slow queries", 1, 1, 3),
    ]


def test_seconds_from_alert_to_ticket_count_the_first_row_and_no_rehearsal(logs: Workspace) -> None:
    rows = answer(logs, "alert_to_ticket", "Time", "Median", "P95")
    assert rows == [(ago(10, hours=12), 20, 20), (ago(6, hours=12), 100, 100)]
    by_severity = answer(logs, "alert_to_ticket_by_severity", "Severity", "Tickets", "Median", "P95", "BridgeP95")
    assert by_severity == [("Sev1", 1, 20, 20, 2.0), ("Sev3", 1, 100, 100, 4.0)]


def test_hours_to_resolve(logs: Workspace) -> None:
    assert answer(logs, "time_to_resolve", "Kind", "Priority", "Tickets", "MeanHours") == [
        ("ChangeRequest", "(none)", 1, 936.0),
        ("Incident", "2 - High", 1, 38.0),
    ]


def test_rules_whose_problems_came_back(logs: Workspace) -> None:
    assert answer(logs, "reopened", "AlertRule", "Reopened", "Flapping", "Signals") == [("Slow queries", 1, 1, 7)]


def test_what_was_suppressed_and_by_which_rule(logs: Workspace) -> None:
    assert answer(logs, "suppressed", "Rule", "Decision", "Signals", "AlertRules") == [
        ("maintenance of sql-01", "suppressed", 2, 1),
        ("flapping", "flapping", 1, 1),
        ("route informational", "no_ticket", 1, 1),
    ]


def test_tickets_by_subscription_and_type_of_resource(logs: Workspace) -> None:
    assert answer(logs, "by_subscription", "SubscriptionId", "ResourceType", "Tickets", "Open") == [
        (SHOP, "microsoft.compute/virtualmachines", 2, 1),
        (DATA, "microsoft.sql/servers", 1, 1),
    ]


def test_open_changes_stand_beside_the_alerts_of_their_resource(logs: Workspace) -> None:
    rows = answer(logs, "changes_beside_alerts", "Change", "ResourceId", "Alerts", "LastAlert", "AlertRule")
    assert rows == [("CHG0000005", WEB, 1, ago(9), "High CPU")]


def test_a_row_leads_to_the_ticket_and_to_the_alert(logs: Workspace) -> None:
    rows = answer(logs, "tickets", "Ticket", "Connection", "State", "Url", "AlertUrl", "SysId")
    assert [row[:3] for row in rows] == [
        ("CHG0000005", "prod", "Scheduled"),
        ("CHG0000006", "prod", "Closed"),
        ("INC0000001", "test", "New"),
        ("INC0000003", "prod", "Awaiting info"),
        ("INC0000002", "prod", "On Hold"),
        ("INC0000004", "prod", "(deleted)"),
        ("INC0000001", "prod", "Resolved"),
    ]
    *others, web = rows
    assert web[3] == "https://contoso.service-now.com/nav_to.do?uri=incident.do?sys_id=id-1"
    assert web[4] == (
        "https://portal.azure.com/#blade/Microsoft_Azure_Monitoring_Alerts/AlertDetails.ReactView/alertId/"
        f"%2Fsubscriptions%2F{SHOP}%2Fproviders%2FMicrosoft.AlertsManagement%2Falerts%2F{ALERT}"
    )
    assert {row[4] for row in others} == {""}, "no alert of Azure, or a key that is no alert's id"


def test_the_history_of_a_ticket_is_what_the_bridge_did_and_what_became_of_it(logs: Workspace) -> None:
    assert answer(logs, "ticket_history", "Time", "What", "State") == [
        (ago(10), "bridge: created", "fired"),
        (ago(10), "ticket", "New"),
        (ago(9), "bridge: commented", "fired"),
        (ago(9), "ticket", "In Progress"),
        (ago(9, hours=-14), "bridge: resolved", "resolved"),
        (ago(9, hours=-14), "ticket", "Resolved"),
    ]
    assert answer(logs, "ticket_history", "Time", TicketConnection="test") == [(ago(2),)]


def test_choices_are_all_connections_and_the_subscriptions_of_tickets(logs: Workspace) -> None:
    assert answer(logs, "connections", "Connection") == [("prod",), ("test",)]
    assert answer(logs, "subscriptions", "SubscriptionId") == [(SHOP,), (DATA,)]


def late(*rows: dict[str, Any], threshold: int = 30) -> dict[str, float]:
    """Minutes by connection, of which the alert rule tells."""
    logs = Workspace()
    logs.add(LOG_TABLE, rows)
    found = logs.run(filled(read("alerts/export_lag"), values(ThresholdMinutes=str(threshold)))).dicts()
    logs.close()
    return {row["Connection"]: row["LagMinutes"] for row in found}


def now(minutes: float = 0) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def test_given_an_export_that_is_in_time_when_the_alert_rule_runs_then_nothing_fires() -> None:
    assert late(status("prod", now(5)), status("prod", now(60), LagSeconds=9000.0)) == {}
    assert late() == {}, "nothing was ever exported"


def test_given_one_connection_is_late_when_the_alert_rule_runs_then_it_alone_is_named() -> None:
    found = late(status("prod", now(5), LagSeconds=3600.0), status("test", now(5)))
    assert found == {"prod": pytest.approx(65, abs=0.5)}
    assert late(status("prod", now(5), LagSeconds=3600.0), threshold=120) == {}


def test_given_an_export_that_stopped_when_the_alert_rule_runs_then_the_age_of_its_newest_row_counts() -> None:
    """Also without a lag, as in a back-fill or of a connection whose log alone is exported."""
    found = late(status("prod", now(90), LagSeconds=None), status("test", now(91)))
    assert found == {"prod": pytest.approx(90, abs=0.5), "test": pytest.approx(92, abs=0.5)}


def test_given_a_connection_that_was_removed_when_the_alert_rule_runs_then_its_old_rows_do_not_fire() -> None:
    assert late(status("removed", now(300)), status("prod", now(5))) == {}


@pytest.mark.parametrize(("waiting", "fires"), [({}, 0), ({"DeadLetters": 2}, 1), ({"Quarantined": 1}, 1)])
def test_given_dead_letters_or_quarantine_when_the_alert_rule_runs_then_it_fires_until_the_newest_row_has_none(
    waiting: dict[str, int], fires: int
) -> None:
    logs = Workspace()
    logs.add(LOG_TABLE, [status("prod", now(20), **waiting)])
    assert len(logs.run(read("alerts/parked")).dicts()) == fires
    logs.add(LOG_TABLE, [status("test", now(5))])
    assert logs.run(read("alerts/parked")).dicts() == []
    logs.close()
