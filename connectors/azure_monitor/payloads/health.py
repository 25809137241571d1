"""Service Health (issues, maintenance and advisories of Azure itself) and Resource Health (the state of one resource).

Sources: Microsoft Learn, "View Azure service health notifications" (properties, stages, meaning of levels), "Resource
Health virtual machine health annotations", "Configure resource health alerts".

Every message has the condition Fired. In Service Health the stage tells what it means:

============================  ==========  ======================
stage                         state       opens a ticket
============================  ==========  ======================
Active, Planned               fired       yes
InProgress, Rescheduled       updated     yes
RCA                           updated     no: it comes days later
Resolved, Complete, Canceled  resolved    no
============================  ==========  ======================

Azure writes a new communication with every message, also where the stage stays Active. Its text is the detail
``communication``, which notes and closing notes tell.

One issue is one tracking id within a subscription; each subscription gets its own copy. ``impactMitigationTime`` lies
in the future for planned maintenance, so an update and a resolution are dated by the event itself
(``eventTimestamp``); ``fired_at`` stays the firedDateTime of the message, which is later by seconds to minutes, and
orders a resolution after the firing whatever the delay of either.

In Resource Health the operation (``.../Activated/action``) tells what it means. An Updated event may say Available
although the Resolved has not come, and must not close anything. No id is shared by Activated and Resolved, so the
resource itself is the key. An update and a resolution are dated as in Service Health. An Activated that says Available,
or the same status before and now where that is no failure, reports no outage: it is an update that opens nothing.
"""

from __future__ import annotations

from connectors.azure_monitor.payloads.activity import event_severity, is_true, read_event
from connectors.azure_monitor.payloads.common import Essentials, level, state_of
from connectors.microsoft.azure_resources import canonical, is_id, parse_id, subscription_of
from shared.core.payload_schema import Fields
from shared.core.signal import SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import make_key
from shared.payloads.markup import plain
from shared.payloads.values import array_of, fold, given, line, object_of, squash, text

_STAGES = {
    "active": (SignalState.FIRED, True),
    "planned": (SignalState.FIRED, True),
    "inprogress": (SignalState.UPDATED, True),
    "rescheduled": (SignalState.UPDATED, True),
    "rca": (SignalState.UPDATED, False),
    "resolved": (SignalState.RESOLVED, False),
    "complete": (SignalState.RESOLVED, False),
    "completed": (SignalState.RESOLVED, False),
    "canceled": (SignalState.RESOLVED, False),
    "cancelled": (SignalState.RESOLVED, False),
}
_MOST_SERVICES = 50
_MOST_REGIONS = 200


def read_service_health(builder: SignalBuilder, essentials: Essentials, event: Fields) -> None:
    """Fill in what a Service Health event says. ``event`` is the folded alertContext or activityLog."""
    properties = object_of(event.get("properties"))
    read_event(builder, event)
    builder.severity = event_severity(essentials, level(event.get("level")))
    _read_stage(builder, essentials, event, properties)
    _read_issue(builder, properties)
    title = given(properties.get("title")) or given(properties.get("defaultlanguagetitle"))
    builder.heading = line(plain(title))
    message = text(properties.get("communication")) or text(properties.get("defaultlanguagecontent"))
    communication = plain(message)
    builder.prose.insert(0, communication)
    builder.detail("communication", communication)
    builder.condition = _service_sentence(builder)
    subscription = _subscription(essentials, event)
    builder.resources.add_all(essentials.targets)
    if builder.resources.vague and subscription:
        builder.resources.add(f"/subscriptions/{subscription}")
    tracking = builder.details.get("tracking_id", "")
    if tracking:
        parts = (subscription, tracking) if subscription else (tracking,)
        builder.key = make_key("service_health", *parts, separator="/")


