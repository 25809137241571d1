"""Why a route takes a signal, or why not: each condition by itself, in words. For people; delivery does not need it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from shared.core.conditions import When
from shared.core.signal import Signal
from shared.mapping.routes import compile_when
from shared.mapping.templates import find

_LONGEST = 120

#: Conditions that are made of others.
_COMBINED = ("not_", "any", "all")


def why_not(when: When, signal: Signal) -> list[str]:
    """The conditions that do not hold, one sentence each; empty when all hold."""
    reasons: list[str] = []
    for name in When.model_fields:
        wanted = getattr(when, name)
        if wanted is None or name in _COMBINED:
            continue
        parts = [{key: value} for key, value in wanted.items()] if isinstance(wanted, dict) else [wanted]
        for part in parts:
            if not compile_when(When.model_validate({name: part}))(signal):
                shown = next(iter(part)) if isinstance(part, dict) else ""
                label = f"{name}.{shown}" if shown else name
                value = part[shown] if isinstance(part, dict) else part
                reasons.append(f"{label} is {_found(name, shown, signal)}, wanted is {_text(value)}")
    return reasons + _combined(when, signal)


def _combined(when: When, signal: Signal) -> list[str]:
    """The same of ``not``, ``any`` and ``all``."""
    reasons: list[str] = []
    if when.not_ is not None and not why_not(when.not_, signal):
        held = when.not_.model_dump(mode="json", by_alias=True, exclude_none=True)
        reasons.append(f"'not' excludes it, because this holds: {_short(json.dumps(held, ensure_ascii=False))}")
    if when.any is not None:
        each = [why_not(one, signal) for one in when.any]
        if all(each):
            said = "; ".join(f"{place}: {' and '.join(one)}" for place, one in enumerate(each, 1))
            reasons.append(f"none of 'any' holds ({said})")
    for one in when.all or ():
        reasons += why_not(one, signal)
    return reasons


def _text(wanted: object) -> str:
    return " or ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)


def _found(name: str, key: str, signal: Signal) -> str:
    """The signal's own value, shortened."""
    if name == "severity":
        return "unknown" if signal.severity is None else str(signal.severity)
    values: Iterable[str | None]
    if name in ("custom_properties", "dimensions", "details", "tags"):
        folded = key.casefold()
        places = [getattr(signal, name), *([signal.custom_properties] if name == "tags" else [])]
        values = [value for place in places for found, value in place.items() if found.casefold() == folded][:1]
    elif name == "resource_tags":
        values = dict.fromkeys(find(one.tags, key) for one in signal.resources)
    elif name in ("source", "kind", "rule", "title"):
        values = [getattr(signal, name)]
    else:
        attribute = {"subscription": "subscription_id", "resource_type": "type", "resource": "name"}.get(name, name)
        values = dict.fromkeys(getattr(one, attribute) for one in signal.resources)
    text = ", ".join(value for value in values if value)
    return _short(text) or "not there"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
