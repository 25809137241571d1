"""What an alert's own form shows of how its rule or action group is set up, and that leads to worse tickets. Pure."""

from __future__ import annotations

from shared.core.plugins import Trap
from shared.core.signal import Signal

#: Kinds that Azure sends in the common alert schema where the action asks for it.
_COMMON = ("metric", "log", "activity", "service_health", "resource_health", "smart_detection", "budget")

_WORKSPACE = "microsoft.operationalinsights/workspaces"


def traps_of(signal: Signal) -> tuple[Trap, ...]:
    """Traps that a signal shows: an older schema, and a log alert that names no resource.

    Sources: Microsoft Learn, "Common alert schema" (essentials of every alert in it) and "Log search alert rules"
    (dimensions split by the resource id column).
    """
    about = signal.rule or signal.title
    found: list[Trap] = []
    # every alert of the common schema says one of these, no other does
    if signal.kind in _COMMON and not signal.details.keys() & {"monitoring_service", "signal_type"}:
        text = f"alerts of '{about}' come in an older schema: other facts, and reconcile cannot recognise them"
        fix = "switch 'Enable the common alert schema' on in the action of the action group"
        found.append(Trap("older_schema", about, text, fix))
    types = {(one.type or "").casefold() for one in signal.resources}
    if signal.kind == "log" and types <= {_WORKSPACE}:
        text = (
            f"log alerts of '{about}' name no resource but the workspace, so their tickets have no configuration item"
        )
        fix = "let the query return _ResourceId (or Computer), and split the rule by that column"
        found.append(Trap("no_configuration_item", about, text, fix))
    return tuple(found)
