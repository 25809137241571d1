"""When a function counts as forgotten: what a sign of life, a schedule and a waiting message say together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.registry import REGISTRY
from app.timers import all_jobs
from shared.operations.overdue import Watched, next_time, seen_queue_function, seen_timer
from shared.operations.vital_signs import VitalSign

NOW = datetime(2026, 3, 1, 12, 0, 15, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)

RESYNC = Watched("resync", "15 */5 * * * *")
PURGE = Watched("purge_audit_log", "0 17 3 * * *")
DELIVER = Watched("deliver")


def called(at: datetime) -> VitalSign:
    return VitalSign(known_since=at, called_at=at, alive_at=at, ended_at=at)


def test_a_timer_that_is_called_in_time_is_neither_overdue_nor_silent() -> None:
    for late in (0, 60, 299, 300, 360):
        seen = seen_timer(RESYNC, called(NOW), NOW + late * SECOND)
        assert (seen.overdue_since, seen.silent_since) == (None, None), late
        assert seen.due_at == NOW + 5 * MINUTE


def test_a_timer_is_overdue_half_an_interval_after_it_was_due_and_silent_after_three() -> None:
    due = NOW + 5 * MINUTE
    assert seen_timer(RESYNC, called(NOW), due + 149 * SECOND).overdue_since is None
    assert seen_timer(RESYNC, called(NOW), due + 150 * SECOND).overdue_since == due
    assert seen_timer(RESYNC, called(NOW), NOW + 17 * MINUTE).silent_since is None
    assert seen_timer(RESYNC, called(NOW), NOW + 18 * MINUTE).silent_since == NOW


def test_work_that_somebody_else_did_is_not_overdue_but_azure_is_silent_all_the_same() -> None:
    sign = replace(called(NOW), stood_in_at=NOW + 25 * MINUTE)
    seen = seen_timer(RESYNC, sign, NOW + 27 * MINUTE)
    assert (seen.overdue_since, seen.due_at) == (None, NOW + 30 * MINUTE)
    assert seen.silent_since == NOW


def test_a_timer_of_a_new_app_is_expected_from_when_it_is_known() -> None:
    new = VitalSign(known_since=NOW)
    assert seen_timer(PURGE, new, NOW + timedelta(hours=15)).overdue_since is None
    seen = seen_timer(PURGE, new, NOW + timedelta(hours=16))
    assert seen.overdue_since == datetime(2026, 3, 2, 3, 17, tzinfo=UTC)
    assert seen.silent_since is None
    assert seen_timer(PURGE, new, NOW + timedelta(days=4)).silent_since == NOW


def test_a_call_that_lasts_longer_than_its_interval_is_alive() -> None:
    long = VitalSign(known_since=NOW, called_at=NOW, alive_at=NOW + 14 * MINUTE)
    seen = seen_timer(RESYNC, long, NOW + 15 * MINUTE)
    assert (seen.overdue_since, seen.silent_since) == (None, None)


def test_a_queue_function_is_overdue_when_a_message_waits_and_it_was_not_called() -> None:
    sign, since = called(NOW), NOW + 5 * SECOND
    assert seen_queue_function(DELIVER, sign, since, NOW + 89 * SECOND).overdue_since is None
    assert seen_queue_function(DELIVER, sign, since, NOW + 90 * SECOND).overdue_since == since
    assert seen_queue_function(DELIVER, sign, NOW + 80 * SECOND, NOW + 95 * SECOND).overdue_since is None
    assert seen_queue_function(DELIVER, sign, None, NOW + timedelta(days=1)).overdue_since is None
    assert seen_queue_function(DELIVER, VitalSign(), since, NOW + 50 * SECOND).overdue_since == since


def test_a_busy_queue_function_is_not_overdue_however_long_messages_wait() -> None:
    busy = called(NOW + 59 * MINUTE)
    seen = seen_queue_function(DELIVER, busy, NOW, NOW + 60 * MINUTE)
    assert (seen.overdue_since, seen.silent_since) == (None, None)


def test_a_queue_function_is_silent_while_others_do_its_work_and_until_nobody_can_tell_any_more() -> None:
    sign = replace(called(NOW), stood_in_at=NOW + 10 * MINUTE)
    assert seen_queue_function(DELIVER, sign, None, NOW + 11 * MINUTE).silent_since == NOW
    assert seen_queue_function(DELIVER, sign, None, NOW + 26 * MINUTE).silent_since is None
    awake = replace(sign, alive_at=NOW + 11 * MINUTE)
    assert seen_queue_function(DELIVER, awake, None, NOW + 12 * MINUTE).silent_since is None


@pytest.mark.parametrize("job", all_jobs(REGISTRY), ids=lambda job: job.name)
def test_every_schedule_of_the_app_can_be_read(job) -> None:  # type: ignore[no-untyped-def]
    first = next_time(job.schedule, NOW)
    assert first > NOW
    assert next_time(job.schedule, first) > first