def _read_stage(builder: SignalBuilder, essentials: Essentials, event: Fields, properties: Fields) -> None:
    stage = given(properties.get("stage"))
    # without a stage, Active and Resolved of the event itself say the same
    found = _STAGES.get(squash(stage)) or _STAGES.get(squash(event.get("status")))
    if found is None:
        builder.state = state_of(builder, essentials.monitor_condition)
        builder.warn(f"The Service Health stage {stage[:40] or '(none)'!r} is not known.")
        return
    if stage and squash(stage) not in _STAGES:
        builder.warn(f"The Service Health stage {stage[:40]!r} is not known; the status was used.")
    builder.state, builder.opens = found
    if builder.state is SignalState.RESOLVED:
        builder.resolved_at = builder.event_at or builder.resolved_at or builder.fired_at


def _read_issue(builder: SignalBuilder, properties: Fields) -> None:
    services, regions = _impacted(properties.get("impactedservices"))
    builder.detail("service", ", ".join(services) or line(given(properties.get("service"))))
    builder.detail("region", ", ".join(regions) or line(given(properties.get("region"))))
    builder.detail("tracking_id", properties.get("trackingid"))
    builder.detail("stage", properties.get("stage"))
    builder.detail("incident_type", properties.get("incidenttype"))
    builder.detail("impact_type", properties.get("impacttype"))
    builder.detail("communication_id", properties.get("communicationid"))
    builder.detail("maintenance_id", properties.get("maintenanceid"))
    builder.time_detail("impact_start", properties.get("impactstarttime"))
    builder.time_detail("impact_end", properties.get("impactmitigationtime"))
    builder.test = builder.test or is_true(properties.get("issynthetic"))


def _impacted(value: object) -> tuple[list[str], list[str]]:
    """Names of services and regions from the list, which arrives as JSON text or as an array."""
    services: dict[str, None] = {}
    regions: dict[str, None] = {}
    for item in array_of(value)[:_MOST_SERVICES]:
        entry = fold(item)
        if name := line(given(entry.get("servicename"))):
            services[name] = None
        for item_region in array_of(entry.get("impactedregions"))[:_MOST_REGIONS]:
            if region := line(given(fold(item_region).get("regionname"))):
                regions[region] = None
    return list(services), list(regions)


def _subscription(essentials: Essentials, event: Fields) -> str:
    for target in essentials.targets:
        if found := subscription_of(target):
            return found
    return subscription_of(essentials.alert_id) or given(event.get("subscriptionid"))


def _service_sentence(builder: SignalBuilder) -> str:
    details = builder.details
    words = [details.get("incident_type", "Service Health event")]
    if "tracking_id" in details:
        words[0] += f" {details['tracking_id']}"
    if "stage" in details:
        words.append(f"stage {details['stage']}")
    sentence = ", ".join(words)
    where = " in ".join(filter(None, (details.get("service"), details.get("region"))))
    return f"{sentence}: {where}" if where else sentence


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
    builder.state = _health_state(builder, essentials, event, current)
    if builder.state is SignalState.FIRED and _is_no_outage(current, squash(properties.get("previoushealthstatus"))):
        builder.state = SignalState.UPDATED
    if builder.state is SignalState.UPDATED:
        builder.opens = current in _ILL
    elif builder.state is SignalState.RESOLVED:
        builder.resolved_at = builder.event_at or builder.resolved_at or builder.fired_at
    builder.heading = line(plain(given(properties.get("title"))))
    builder.prose[:0] = [builder.heading, plain(text(properties.get("details")))]
    builder.condition = _health_sentence(builder)
    targets = [*essentials.targets, given(event.get("resourceid"))]
    builder.resources.add_all([*targets, *essentials.items])
    builder.key = _resource_key(list(filter(None, targets)), essentials.items)


def _is_no_outage(current: str, previous: str) -> bool:
    """Whether the statuses contradict an Activated. Azure sends some whose health did not change, or is restored."""
    return current == "available" or (current == previous != "" and current not in _ILL)


def _health_state(builder: SignalBuilder, essentials: Essentials, event: Fields, current: str) -> SignalState:
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


def _resource_key(targets: list[str], items: list[str]) -> str:
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


def _health_sentence(builder: SignalBuilder) -> str:
    details = builder.details
    before, now = details.get("health_from", ""), details.get("health_to", "")
    cause = f" ({details['cause']})" if "cause" in details else ""
    if before and now and before != now:
        return f"Health changed from {before} to {now}{cause}"
    return f"Health is {now}{cause}" if now else ""
