"""When maintenance windows are on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest

from shared.config.storms import MaintenanceSettings
from shared.mapping.maintenance import ActiveWindow, active, compile_windows
from tests.mapping.signals import signal


def on(*sections: Mapping[str, object], at: str) -> ActiveWindow | None:
    windows = compile_windows(
        [MaintenanceSettings.model_validate({"name": f"w{n}", **s}) for n, s in enumerate(sections)]
    )
    return active(windows, signal(), datetime.fromisoformat(at))


WEEKLY: dict[str, object] = {"cron": "0 22 * * SAT", "lasts": "4h", "time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-11-21T20:59:59Z", None),
        ("2026-11-21T21:00:00Z", "2026-11-22T01:00:00Z"),
        ("2026-11-22T00:59:59Z", "2026-11-22T01:00:00Z"),
        ("2026-11-22T01:00:00Z", None),
        ("2026-07-04T20:00:00Z", "2026-07-05T00:00:00Z"),  # summer time
        ("2026-07-04T19:59:59Z", None),
    ],
)
def test_a_repeated_window_begins_and_ends_by_local_time(moment: str, until: str | None) -> None:
    found = on(WEEKLY, at=moment)
    assert (found and found.until) == (until and datetime.fromisoformat(until))


def test_of_windows_that_overlap_the_one_that_ends_last_counts() -> None:
    short = {"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T12:00:00Z"}
    long = {"from": "2026-03-01T11:00:00+01:00", "to": "2026-03-01T15:00:00+01:00"}
    found = on(short, long, at="2026-03-01T11:00:00Z")
    assert found == ActiveWindow("w1", datetime.fromisoformat("2026-03-01T14:00:00Z"))


def test_a_window_that_begins_again_before_it_ends_goes_on() -> None:
    found = on({"cron": "0 * * * *", "lasts": "90m"}, at="2026-03-01T12:10:00Z")
    assert found is not None
    assert found.until == datetime.fromisoformat("2026-03-01T13:30:00Z")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({}, "give either"),
        ({"cron": "0 22 * * SAT"}, "'cron' and 'lasts' are both needed"),
        ({"cron": "soon", "lasts": "1h"}, "no cron expression"),
        ({"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T09:00:00Z"}, "'from' comes first"),
        ({"from": "2026-03-01T10:00:00"}, "timezone"),
        ({**WEEKLY, "time_zone": "Europe/Contoso"}, "is no time zone"),
        ({**WEEKLY, "changes_of": "desk"}, "give either"),
    ],
)
def test_mistakes_are_explained(section: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MaintenanceSettings.model_validate({"name": "w", **section})
