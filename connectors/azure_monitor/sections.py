"""The sections ``reconcile`` and ``resync.alerts`` of bridge.yaml, and the mistakes that no single value shows."""

from __future__ import annotations

from connectors.azure_monitor.settings import ASSIGNED, PHASES, WORKING, AlertStateSettings, ReconcileSettings
from shared.core.plugins import ConfigView, Mistake, Section


def sections() -> tuple[Section, ...]:
    """The sections."""
    return (
        Section(
            "reconcile",
            ReconcileSettings,
            "Compares Azure's own list of alerts with what is known here. Left out: nothing is compared.",
        ),
        Section(
            "resync.alerts",
            AlertStateSettings,
            "Acknowledges and closes the alerts of Azure Monitor whose tickets people work on or resolve. Left out: "
            "the state of alerts is not changed.",
            check=_unknown_states,
        ),
    )


def _unknown_states(view: ConfigView) -> list[Mistake]:
    """Conditions that no connection has a state for, by their place in the file, with the fix."""
    alerts = None if view.config is None else view.config.section("resync.alerts", AlertStateSettings)
    if alerts is None:
        return []
    known = {**{word: word for word in (*PHASES, ASSIGNED, WORKING)}, **view.states}
    names = {name for word, name in known.items() if not word.lstrip("-").isdecimal()}
    offered = ", ".join(sorted(names, key=str.casefold))
    fix = f"Fix: write one of {offered}, a stored value, or add it to states.names of its connection"
    return [
        (("resync", "alerts", name, place), f"no connection has a state '{text}'. {fix}")
        for name in ("acknowledge", "close")
        for place, text in enumerate(getattr(alerts, name))
        if text.casefold() not in known
    ]
