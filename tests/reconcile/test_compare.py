"""Every state of a link against what Azure's list says: one line each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.azure_monitor.reconcile.compare import ReconcileVerdict, compare
from shared.core.link import Link, LinkStage
from shared.core.signal import SignalState
from tests.mapping.signals import signal

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRED, ENDED = (AT, 0), (AT + timedelta(hours=1), 2)
EARLY = (AT - timedelta(hours=1), 0)


def fired(key: str) -> Any:
    return signal(key=key, state=SignalState.FIRED, occurred_at=FIRED[0])


def ended(key: str) -> Any:
    return signal(key=key, state=SignalState.RESOLVED, occurred_at=ENDED[0], resolved_at=ENDED[0])


@pytest.mark.parametrize(
    ("link", "firing", "end"),
    [
        ({"stage": LinkStage.OPEN, "latest": FIRED}, ReconcileVerdict.KNOWN, ReconcileVerdict.ENDED),
        ({"stage": LinkStage.OPEN, "latest": EARLY}, ReconcileVerdict.KNOWN, ReconcileVerdict.ENDED),
        (
            {"stage": LinkStage.OPEN, "latest": FIRED, "resolved_by": ENDED},
            ReconcileVerdict.KNOWN,
            ReconcileVerdict.KNOWN,
        ),
        (
            {"stage": LinkStage.OPEN, "latest": FIRED, "resolved_by": (AT + timedelta(minutes=59), 2)},
            ReconcileVerdict.KNOWN,
            ReconcileVerdict.KNOWN,
        ),
        ({"stage": LinkStage.RESOLVED, "latest": ENDED}, ReconcileVerdict.KNOWN, ReconcileVerdict.KNOWN),
        (
            {"stage": LinkStage.RESOLVED, "latest": (AT + timedelta(minutes=59), 2)},
            ReconcileVerdict.KNOWN,
            ReconcileVerdict.KNOWN,
        ),
        ({"stage": LinkStage.RESOLVED, "latest": FIRED}, ReconcileVerdict.KNOWN, ReconcileVerdict.KNOWN),
        ({"stage": LinkStage.CLOSED, "latest": FIRED}, ReconcileVerdict.KNOWN, ReconcileVerdict.KNOWN),
        ({"first_held": FIRED, "last_held": FIRED}, ReconcileVerdict.KNOWN, ReconcileVerdict.ENDED),
        ({"resolved_by": ENDED}, ReconcileVerdict.KNOWN, ReconcileVerdict.KNOWN),
        ({"latest": FIRED, "dead_letter": "d"}, ReconcileVerdict.KNOWN, ReconcileVerdict.ENDED),
        ({}, ReconcileVerdict.MISSED, ReconcileVerdict.ENDED),
    ],
)
def test_an_alert_with_an_id_of_its_own(link: dict[str, Any], firing: ReconcileVerdict, end: ReconcileVerdict) -> None:
    known = Link(key="alert:1:one", **link)
    assert compare(fired("alert:1:one"), known, told=False, counted=False) is firing
    assert compare(ended("alert:1:one"), known, told=False, counted=False) is end


@pytest.mark.parametrize(
    ("link", "firing"),
    [
        ({"stage": LinkStage.OPEN, "latest": FIRED}, ReconcileVerdict.KNOWN),
        ({"stage": LinkStage.OPEN, "latest": EARLY}, ReconcileVerdict.MISSED),
        ({"stage": LinkStage.RESOLVED, "latest": (EARLY[0], 2)}, ReconcileVerdict.MISSED),
        ({"latest": EARLY, "dead_letter": "d"}, ReconcileVerdict.KNOWN),
        ({"first_held": FIRED}, ReconcileVerdict.KNOWN),
    ],
)
def test_what_comes_back_under_one_key_is_compared_by_time(link: dict[str, Any], firing: ReconcileVerdict) -> None:
    key = "service_health:1:sub/ab12"
    assert compare(fired(key), Link(key=key, **link), told=False, counted=False) is firing


@pytest.mark.parametrize(
    ("told", "counted", "firing", "end"),
    [
        (False, False, ReconcileVerdict.MISSED, ReconcileVerdict.LEFT),
        (True, False, ReconcileVerdict.KNOWN, ReconcileVerdict.ENDED),
        (False, True, ReconcileVerdict.MISSED, ReconcileVerdict.ENDED),
        (True, True, ReconcileVerdict.KNOWN, ReconcileVerdict.ENDED),
    ],
)
def test_an_alert_without_a_link(told: bool, counted: bool, firing: ReconcileVerdict, end: ReconcileVerdict) -> None:
    assert compare(fired("alert:1:one"), None, told=told, counted=counted) is firing
    assert compare(ended("alert:1:one"), None, told=told, counted=counted) is end
