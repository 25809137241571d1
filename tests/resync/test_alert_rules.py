"""Which state an alert has to have, by its ticket."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.azure_monitor.settings import AlertStateSettings
from connectors.azure_monitor.write_back_rules import AlertId, alert_id, wanted
from shared.core.link import Link, LinkStage
from shared.core.signal import FIRED_RANK, RESOLVED_RANK
from shared.core.ticket_system import TicketKind, TicketRef

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
ALERTS = "providers/Microsoft.AlertsManagement/alerts"
NEW, DOING, DONE, OVER = {"1", "New"}, {"2", "In Progress", "working"}, {"6", "Resolved"}, {"7", "Closed"}

LINK = Link(
    key="alert:1:x",
    generation=1,
    stage=LinkStage.OPEN,
    connection="desk",
    ticket=TicketRef(TicketKind.INCIDENT, "a" * 32, "alert:1:x", "INC0010001"),
    latest=(NOW, FIRED_RANK),
    origin=f"/subscriptions/{SUBSCRIPTION}/{ALERTS}/a1",
)


@pytest.mark.parametrize(
    ("called", "changes", "expected"),
    [
        (NEW, {}, ""),
        (NEW, {"owner": "Beth Anglin"}, "Acknowledged a1"),
        (DOING, {}, "Acknowledged a1"),
        (DOING, {"last_pushed": "Closed a1"}, "Acknowledged a1"),
        (NEW, {"last_pushed": "Acknowledged a1"}, "New a1"),
        (NEW, {"last_pushed": "New a1"}, "New a1"),
        (DONE, {"stage": LinkStage.RESOLVED}, "Closed a1"),
        (OVER, {"stage": LinkStage.CLOSED}, "Closed a1"),
        (set(), {"stage": LinkStage.CLOSED}, "Closed a1"),  # deleted
        # another alert of the same problem begins anew
        (NEW, {"last_pushed": "Closed a0"}, ""),
        (DOING, {"last_pushed": "Acknowledged a0"}, "Acknowledged a1"),
        # Azure said itself that it is over
        (DONE, {"stage": LinkStage.RESOLVED, "latest": (NOW, RESOLVED_RANK)}, ""),
        (OVER, {"stage": LinkStage.CLOSED, "latest": (NOW, RESOLVED_RANK), "last_pushed": "Acknowledged a1"}, ""),
        (DOING, {"latest": (NOW, RESOLVED_RANK)}, "Acknowledged a1"),  # people reopened it
        # nobody can be told, or there is nothing to tell
        (DOING, {"origin": ""}, ""),
        (DOING, {"ticket": None}, ""),
        (DOING, {"stage": LinkStage.NONE}, ""),
    ],
)
def test_what_the_alert_has_to_be(called: set[str], changes: dict[str, object], expected: str) -> None:
    link = replace(LINK, **changes)  # type: ignore[arg-type]  # fields by name
    assert wanted(link, AlertStateSettings(), called) == expected


def test_conditions_are_compared_without_case_and_closing_goes_first() -> None:
    settings = AlertStateSettings.model_validate({"acknowledge": ["OPEN"], "close": ["in progress"]})
    assert wanted(LINK, settings, NEW) == "Acknowledged a1"
    assert wanted(LINK, settings, DOING) == "Closed a1"
    by_value = AlertStateSettings.model_validate({"acknowledge": [], "close": ["2"]})
    assert wanted(LINK, by_value, DOING) == "Closed a1"
    told = replace(LINK, stage=LinkStage.RESOLVED, latest=(NOW, RESOLVED_RANK))
    assert wanted(told, AlertStateSettings(ended=True), DONE) == "Closed a1"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (f"/subscriptions/{SUBSCRIPTION.upper()}/{ALERTS}/A1", AlertId(SUBSCRIPTION, "a1")),
        (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/x/y/z/{ALERTS.lower()}/a1/",
            AlertId(SUBSCRIPTION, "a1"),
        ),
        (f"/providers/Microsoft.Management/managementGroups/mg/{ALERTS}/a1", None),
        (f"/subscriptions/{SUBSCRIPTION}/{ALERTS}/a1/history", None),
        (f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Security/assessments/a1", None),
        ("", None),
    ],
)
def test_where_an_alert_lives_is_read_from_its_id(origin: str, expected: AlertId | None) -> None:
    assert alert_id(origin) == expected
