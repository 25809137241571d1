"""Resource Health: one resource becomes unavailable, degraded, available again.

Source: Microsoft Learn, "Resource Health virtual machine health annotations", "Configure resource health alerts".
Every message says Fired; the operation (``.../Activated/action``) tells what it means. An Updated event may say
Available although the Resolved has not come, and must not close anything. No id spans Activated and Resolved, so the
resource itself is the key.

An update and a resolution are dated by the event's own time (``eventTimestamp``), as in Service Health.
"""

from __future__ import annotations

from connectors.azure_monitor.payloads.activity import event_severity, read_event
from connectors.azure_monitor.payloads.essentials import Essentials, state_of
from shared.core.signal import SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import make_key
from shared.payloads.markup import plain
from shared.payloads.resources import canonical, is_id, parse_id
from shared.payloads.severity import level
from shared.payloads.text import Fields, given, line, object_of, squash, text

_OPERATIONS = {
    "activated": SignalState.FIRED,
    "updated": SignalState.UPDATED,
    "inprogress": SignalState.UPDATED,
    "pending": SignalState.UPDATED,
    "resolved": SignalState.RESOLVED,
}
_STATUSES = {
    "active": SignalState.FIRED,
    "inprogress": SignalState.UPDATED,
    "updated": SignalState.UPDATED,
    "pending": SignalState.UPDATED,
}
_ILL = frozenset({"unavailable", "degraded"})
_SCOPES = frozenset({"microsoft.resources/resourcegroups", "microsoft.resources/subscriptions"})


def read_resource_health(builder: SignalBuilder, essentials: Essentials, event: Fields) -> None:
    """Fill in what a Resource Health event says. ``event`` is the folded alertContext or activityLog."""
    properties = object_of(event.get("properties"))
    read_event(builder, event)
    builder.severity = event_severity(essentials, level(event.get("level")))
    builder.detail("health_from", properties.get("previoushealthstatus"))
    builder.detail("health_to", properties.get("currenthealthstatus"))
    builder.detail("health_type", properties.get("type"))
    builder.detail("cause", properties.get("cause"))
    current = squash(properties.get("currenthealthstatus"))
    builder.state = _state(builder, essentials, event, current)
    if builder.state is SignalState.UPDATED:
        builder.opens = current in _ILL
    elif builder.state is SignalState.RESOLVED:
        builder.resolved_at = builder.event_at or builder.resolved_at or builder.fired_at
    builder.heading = line(plain(given(properties.get("title"))))
    builder.prose[:0] = [builder.heading, plain(text(properties.get("details")))]
    builder.condition = _say(builder)
    targets = [*essentials.targets, given(event.get("resourceid"))]
    builder.resources.add_all([*targets, *essentials.items])
    builder.key = _key(list(filter(None, targets)), essentials.items)


def _state(builder: SignalBuilder, essentials: Essentials, event: Fields, current: str) -> SignalState:
    for segment in reversed(given(event.get("operationname")).lower().split("/")[-2:]):
        if segment in _OPERATIONS:
            return _OPERATIONS[segment]
    status = squash(event.get("status"))
    if status == "resolved":
        if current == "available":
            return SignalState.RESOLVED
        builder.warn("The event says Resolved while the resource is not available; it is taken as an update.")
        return SignalState.UPDATED
    if status not in _STATUSES:
        builder.warn("Neither operation nor status tells what happened to the resource.")
        return state_of(builder, essentials.monitor_condition)
    return _STATUSES[status]


def _key(targets: list[str], items: list[str]) -> str:
    """Key of the resource; ``""`` when the alert names none.

    Some rules put their scope, a resource group, where the resource belongs; then the affected item tells.
    """
    for target in targets:
        if not is_id(target) or (parse_id(target).type or "").lower() not in _SCOPES:
            return make_key("resource_health", canonical(target))
    if targets and items:
        if is_id(items[0]):
            return make_key("resource_health", canonical(items[0]))
        return make_key("resource_health", canonical(targets[0]), items[0])
    known = targets or items
    return make_key("resource_health", canonical(known[0])) if known else ""


def _say(builder: SignalBuilder) -> str:
    details = builder.details
    before, now = details.get("health_from", ""), details.get("health_to", "")
    cause = f" ({details['cause']})" if "cause" in details else ""
    if before and now and before != now:
        return f"Health changed from {before} to {now}{cause}"
    return f"Health is {now}{cause}" if now else ""
