"""The Change Management API as far as the bridge uses it: create a change, list the states that may follow. Pure.

Source: ServiceNow docs, "Change Management API": POST ``/change/normal``, ``/change/emergency``,
``/change/standard/{template}`` (the sys_id of a record of std_change_record_producer) answer 200 with every field as
``{"display_value", "value"}``; GET ``/change/{sys_id}/nextstates`` answers ``available_states`` (the present one among
them) and ``state_transitions`` with the conditions of each. The documentation does not say whether a sys_id in a POST
is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from connectors.servicenow.tables import TEMPLATE_FIELD
from connectors.servicenow.wire import Purpose, WireCall

BASE = "/api/sn_chg_rest/v1/change"


def create_call(fields: Mapping[str, str]) -> WireCall | None:
    """The call that makes a change of the type in ``fields``; None for a standard change without a template.

    ``fields`` name the template by the sys_id of its record producer.
    """
    kind = fields.get("type", "").strip().lower() or "normal"
    body = {name: text for name, text in fields.items() if name not in ("type", TEMPLATE_FIELD)}
    if kind != "standard":
        return WireCall("POST", f"{BASE}/{quote(kind, safe='')}", Purpose.CREATE, body=body)
    template = fields.get(TEMPLATE_FIELD, "")
    if not template:
        return None
    return WireCall("POST", f"{BASE}/standard/{quote(template, safe='')}", Purpose.CREATE, body=body)


def next_states_call(sys_id: str) -> WireCall:
    """The call that lists the states which may follow."""
    return WireCall("GET", f"{BASE}/{quote(sys_id, safe='')}/nextstates", Purpose.RECORD)


@dataclass(frozen=True, slots=True)
class NextStates:
    """The next states by the instance's answer: those that may be written now, and per other state the names of the
    conditions that are not met."""

    open: frozenset[str] = frozenset()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_next_states(result: Mapping[str, Any], state: str) -> NextStates:
    """Read an answer to :func:`next_states_call` for a change in ``state``. States that cannot be read are left out."""
    named = result.get("available_states")
    available = {str(one) for one in named} if isinstance(named, list) else set()
    missing: dict[str, tuple[str, ...]] = {}
    for move in _moves(result.get("state_transitions")):
        to = str(move.get("to_state", ""))
        if _false(move.get("transition_available")):
            missing[to] = tuple(_unmet(move.get("conditions")))
        if not _false(move.get("automatic_transition", False)):
            missing.setdefault(to, ())  # an automatic transition: a write of the state is refused
    return NextStates(frozenset(available - {state, *missing}), missing)


def _moves(listed: Any) -> list[Mapping[str, Any]]:
    """Transitions stand in lists of lists."""
    if not isinstance(listed, list):
        return []
    groups = [group if isinstance(group, list) else [group] for group in listed]
    return [move for group in groups for move in group if isinstance(move, dict)]


def _unmet(conditions: Any) -> list[str]:
    names: list[str] = []
    for one in conditions if isinstance(conditions, list) else []:
        if isinstance(one, dict) and _false(one.get("passed")):
            about = one.get("condition")
            name = about.get("name") or about.get("description") if isinstance(about, dict) else None
            names.append(str(name or "a condition without a name"))
    return names


def _false(flag: Any) -> bool:
    return str(flag).strip().lower() in ("false", "0", "")
