"""Governance rules: which one assigns, to whom, until when; and what never moves an assignment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.rules import assign, compile_rules, noticed, over
from connectors.defender.assignments.withdrawal import ended, ending
from connectors.defender.settings import GovernanceRuleSettings, IntegrationSettings
from shared.core.link import Link
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from tests.mapping.recommendations import DISKS, GROUP, SUBSCRIPTION, healed, recommendation

NOW = datetime(2026, 3, 2, 8, 30, 15, 250_000, tzinfo=UTC)
DESK = IntegrationSettings(name="prod", connection="desk", caller="beth.anglin")


def rule(name: str = "rule", **fields: Any) -> GovernanceRuleSettings:
    return GovernanceRuleSettings.model_validate({"name": name, "owner": {"value": "abel.tuter"}, **fields})


def assigned(
    *rules: GovernanceRuleSettings, signal: Signal | None = None, before: Assignment | None = None
) -> Assignment:
    found = assign(signal or recommendation(), compile_rules(rules), DESK, NOW, before)
    assert found is not None
    return found


def test_the_lowest_priority_is_tried_first_and_then_the_order_of_the_file() -> None:
    late, early, twin = rule("late"), rule("early", priority=3), rule("twin", priority=3)
    assert assigned(late, early, twin).rule == "early"
    assert assigned(late, twin, early).rule == "twin"
    assert assigned(late, replace_rule(twin, disabled=True), early).rule == "early"


def replace_rule(section: GovernanceRuleSettings, **changes: Any) -> GovernanceRuleSettings:
    return section.model_copy(update=changes)


@pytest.mark.parametrize(
    ("fields", "assigns"),
    [
        ({"scope": GROUP.upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")}, True),
        ({"scope": f"/subscriptions/{SUBSCRIPTION}", "excluded_scopes": [GROUP]}, False),
        ({"excluded_scopes": [GROUP + "-2"]}, True),
        ({"scope": GROUP + "-2"}, False),
        ({"when": {"severity": [0, 1]}}, True),
        ({"when": {"severity": [2]}}, False),
        ({"when": {"tags": {"env": "PROD"}}}, True),
        ({"recommendations": "disks should*"}, True),
        ({"recommendations": [DISKS.upper()]}, True),
        ({"recommendations": ["MFA*", "nothing"]}, False),
        ({"disabled": True}, False),
    ],
)
def test_scope_exclusion_condition_and_recommendation_decide(fields: dict[str, Any], assigns: bool) -> None:
    signal = recommendation(tags={"Env": "prod"})
    assert (assign(signal, compile_rules([rule(**fields)]), DESK, NOW) is not None) is assigns


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ({"value": "abel.tuter@contoso.example"}, "abel.tuter@contoso.example"),
        ({"tag": "costowner"}, "david.loo"),
        ({"tag": "COSTOWNER", "otherwise": "beth.anglin"}, "david.loo"),
        ({"tag": "team", "otherwise": "beth.anglin"}, "beth.anglin"),
        ({"tag": "blank", "otherwise": "beth.anglin"}, "beth.anglin"),
        ({"tag": "team"}, ""),
    ],
)
def test_an_owner_is_fixed_or_what_a_tag_says_in_any_case(owner: dict[str, str], expected: str) -> None:
    signal = recommendation(tags={"CostOwner": " david.loo ", "blank": " "})
    assert assigned(rule(owner=owner), signal=signal).owner == expected


def test_a_rule_gives_time_kind_grace_and_mails() -> None:
    made = assigned(rule(days=7, grace=True, notify_owner=False, notify_manager=True, ticket="problem"))
    assert made.due == datetime(2026, 3, 9, 8, 30, 15, tzinfo=UTC), "in whole seconds"
    assert (made.kind, made.integration) == (TicketKind.PROBLEM, "prod")
    assert (made.grace, made.notify_owner, made.notify_manager) == (True, False, True)
    assert (made.title, made.resource) == ("Disks should be encrypted", "vm-web-01")
    assert made.origin.endswith(f"/virtualMachines/vm-web-01/providers/Microsoft.Security/assessments/{DISKS}")


def test_without_an_integration_there_is_no_ticket_and_so_no_assignment() -> None:
    assert assign(recommendation(), compile_rules([rule()]), None, NOW) is None


@given(later=st.timedeltas(timedelta(), timedelta(days=400)), days=st.sampled_from([7, 14, 30, 90]))
def test_nothing_moves_an_open_assignment(later: timedelta, days: int) -> None:
    before = assigned(rule())
    edited = compile_rules([rule("edited", days=days, owner={"value": "somebody.else"}, priority=1)])
    again = recommendation(occurred_at=NOW + later)
    after = assign(again, edited, DESK, NOW + later, before)
    assert after == before
    seen = noticed(before, again)
    assert replace(seen, latest=before.latest) == before
    assert seen.latest == again.order
    assert noticed(seen, recommendation()) == seen, "an older event is passed over"


def test_the_end_is_that_of_the_finding_and_an_older_one_ends_nothing() -> None:
    before = noticed(assigned(rule()), recommendation(occurred_at=NOW))
    older = healed(recommendation(), NOW - timedelta(hours=1))
    assert over(older, (), DESK, NOW, before) == before
    after = over(healed(recommendation(), NOW, "exempted"), (), DESK, NOW, before)
    assert after is not None
    assert (after.ended_at, after.outcome, after.open) == (NOW, "exempted", False)
    assert over(healed(recommendation(), NOW, "exempted"), (), DESK, NOW + timedelta(days=1), after) == after
    assert over(older, (), DESK, NOW, None) is None


def test_a_finding_that_returns_starts_anew_and_a_firing_that_comes_twice_does_not() -> None:
    before = replace(
        assigned(rule(days=7)), last_pushed="something", ticket_key="x", overdue_since=NOW, reminded_at=NOW
    )
    ended = over(healed(recommendation(), NOW), (), DESK, NOW, before)
    assert ended is not None
    assert assigned(rule(), before=ended) == ended, "the firing that it ended"
    back = recommendation(occurred_at=NOW + timedelta(days=2))
    anew = assign(back, compile_rules([rule("other", days=14)]), DESK, NOW + timedelta(days=2), ended)
    assert anew is not None
    assert (anew.open, anew.rule, anew.due.day) == (True, "other", 18)
    assert (anew.overdue_since, anew.reminded_at, anew.ticket_key, anew.last_pushed) == (None, None, "", "something")
    assert assign(back, (), DESK, NOW, ended) is None, "its rule is gone"


def test_what_a_person_assigned_returns_with_its_finding_unless_it_was_taken_back() -> None:
    by_hand = replace(assigned(rule(days=14)), rule="", by="admin", fields={"x": "y"}, ticket_key="x")
    back = recommendation(occurred_at=NOW + timedelta(days=40))
    for outcome, returns in (("healthy", True), ("withdrawn", False)):
        ended = replace(by_hand, ended_at=NOW, outcome=outcome)
        anew = assign(back, (), DESK, NOW + timedelta(days=40), ended)
        assert anew is not None
        assert anew.open is returns
    anew = assign(back, (), DESK, NOW + timedelta(days=40), replace(by_hand, ended_at=NOW, outcome="healthy"))
    assert anew is not None
    assert (anew.owner, anew.by, anew.fields, anew.ticket_key) == ("abel.tuter", "admin", {"x": "y"}, "")
    assert anew.due == by_hand.due + timedelta(days=40), "with as much time as before"


def test_an_end_before_its_beginning_is_remembered_where_a_rule_would_assign() -> None:
    early = healed(recommendation(), NOW)
    assert over(early, compile_rules([rule(when={"severity": [4]})]), DESK, NOW, None) is None
    remembered = over(early, compile_rules([rule()]), DESK, NOW, None)
    assert remembered is not None
    assert (remembered.open, remembered.ticket_key) == (False, "")
    assert assigned(rule(), before=remembered) == remembered, "the firing that comes late"


def test_after_a_withdrawal_only_an_end_that_comes_after_all_that_was_noticed_counts() -> None:
    before = replace(assigned(rule()), latest=(NOW, 0))
    taken = ended(before, None, "Withdrawn by admin: sold.", NOW)
    again = recommendation(occurred_at=NOW + timedelta(hours=2))
    assert assign(again, compile_rules([rule()]), DESK, NOW, taken) == taken
    seen = noticed(taken, again)
    assert seen == replace(taken, latest=again.order)
    assert over(healed(recommendation(), NOW + timedelta(hours=1)), (), DESK, NOW, seen) == seen, "it was noticed later"
    healthy = over(healed(recommendation(), NOW + timedelta(hours=3)), (), DESK, NOW, seen)
    assert healthy is not None
    assert (healthy.outcome, healthy.ended_at, healthy.withdrawn) == ("healthy", NOW, "Withdrawn by admin: sold.")
    back = recommendation(occurred_at=NOW + timedelta(hours=4))
    assert assigned(rule(), signal=back, before=healthy).open


def test_the_end_that_a_withdrawal_makes_comes_right_behind_all_that_its_ticket_knows() -> None:
    before = replace(assigned(rule()), latest=(NOW, 0))
    hour = timedelta(hours=1)
    assert ending(before, None, "said", NOW).order == (NOW, 2)
    assert ending(before, Link(before.key, latest=(NOW + hour, 1)), "said", NOW).order == (NOW + hour, 2)
    assert ending(before, Link(before.key, resolved_by=(NOW + hour, 2)), "said", NOW).order > (NOW + hour, 2)
    assert ending(before, Link("group:1:x", latest=(NOW + hour, 1)), "said", NOW).order == (NOW, 2), "its own order"
    assert ending(replace(before, latest=None), None, "said", NOW).order == (NOW, 2)
    in_aws = replace(before, key="recommendation:1:arn:aws:s3/bucket/abc", origin="")
    assert ending(in_aws, None, "said", NOW).resources[0].id == "arn:aws:s3/bucket"
