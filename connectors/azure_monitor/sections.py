"""The sections of bridge.yaml that Azure Monitor owns, and the mistakes that no single value shows."""

from __future__ import annotations

from connectors.azure_monitor.settings import (
    ASSIGNED,
    PHASES,
    WORKING,
    AlertStateSettings,
    LogRowsSettings,
    ReconcileSettings,
    ResourceTagsSettings,
)
from shared.core.plugins import ConfigView, Mistake, Section
from shared.mapping.routes import matches_any


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
        Section(
            "log_rows",
            LogRowsSettings,
            "Shows the rows that fired in tickets of log search alerts, also of those that bring none. Left out: "
            "tickets show the rows that a payload brings, whatever their columns are called.",
            check=_hidden_identity,
        ),
        Section(
            "resource_tags",
            ResourceTagsSettings,
            "How tags of resources are read from Azure. Left out: with the defaults, where a condition or a template "
            "asks for tags.",
        ),
    )


def _hidden_identity(view: ConfigView) -> list[Mistake]:
    """Columns that are to tell rows apart and that nobody may see."""
    settings = None if view.config is None else view.config.section("log_rows", LogRowsSettings)
    if settings is None:
        return []
    found: list[Mistake] = []
    bodies = [(("routes", place), route) for place, route in enumerate(view.config.routes)]
    for path, body in [*bodies, (("default",), view.config.default)]:
        columns = () if body is None or body.group is None else body.group.columns
        for place, name in enumerate(columns):
            for what, patterns in (("redact", settings.redact), ("drop", settings.drop)):
                if patterns and matches_any([*patterns])(name):
                    text = f"log_rows.{what} hides column '{name}', so that it cannot tell rows apart"
                    fix = f"Fix: take it out here, or name the columns of log_rows.{what} more precisely"
                    found.append(((*path, "group", "columns", place), f"{text}. {fix}"))
    return found


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
