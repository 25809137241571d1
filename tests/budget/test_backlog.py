"""Positions and their ETA as values."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.budget import QuotaRules
from shared.budget.backlog import Backlog, add_positions, due_position, eta_of, is_due, mark_served, set_back
from shared.budget.circuit import Circuit, close_circuit
from shared.budget.quota import Quota, roll, window_closes, window_opens
from shared.budget.store import BudgetState, advance, capacity_of, change_circuit
from tests.budget.fakes import START

RULES = QuotaRules(calls=100)
HOUR = 3600.0


def waiting(count: int, now: float = START) -> BudgetState:
    """A spent window and so many deliveries that wait."""
    quota = replace(roll(Quota(), RULES, now), ordinary=100)
    state = BudgetState(Backlog("backlog"), quota)
    backlog, first = add_positions(state.backlog, capacity_of(state, RULES), now, False, count)
    assert first == 1
    return replace(state, backlog=backlog)


def due(state: BudgetState, now: float) -> float:
    return due_position(state.backlog, capacity_of(state, RULES), False, now)


def eta(state: BudgetState, position: int, now: float) -> float:
    return eta_of(state.backlog, capacity_of(state, RULES), False, position, now)


def may_begin(state: BudgetState, position: int, now: float) -> bool:
    return is_due(state.backlog, capacity_of(state, RULES), False, position, now)


def served(state: BudgetState, position: int, now: float) -> float:
    return mark_served(state.backlog, capacity_of(state, RULES), now, False, position).ordinary.due


@given(count=st.integers(2, 1_000), passes=st.floats(0, 30))
def test_positions_come_due_in_order_and_are_due_when_it_was_promised(count: int, passes: float) -> None:
    state = waiting(count)
    promised = [eta(state, position, START) for position in range(1, count + 1)]
    assert promised == sorted(promised)
    assert promised[0] >= START + 55 * 60 - 30
    now = START + passes * HOUR
    for position in (1, count // 2 + 1, count):
        assert may_begin(state, position, max(now, promised[position - 1]))


def test_what_is_promised_to_an_hour_is_what_it_allows() -> None:
    state = waiting(1_000)
    promised = [eta(state, position, START) for position in range(1, 1_001)]
    second = window_opens(RULES, 0.0, state.quota.window + 2)
    in_second = [at for at in promised if second < at <= second + HOUR]
    assert 95 <= len(in_second) <= 98
    assert all(at <= window_closes(RULES, 0.0, state.quota.window + 2) + 0.001 for at in in_second)


def test_the_position_that_is_due_stands_still_while_nothing_may_be_called() -> None:
    state = waiting(500)
    later = START + 3 * HOUR
    asleep = replace(state, circuit=Circuit(1, START, later))
    cooling = replace(state, quota=replace(state.quota, cool_until=later))
    for stopped in (asleep, cooling):
        assert due(stopped, later) == 0
        assert eta(stopped, 1, START) >= later
    assert due(state, later) > 150
    probed = replace(asleep, circuit=replace(asleep.circuit, prober="w"))
    closed = change_circuit(probed, RULES, later + 2 * HOUR, lambda circuit: close_circuit(circuit, "w"))
    assert closed.circuit.is_closed
    assert due(closed, later + 2 * HOUR) == 0


def test_a_delivery_that_was_due_and_found_no_call_is_still_first() -> None:
    state = advance(waiting(300), RULES, START + 2.5 * HOUR)
    assert state.backlog.ordinary.due > 100
    state = replace(state, backlog=set_back(state.backlog, False, 50))
    assert state.backlog.ordinary.due == 49
    assert may_begin(state, 50, START + 2.5 * HOUR)


def test_a_delivery_that_got_its_call_is_promised_no_other() -> None:
    now = START + HOUR
    state = advance(waiting(300), RULES, now)
    before = state.backlog.ordinary.due
    assert served(state, int(before) + 2, now) == int(before) + 2
    assert served(state, 1, now) == before
    assert served(state, 290, now) <= before + 2  # one lease
