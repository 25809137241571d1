"""The section ``secure_score`` of bridge.yaml, and the mistakes in it that no single value shows."""

from __future__ import annotations

from typing import Any

from connectors.secure_score.settings import SecureScoreSettings
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Section


def sections() -> tuple[Section, ...]:
    """The section."""
    return (
        Section(
            "secure_score",
            SecureScoreSettings,
            "Microsoft 365 Secure Score. Left out: nothing is read or written back, and controls that are sent are "
            "handled by the routes.",
            check=_check,
            makes_tickets=lambda data: isinstance(data, dict),
            reserved="secure_score",
        ),
    )


def _check(view: ConfigView) -> list[Mistake]:
    """Connection, fields and comments."""
    scores = view.data.get("secure_score")
    if not isinstance(scores, dict):
        return []
    connection, kind = scores.get("connection"), scores.get("ticket", "change_request")
    mistakes = view.connection_mistakes(("secure_score", "connection"), connection)
    for path, fields in _fields(scores):
        mistakes += view.check_fields(path, fields, connection, kind)
    return mistakes


def _fields(scores: dict[str, Any]) -> list[tuple[ConfigPath, Any]]:
    """Everything with templates: fields, fields of rules, comments."""
    places: list[tuple[ConfigPath, Any]] = [
        (("secure_score", name), scores.get(name)) for name in ("fields", "resolve_fields")
    ]
    rules, states = scores.get("rules"), scores.get("states")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if isinstance(rule, dict):
            places.append((("secure_score", "rules", index, "fields"), rule.get("fields")))
    for index, state in enumerate(states if isinstance(states, list) else []):
        comment = state.get("comment") if isinstance(state, dict) else None
        places.append((("secure_score", "states", index), {"comment": comment}))
    return places
