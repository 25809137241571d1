"""Every state of a link against what Azure's list says: one line each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.azure_monitor.reconcile.compare import Verdict, compare
from shared.core.link import Link, Stage
from shared.core.signal import State
from tests.mapping.signals import signal

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRED, ENDED = (AT, 0), (AT + timedelta(hours=1), 2)
EARLY = (AT - timedelta(hours=1), 0)


def fired(key: str) -> Any:
    return signal(key=key, state=State.FIRED, occurred_at=FIRED[0])


def ended(key: str) -> Any:
    return signal(key=key, state=State.RESOLVED, occurred_at=ENDED[0], resolved_at=ENDED[0])


@pytest.mark.parametrize(
    ("link", "firing", "end"),
    [
        ({"stage": Stage.OPEN, "latest": FIRED}, Verdict.KNOWN, Verdict.ENDED),
        ({"stage": Stage.OPEN, "latest": EARLY}, Verdict.KNOWN, Verdict.ENDED),
        ({"stage": Stage.OPEN, "latest": FIRED, "over": ENDED}, Verdict.KNOWN, Verdict.KNOWN),
        ({"stage": Stage.OPEN, "latest": FIRED, "over": (AT + timedelta(minutes=59), 2)}, Verdict.KNOWN, Verdict.KNOWN),
        ({"stage": Stage.RESOLVED, "latest": ENDED}, Verdict.KNOWN, Verdict.KNOWN),
        ({"stage": Stage.RESOLVED, "latest": (AT + timedelta(minutes=59), 2)}, Verdict.KNOWN, Verdict.KNOWN),
        ({"stage": Stage.RESOLVED, "latest": FIRED}, Verdict.KNOWN, Verdict.KNOWN),
        ({"stage": Stage.CLOSED, "latest": FIRED}, Verdict.KNOWN, Verdict.KNOWN),
        ({"held": FIRED, "counted": FIRED}, Verdict.KNOWN, Verdict.ENDED),
        ({"over": ENDED}, Verdict.KNOWN, Verdict.KNOWN),
        ({"latest": FIRED, "dead_letter": "d"}, Verdict.KNOWN, Verdict.ENDED),
        ({}, Verdict.MISSED, Verdict.ENDED),
    ],
)
def test_an_alert_with_an_id_of_its_own(link: dict[str, Any], firing: Verdict, end: Verdict) -> None:
    known = Link(key="alert:1:one", **link)
    assert compare(fired("alert:1:one"), known, told=False, counted=False) is firing
    assert compare(ended("alert:1:one"), known, told=False, counted=False) is end


@pytest.mark.parametrize(
    ("link", "firing"),
    [
        ({"stage": Stage.OPEN, "latest": FIRED}, Verdict.KNOWN),
        ({"stage": Stage.OPEN, "latest": EARLY}, Verdict.MISSED),
        ({"stage": Stage.RESOLVED, "latest": (EARLY[0], 2)}, Verdict.MISSED),
        ({"latest": EARLY, "dead_letter": "d"}, Verdict.KNOWN),
        ({"held": FIRED}, Verdict.KNOWN),
    ],
)
def test_what_comes_back_under_one_key_is_compared_by_time(link: dict[str, Any], firing: Verdict) -> None:
    key = "service_health:1:sub/ab12"
    assert compare(fired(key), Link(key=key, **link), told=False, counted=False) is firing


@pytest.mark.parametrize(
    ("told", "counted", "firing", "end"),
    [
        (False, False, Verdict.MISSED, Verdict.LEFT),
        (True, False, Verdict.KNOWN, Verdict.ENDED),
        (False, True, Verdict.MISSED, Verdict.ENDED),
        (True, True, Verdict.KNOWN, Verdict.ENDED),
    ],
)
def test_an_alert_without_a_link(told: bool, counted: bool, firing: Verdict, end: Verdict) -> None:
    assert compare(fired("alert:1:one"), None, told=told, counted=counted) is firing
    assert compare(ended("alert:1:one"), None, told=told, counted=counted) is end
