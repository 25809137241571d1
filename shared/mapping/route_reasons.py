"""Why a route takes a signal, or why not: each condition by itself, in words. For people; delivery does not need it."""

from __future__ import annotations

from collections.abc import Iterable

from shared.core.conditions import When
from shared.core.signal import Signal
from shared.mapping.routes import compile_when

_LONGEST = 120


def why_not(when: When, signal: Signal) -> list[str]:
    """The conditions that do not hold, one sentence each; empty when all hold."""
    reasons: list[str] = []
    for name in When.model_fields:
        wanted = getattr(when, name)
        if wanted is None:
            continue
        parts = [{key: value} for key, value in wanted.items()] if isinstance(wanted, dict) else [wanted]
        for part in parts:
            if not compile_when(When.model_validate({name: part}))(signal):
                shown = next(iter(part)) if isinstance(part, dict) else ""
                label = f"{name}.{shown}" if shown else name
                value = part[shown] if isinstance(part, dict) else part
                reasons.append(f"{label} is {_found(name, shown, signal)}, wanted is {_text(value)}")
    return reasons


def _text(wanted: object) -> str:
    return " or ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)


def _found(name: str, key: str, signal: Signal) -> str:
    """The signal's own value, shortened."""
    if name == "severity":
        return "unknown" if signal.severity is None else str(signal.severity)
    values: Iterable[str | None]
    if name in ("custom_properties", "dimensions", "tags"):
        folded = key.casefold()
        places = [getattr(signal, name), *([signal.custom_properties] if name == "tags" else [])]
        values = [value for place in places for found, value in place.items() if found.casefold() == folded][:1]
    elif name in ("source", "kind", "rule", "title"):
        values = [getattr(signal, name)]
    else:
        attribute = {"subscription": "subscription_id", "resource_type": "type", "resource": "name"}.get(name, name)
        values = dict.fromkeys(getattr(one, attribute) for one in signal.resources)
    text = ", ".join(value for value in values if value)
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…") or "not there"
