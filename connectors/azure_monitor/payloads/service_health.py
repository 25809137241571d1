"""Service Health: issues, maintenance and advisories of Azure itself, followed through their updates.

Source: Microsoft Learn, "View Azure service health notifications" (properties, stages, meaning of levels). Every
message says Fired; the stage tells what it means:

============================  ==========  ======================
stage                         state       opens a ticket
============================  ==========  ======================
Active, Planned               fired       yes
InProgress, Rescheduled       updated     yes
RCA                           updated     no: it comes days later
Resolved, Complete, Canceled  resolved    no
============================  ==========  ======================

One issue is one tracking id within a subscription; each subscription gets its own copy. ``impactMitigationTime`` lies
in the future for planned maintenance, so an update and a resolution are dated by the event itself
(``eventTimestamp``); ``fired_at`` stays the firedDateTime of the message, which is later by seconds to minutes, and
orders a resolution after the firing whatever the delay of either.
"""

from __future__ import annotations

from connectors.azure_monitor.payloads.activity import event_severity, is_true, read_event
from connectors.azure_monitor.payloads.essentials import Essentials, state_of
from shared.core.signal import SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import make_key
from shared.payloads.markup import plain
from shared.payloads.resources import subscription_of
from shared.payloads.severity import level
from shared.payloads.text import Fields, array_of, fold, given, line, object_of, squash, text

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
    _read_state(builder, essentials, event, properties)
    _read_properties(builder, properties)
    title = given(properties.get("title")) or given(properties.get("defaultlanguagetitle"))
    builder.heading = line(plain(title))
    message = text(properties.get("communication")) or text(properties.get("defaultlanguagecontent"))
    builder.prose.insert(0, plain(message))
    builder.condition = _say(builder)
    subscription = _subscription(essentials, event)
    builder.resources.add_all(essentials.targets)
    if builder.resources.vague and subscription:
        builder.resources.add(f"/subscriptions/{subscription}")
    tracking = builder.details.get("tracking_id", "")
    if tracking:
        parts = (subscription, tracking) if subscription else (tracking,)
        builder.key = make_key("service_health", *parts, separator="/")


def _read_state(builder: SignalBuilder, essentials: Essentials, event: Fields, properties: Fields) -> None:
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


def _read_properties(builder: SignalBuilder, properties: Fields) -> None:
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
        for place in array_of(entry.get("impactedregions"))[:_MOST_REGIONS]:
            if region := line(given(fold(place).get("regionname"))):
                regions[region] = None
    return list(services), list(regions)


def _subscription(essentials: Essentials, event: Fields) -> str:
    for target in essentials.targets:
        if found := subscription_of(target):
            return found
    return subscription_of(essentials.alert_id) or given(event.get("subscriptionid"))


def _say(builder: SignalBuilder) -> str:
    details = builder.details
    words = [details.get("incident_type", "Service Health event")]
    if "tracking_id" in details:
        words[0] += f" {details['tracking_id']}"
    if "stage" in details:
        words.append(f"stage {details['stage']}")
    said = ", ".join(words)
    where = " in ".join(filter(None, (details.get("service"), details.get("region"))))
    return f"{said}: {where}" if where else said
