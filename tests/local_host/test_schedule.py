from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local.host.schedule import check_schedule, is_frequent, next_time

START = datetime(2026, 3, 13, 10, 30, 15, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * * *", "2026-03-13T10:30:16"),
        ("*/10 * * * * *", "2026-03-13T10:30:20"),
        ("0 */5 * * * *", "2026-03-13T10:35:00"),
        ("*/5 * * * *", "2026-03-13T10:35:00"),  # five fields: no seconds
        ("15 30 10 * * *", "2026-03-14T10:30:15"),  # strictly after
        ("0 0 9-17/4 * * *", "2026-03-13T13:00:00"),
        ("5,45 30 10 * * *", "2026-03-13T10:30:45"),
        ("0 30 9 * * 1-5", "2026-03-16T09:30:00"),
        ("0 30 9 * * Mon", "2026-03-16T09:30:00"),
        ("0 30 9 * * Sunday", "2026-03-15T09:30:00"),
        ("0 0 0 1 January *", "2027-01-01T00:00:00"),
        ("0 0 0 1 jan,JUL *", "2026-07-01T00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        # NCrontab wants both the day of the month and the day of the week, where cron wants one of them.
        ("0 0 0 13 * 5", "2026-11-13T00:00:00"),
    ],
)
def test_when_a_schedule_is_due_next(schedule: str, due: str) -> None:
    check_schedule(schedule)
    assert next_time(schedule, START) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["00:05:00", "24:00:00", "1.00:00:00", "00:00:30.5"])
def test_a_time_span_is_refused_with_what_to_write_instead(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"App Service plans only; write it as NCRONTAB, for example '0 \*/5"):
        check_schedule(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "@daily",
        "* * * *",
        "* * * * * * *",
        "61 * * * * *",
        "0 0 0 L * *",
        "0 0 0 ? * *",
        "0 0 25 * * *",
        "a b c d e f",
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="is not NCRONTAB"):
        check_schedule(schedule)


@pytest.mark.parametrize(
    ("schedule", "frequent"),
    [("* * * * * *", True), ("*/30 * * * * *", True), ("0 * * * * *", False), ("0 0 0 * * *", False)],
)
def test_more_than_once_a_minute_is_frequent(schedule: str, frequent: bool) -> None:
    assert is_frequent(schedule, START) is frequent
