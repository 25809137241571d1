"""Calls of the background take nothing from deliveries that wait, nor from those that may still come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.budget import BudgetGate, QuotaRules
from shared.budget.backlog import Backlog, Positions
from shared.budget.quota import Quota, window_at
from shared.budget.store import BudgetState
from shared.core.errors import MustWait
from shared.core.rate_gate import CallReport, SystemCondition, in_background
from tests.budget.fakes import START, Clock, MemoryStore, worker

RULES = QuotaRules(calls=100, per=3600.0)


async def calls_of_the_background(gate: BudgetGate) -> int:
    """How many calls leave one after the other, until the gate says that the rest has to wait."""
    for made in range(1000):
        try:
            with in_background():
                permit = await gate.acquire()
        except MustWait:
            return made
        gate.report(permit, CallReport(SystemCondition.ANSWERED))
    return 1000


async def test_a_message_that_waits_goes_first_although_there_are_calls() -> None:
    # given 2,000 messages that wait, more than calls in flight allow in the next minutes
    store, clock = MemoryStore(), Clock()
    window = window_at(RULES, 0.0, START)
    waiting = Backlog("b", ordinary=Positions(due=0.0, as_of=START, last=2000))
    store.rows["desk"] = (BudgetState(waiting, Quota(window=window)), "1")
    gate = worker(store, clock, RULES)
    # then no call of the background leaves
    assert await calls_of_the_background(gate) == 0
    # when nobody waits any more, then some do
    state, etag = store.rows["desk"]
    store.rows["desk"] = (replace(state, backlog=Backlog("b")), etag)
    clock.at += 5
    assert await calls_of_the_background(gate) > 0


async def test_half_of_a_young_window_is_left_to_deliveries_and_nearly_nothing_of_an_old_one() -> None:
    store, clock = MemoryStore(), Clock(START - 290)
    gate = worker(store, clock, RULES)
    young = await calls_of_the_background(gate)
    clock.at += 50 * 60
    old = await calls_of_the_background(gate)
    assert 30 <= young <= 42
    assert 75 <= young + old <= 92
    await gate.admit(urgent=False)  # a delivery has its call all the same


@pytest.mark.parametrize("limit", [2, 3, 5])
async def test_a_small_budget_does_not_starve_the_background_for_ever(limit: int) -> None:
    store, clock = MemoryStore(), Clock(START - 290)
    gate = worker(store, clock, replace(RULES, calls=limit))
    made = 0
    for _ in range(12):
        made += await calls_of_the_background(gate)
        clock.at += 300
    assert made >= 1
