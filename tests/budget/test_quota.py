"""The quota as a value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.budget import QuotaRules
from shared.budget.quota import (
    Quota,
    available_calls,
    cool_down,
    end_cool_downs,
    give_back,
    learn_skew,
    lease_calls,
    roll,
)
from tests.budget.fakes import START

RULES = QuotaRules(calls=100)


def test_calls_of_an_earlier_window_are_worth_nothing() -> None:
    quota = replace(roll(Quota(), RULES, START), ordinary=50)
    assert give_back(quota, quota.window, ordinary=5).ordinary == 45
    assert give_back(quota, quota.window - 1, ordinary=5) == quota


def test_refusals_that_several_workers_report_are_one_cool_down() -> None:
    once = cool_down(Quota(), RULES, START, None, 0.5)
    again = cool_down(once, RULES, START + 1, None, 0.5)
    assert (again.cool_until, again.cool_downs) == (once.cool_until, 1)
    assert cool_down(again, RULES, START + 1, 300.0, 0.5).cool_until == START + 301


def test_an_answer_makes_the_next_pause_short_again_only_after_the_last_one() -> None:
    quota = cool_down(Quota(), RULES, START, None, 0.5)
    assert end_cool_downs(quota, quota.cool_until - 1) is quota
    assert end_cool_downs(quota, quota.cool_until).cool_downs == 0


@pytest.mark.parametrize("per", [10.0, 60.0, 600.0])
def test_pauses_fit_the_length_of_windows(per: float) -> None:
    rules, quota, now = QuotaRules(calls=10, per=per), Quota(), START
    for _ in range(10):
        quota = cool_down(quota, rules, now, None, 0.5)
        assert quota.cool_until - now <= per
        now = quota.cool_until
    assert cool_down(Quota(), rules, START, None, 0.5).cool_until - START == min(30.0, per / 10)


def test_the_clock_of_the_instance_is_followed() -> None:
    rules = QuotaRules(calls=10)
    hour = (START // 3600 + 1) * 3600
    quota = learn_skew(roll(Quota(), rules, START), rules, START, 120.0)
    before = roll(quota, rules, hour - 120 - 1).window
    assert roll(quota, rules, hour - 120 + rules.lead + 0.1).window == before + 1


def test_a_clock_that_turns_out_to_be_wrong_gives_no_call_twice() -> None:
    rules = QuotaRules(calls=10, reserve=0)
    quota, lease = lease_calls(roll(Quota(), rules, START), rules, START, urgent=False, calls=9, workers=1)
    assert lease is not None
    quota = roll(learn_skew(quota, rules, START, 3600.0), rules, START)
    assert available_calls(quota, rules, START, urgent=False) == 1
    assert available_calls(roll(quota, rules, START + 3600), rules, START + 3600, urgent=False) == 10
