"""Controls as Microsoft Graph lists them: profiles, and the entries that they have in the tenant's score. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from connectors.secure_score.payloads.control import read_control
from shared.core.signal import Signal, SignalState
from shared.payloads.values import array_of, fold, given

DEPRECATED = "deprecated"


def by_control(score: Mapping[str, Any] | None) -> Callable[[str], dict[str, Any]]:
    """The entry that each control has in a secureScore, with its day and tenant; only those for a control without one.

    Args:
        score: the tenant's newest secureScore, None when it has none.
    """
    day = fold(score or {})
    of_day = {name: day[name] for name in ("createddatetime", "azuretenantid") if name in day}
    listed = [entry for entry in array_of(day.get("controlscores")) if isinstance(entry, dict)]
    entries = {given(fold(entry).get("controlname")).lower(): entry for entry in listed}
    return lambda control: {**entries.get(control.lower(), {}), **of_day}


def read_listed(profile: Mapping[str, Any], entry: Mapping[str, Any], tenant: str, now: datetime) -> Signal:
    """The signal of a control. One that Microsoft has retired is over, with the resolution ``deprecated``.

    Args:
        profile: a secureScoreControlProfile.
        entry: what :func:`by_control` gives for it.
        tenant: its id, where the answers do not name it.
        now: time of the reading.

    Raises Unidentified for one that cannot be told from others.
    """
    retired = given(fold(profile).get("deprecated")).lower() == "true"
    content = {**_without_deprecated(profile), "deprecated": False} if retired else profile
    signal = read_control(fold({"profile": content, "score": entry, "tenant_id": tenant}), now)
    return ended(signal, DEPRECATED, "Microsoft has retired the control.", now) if retired else signal


def ended(signal: Signal, resolution: str, words: str, now: datetime) -> Signal:
    """The signal, over for a reason that the control itself does not tell."""
    return replace(
        signal,
        state=SignalState.RESOLVED,
        occurred_at=max(now, signal.occurred_at),
        resolved_at=now,
        opens=False,
        condition=words,
        description=words,
        details={**signal.details, "resolution": resolution},
    )


def _without_deprecated(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in profile.items() if name.lower() != "deprecated"}
