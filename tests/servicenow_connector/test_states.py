"""States by name and by stored value, and the shipped state models."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.servicenow import ServiceNow
from connectors.servicenow.states import CHANGE_MODEL, PROBLEM_MODEL, StateOverrides
from connectors.servicenow.tables import TicketTable, ticket_tables
from shared.core.ticket_system import Closure, Phase, TicketKind, TicketRef
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.scripted import Echo, Instance

CHANGE = TicketKind.CHANGE_REQUEST


def table(kind: TicketKind, **states: Any) -> TicketTable:
    return ticket_tables(StateOverrides.model_validate({kind.value: states}))[kind]


def test_shipped_states_have_the_names_of_the_base_system(connector: ServiceNow) -> None:
    assert connector.state_name(TicketKind.INCIDENT, "6") == "Resolved"
    assert connector.state_name(TicketKind.PROBLEM, "103") == "Root Cause Analysis"
    assert connector.state_name(CHANGE, "-1") == "Implement"
    assert connector.state_name(CHANGE, "17") == "17"
    assert connector.state_name(TicketKind.EVENT, "Closing") == "Closing"


def test_a_connection_names_its_states_and_the_others_keep_theirs(connect: Connect) -> None:
    connector = connect(states={"change_request": {"names": {-1: "In Arbeit", "17": "Wartet"}}})
    assert connector.state_name(CHANGE, "-1") == "In Arbeit"
    assert connector.state_name(CHANGE, "17") == "Wartet"
    assert connector.state_name(CHANGE, "0") == "Review"
    assert connector.state_name(TicketKind.INCIDENT, "6") == "Resolved"


def test_names_stand_for_values_wherever_a_state_is_set() -> None:
    change = table(
        CHANGE, names={-1: "In Arbeit", 3: "Fertig"}, resolved="fertig", reopened="In Arbeit", steps=["IN ARBEIT", "0"]
    )
    assert (change.resolved, change.reopened, change.steps) == ("3", "-1", ("-1", "0"))
    incident = table(TicketKind.INCIDENT, closed=["Closed", 8, "70"])
    assert incident.closed == {"7", "8", "70"}


def test_a_name_of_the_base_system_that_was_given_away_means_its_new_state() -> None:
    """Here "Review" is what the instance calls state 17."""
    change = table(CHANGE, names={"0": "Nachschau", "17": "Review"}, resolved="Review")
    assert change.resolved == "17"
    assert change.value("Nachschau") == "0"


async def test_a_route_may_give_the_state_by_its_name(instance: Instance, connect: Connect) -> None:
    echo = instance.handler = Echo()
    echo.records["a" * 32] = {"sys_id": "a" * 32, "correlation_id": "alert:1:a", "state": "2", "active": "true"}
    connector = connect(states={"incident": {"names": {"6": "Erledigt"}}})
    ticket = await connector.resolve(
        TicketRef(TicketKind.INCIDENT, "a" * 32, "alert:1:a"), Closure({"state": "erledigt"})
    )
    assert instance.asked[0].json["state"] == "6"
    assert ticket.phase is Phase.RESOLVED


def test_a_renamed_state_is_still_known_by_the_name_of_the_base_system() -> None:
    assert table(CHANGE, names={"3": "Fertig"}, resolved="Closed").resolved == "3"


def test_a_mistaken_name_is_told_with_those_that_exist() -> None:
    with pytest.raises(ValidationError, match=r"no state is called 'Under Review'.*Implement \(-1\)"):
        table(CHANGE, resolved="Under Review")


def test_with_closed_as_the_end_review_is_a_step_on_the_way() -> None:
    change = table(CHANGE, resolved="Closed")
    assert [change.phase(state, "true") for state in ("-1", "0")] == [Phase.OPEN, Phase.OPEN]
    assert [change.phase(state, "false") for state in ("3", "4")] == [Phase.CLOSED, Phase.CLOSED]
    assert table(CHANGE).phase("0", "true") is Phase.CLOSED


@pytest.mark.parametrize(
    ("kind", "state", "target", "ahead"),
    [
        ("normal", "-5", "0", ("-4", "-3", "-2", "-1", "0")),
        ("standard", "-5", "3", ("-2", "-1", "0", "3")),
        ("emergency", "-5", "-1", ("-3", "-2", "-1")),
        ("something else", "-4", "-2", ("-3", "-2")),
        ("normal", "-1", "0", ("0",)),
        ("normal", "3", "0", ()),
        ("normal", "-3", "4", ("4",)),
        ("normal", "17", "0", ()),
    ],
)
def test_what_lies_ahead_of_a_change(kind: str, state: str, target: str, ahead: tuple[str, ...]) -> None:
    assert CHANGE_MODEL.ahead(kind, state, target, ("-2", "-1", "0")) == ahead


def test_steps_of_the_instance_take_the_place_of_the_shipped_path() -> None:
    steps = ("-1", "17", "18")
    assert CHANGE_MODEL.ahead("normal", "-1", "0", steps) == ("17", "18", "0")
    assert CHANGE_MODEL.ahead("normal", "-3", "0", steps) == ("-1", "17", "18", "0")
    assert PROBLEM_MODEL.ahead("", "104", "900", ("104",)) == ("900",)


def test_approvals_lead_to_authorize_and_scheduled_but_for_standard_changes() -> None:
    assert [CHANGE_MODEL.by_approval("normal", state) for state in ("-4", "-3", "-2", "-1")] == [
        False,
        True,
        True,
        False,
    ]
    assert not CHANGE_MODEL.by_approval("standard", "-2")
    assert CHANGE_MODEL.by_approval("emergency", "-2")
    assert not CHANGE_MODEL.by_approval("emergency", "-3")
