"""The line and the blocks as values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budget import QuotaRules, line, plan
from shared.budget.state import Circuit, QuotaState, closes, opens
from tests.budget.world import START

RULES = QuotaRules(calls=100)
HOUR = 3600.0


def waiting(count: int, now: float = START) -> QuotaState:
    """A spent window and so many in line."""
    state = plan.roll(QuotaState("line"), RULES, now)
    state = replace(state, ordinary=100)
    state, first = line.join(state, RULES, now, False, count)
    assert first == 1
    return state


@given(count=st.integers(2, 1_000), passes=st.floats(0, 30))
def test_turns_come_in_order_and_a_turn_has_come_when_it_was_promised(count: int, passes: float) -> None:
    state = waiting(count)
    promised = [line.due(state, RULES, False, place, START) for place in range(1, count + 1)]
    assert promised == sorted(promised)
    assert promised[0] >= START + 55 * 60 - 30
    now = START + passes * HOUR
    for place in (1, count // 2 + 1, count):
        assert line.is_turn(state, RULES, False, place, max(now, promised[place - 1]))


def test_what_is_promised_to_an_hour_is_what_it_allows() -> None:
    state = waiting(1_000)
    promised = [line.due(state, RULES, False, place, START) for place in range(1, 1_001)]
    second = opens(RULES, 0.0, state.window + 2)
    in_second = [at for at in promised if second < at <= second + HOUR]
    assert 95 <= len(in_second) <= 98
    assert all(at <= closes(RULES, 0.0, state.window + 2) + 0.001 for at in in_second)


def test_the_turn_stands_still_while_nothing_may_be_called() -> None:
    state = waiting(500)
    later = START + 3 * HOUR
    asleep = replace(state, circuit=Circuit(1, START, later))
    cooling = replace(state, cool_until=later)
    for stopped in (asleep, cooling):
        assert line.progress(stopped, RULES, False, later) == 0
        assert line.due(stopped, RULES, False, 1, START) >= later
    assert line.progress(state, RULES, False, later) > 150
    moved = plan.close_circuit(
        replace(asleep, circuit=replace(asleep.circuit, prober="w")), RULES, later + 2 * HOUR, "w"
    )
    assert line.progress(moved, RULES, False, later + 2 * HOUR) == 0


def test_who_found_no_call_in_turn_is_still_first() -> None:
    state = plan.roll(waiting(300), RULES, START + 2.5 * HOUR)
    head = state.waiting.head
    assert head > 100
    state = line.set_back(state, False, 50)
    assert state.waiting.head == 49
    assert line.is_turn(state, RULES, False, 50, START + 2.5 * HOUR)


def test_what_got_its_call_is_promised_no_other() -> None:
    state = plan.roll(waiting(300), RULES, START + HOUR)
    now = START + HOUR
    ahead = int(state.waiting.head) + 2
    assert line.reached(state, RULES, now, False, ahead).waiting.head == ahead
    assert line.reached(state, RULES, now, False, 1).waiting.head == state.waiting.head
    far = line.reached(state, RULES, now, False, 290).waiting.head
    assert far <= state.waiting.head + 2  # one block


def test_calls_of_an_earlier_window_are_worth_nothing() -> None:
    state = replace(plan.roll(QuotaState("line"), RULES, START), ordinary=50)
    assert plan.give_back(state, state.window, ordinary=5).ordinary == 45
    assert plan.give_back(state, state.window - 1, ordinary=5) == state


def test_refusals_that_several_workers_report_are_one_cool_down() -> None:
    once = plan.cool_down(QuotaState("line"), RULES, START, None, 0.5)
    again = plan.cool_down(once, RULES, START + 1, None, 0.5)
    assert (again.cool_until, again.cool_downs) == (once.cool_until, 1)
    assert plan.cool_down(again, RULES, START + 1, 300.0, 0.5).cool_until == START + 301


@pytest.mark.parametrize("per", [10.0, 60.0, 600.0])
def test_pauses_fit_the_length_of_windows(per: float) -> None:
    rules, state, now = QuotaRules(calls=10, per=per), QuotaState("line"), START
    for _ in range(10):
        state = plan.cool_down(state, rules, now, None, 0.5)
        assert state.cool_until - now <= per
        now = state.cool_until
    assert plan.cool_down(QuotaState("line"), rules, START, None, 0.5).cool_until - START == min(30.0, per / 10)
