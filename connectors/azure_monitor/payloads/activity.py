"""Activity Log alerts: Administrative, Policy, Autoscale, Security and Recommendation (Advisor) events.

Source: Microsoft Learn, "Azure Activity Log event schema", "Common alert schema", activity log alert contexts, and
"Configure a webhook to get activity log alerts". Both schemas carry the same event; only its place differs. These
rules have no severity (Azure writes Sev4 always), so the event's own level, impact or severity counts.

Two kinds of event name their problem better than the id of an alert does. Advisor repeats a recommendation each day
until it is followed: the resource and the kind of recommendation are its identity. A security event is its eventDataId,
whatever number of rules reports it. Both schemas make the same key of it.
"""

from __future__ import annotations

from connectors.azure_monitor.payloads.common import Essentials, level, severity
from connectors.microsoft.azure_resources import canonical
from shared.core.payload_schema import Fields
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import make_key
from shared.payloads.markup import plain
from shared.payloads.values import array_of, fold, given, line, moment, object_of, rank, squash, text

_CONSTANT_SEVERITY = 4
_MOST_POLICIES = 20

#: Claims that name the person who signed in, the most telling first.
_CLAIMS_OF_PEOPLE = (
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
    "name",
)

#: Severity by the impact of an Advisor recommendation. Advice is no outage: its highest impact is a warning.
_IMPACT_SEVERITY = {"high": 2, "medium": 3, "low": 4}


def read_activity(builder: SignalBuilder, essentials: Essentials, event: Fields) -> None:
    """Fill in what an event of these categories says. ``event`` is the folded alertContext or activityLog."""
    properties = object_of(event.get("properties"))
    read_event(builder, event)
    _read_severity(builder, essentials, event, properties)
    _read_properties(builder, properties)
    category = squash(event.get("eventsource")) or squash(essentials.service).removeprefix("activitylog")
    builder.detail("category", event.get("eventsource"))
    if category == "recommendation" or "recommendationname" in properties:
        _read_recommendation(builder, properties)
        builder.key = _recommendation_key(builder, essentials, event)
    elif category == "security":
        _read_security(builder, properties)
        _identify_security_event(builder)
    if "policies" in properties:
        _read_policies(builder, properties)
    _read_scaling(builder, properties)
    if not builder.condition:
        builder.condition = " ".join(
            filter(None, (builder.details.get("operation"), _status(builder.details.get("status", ""))))
        )
    _add_resources(builder, essentials, event, properties)


def read_event(builder: SignalBuilder, event: Fields) -> None:
    """Fill in what every Activity Log event says, health events included."""
    builder.detail("operation", event.get("operationname"))
    builder.detail("status", event.get("status"))
    builder.detail("sub_status", event.get("substatus"))
    builder.detail("level", level_word(event.get("level")))
    _read_caller(builder, event)
    builder.detail("correlation_id", event.get("correlationid"))
    builder.detail("event_id", event.get("eventdataid"))
    builder.event_at = moment(event.get("eventtimestamp")) or moment(event.get("submissiontimestamp"))
    if builder.event_at is not None:
        builder.time_detail("event_time", event.get("eventtimestamp") or event.get("submissiontimestamp"))
    description = text(event.get("activity log event description"))
    builder.detail("event_description", description)
    if description:
        builder.prose.append(description)


def _read_caller(builder: SignalBuilder, event: Fields) -> None:
    """Who did it and from where. ``claims`` and ``httpRequest`` are objects or JSON text, by schema and API version.

    Source: Microsoft Learn, "Azure Activity Log event schema", categories Administrative and Policy.
    """
    claims = object_of(event.get("claims"))
    request = object_of(event.get("httprequest"))
    builder.detail("caller", event.get("caller"))
    for name in (*_CLAIMS_OF_PEOPLE, "appid"):
        builder.detail("caller", claims.get(name))
    if builder.details.get("caller") != given(claims.get("appid")):
        builder.detail("caller_application", claims.get("appid"))
    for address in (request.get("clientipaddress"), claims.get("ipaddr"), event.get("calleripaddress")):
        if given(address) != "0.0.0.0":  # noqa: S104 - what Azure's own services write; nothing is bound here
            builder.detail("caller_address", address)


def level_word(value: object) -> str:
    """A level as a word, also where its number was sent; what is no level stays as sent."""
    found = level(value)
    if found is None:
        return given(value)
    return ("Critical", "Error", "Warning", "Informational", "Verbose")[found]


def event_severity(essentials: Essentials, *found: int | None) -> int | None:
    """The first severity that the event gives; the rule's own only where it is not the constant one."""
    for value in found:
        if value is not None:
            return value
    own = severity(essentials.severity)
    return None if own == _CONSTANT_SEVERITY else own


def is_true(value: object) -> bool:
    """Booleans arrive as ``true``, ``"True"`` and ``"true"``."""
    return given(value).lower() == "true"


def _read_severity(builder: SignalBuilder, essentials: Essentials, event: Fields, properties: Fields) -> None:
    builder.severity = event_severity(
        essentials,
        _IMPACT_SEVERITY.get(given(properties.get("recommendationimpact")).lower()),
        rank(properties.get("severity")),
        level(event.get("level")),
    )


def _read_properties(builder: SignalBuilder, properties: Fields) -> None:
    message = given(properties.get("message")) or given(properties.get("statusmessage"))
    if message != builder.details.get("operation"):
        builder.prose.append(message)
    builder.prose.append(text(properties.get("description")))


def _read_recommendation(builder: SignalBuilder, properties: Fields) -> None:
    name = plain(text(properties.get("recommendationname")))
    builder.heading = name
    builder.prose.append(name)
    builder.detail("recommendation", name)
    builder.detail("recommendation_category", properties.get("recommendationcategory"))
    builder.detail("recommendation_impact", properties.get("recommendationimpact"))
    builder.detail("recommendation_type", properties.get("recommendationtype"))
    builder.detail("recommendation_link", properties.get("recommendationresourcelink"))
    impact, category = given(properties.get("recommendationimpact")), given(properties.get("recommendationcategory"))
    words = [f"impact {impact.lower()}" if impact else "", f"category {category}" if category else ""]
    builder.condition = "Advisor recommendation" + "".join(f", {word}" for word in words if word)


def _recommendation_key(builder: SignalBuilder, essentials: Essentials, event: Fields) -> str:
    """Key of the recommendation for its resource; ``""`` where the event does not name both."""
    resource = given(event.get("resourceid")) or next(iter(essentials.targets), "")
    kind = builder.details.get("recommendation_type") or builder.details.get("recommendation", "")
    return make_key("recommendation", canonical(resource), kind) if resource and kind else ""


def _identify_security_event(builder: SignalBuilder) -> None:
    """The event is the identity, and its own time orders it: a second rule that reports it adds nothing."""
    if event_id := builder.details.get("event_id", ""):
        builder.key = make_key("activity", event_id)
        builder.orders_at = builder.event_at


def _read_security(builder: SignalBuilder, properties: Fields) -> None:
    builder.detail("compromised_entity", properties.get("compromisedentity"))
    builder.detail("attacked_resource_type", properties.get("attackedresourcetype"))
    builder.detail("action_taken", properties.get("actiontaken"))
    builder.detail("intent", _listed(properties.get("intent")))
    builder.detail("remediation_steps", _listed(properties.get("remediationsteps")))
    entity, taken = builder.details.get("compromised_entity", ""), builder.details.get("action_taken", "")
    word = given(properties.get("severity"))
    builder.condition = ", ".join(
        filter(
            None,
            (
                f"Security alert{f' of {word.lower()} severity' if word else ''}{f' on {entity}' if entity else ''}",
                f"action taken: {taken}" if taken else "",
            ),
        )
    )


def _listed(value: object) -> str:
    """One line per item of a list in JSON; text that only looks like a list loses its brackets."""
    items = [given(item) for item in array_of(value)]
    if any(items):
        return "\n".join(filter(None, items))
    return plain(given(value)).removeprefix("[").removesuffix("]")


def _read_policies(builder: SignalBuilder, properties: Fields) -> None:
    lines = []
    for item in array_of(properties.get("policies"))[:_MOST_POLICIES]:
        policy = fold(item)
        name = given(policy.get("policydefinitiondisplayname")) or given(policy.get("policydefinitionname"))
        assignment = given(policy.get("policyassignmentname"))
        effect = given(policy.get("policydefinitioneffect"))
        lines.append(", ".join(filter(None, (assignment and f"assignment {assignment}", name, effect))))
    builder.detail("policies", "\n".join(filter(None, lines)))
    if is_true(properties.get("iscompliancecheck")):
        builder.prose.append("Found by a compliance check.")


def _read_scaling(builder: SignalBuilder, properties: Fields) -> None:
    old, new = given(properties.get("oldinstancescount")), given(properties.get("newinstancescount"))
    builder.detail("old_instances", old)
    builder.detail("new_instances", new)
    if old and new:
        builder.condition = f"Scaled from {old} to {new} instances" + _suffix(builder.details.get("status", ""))


def _status(word: str) -> str:
    return f"({line(word)})" if word else ""


def _suffix(word: str) -> str:
    return f" {_status(word)}" if word else ""


def _add_resources(builder: SignalBuilder, essentials: Essentials, event: Fields, properties: Fields) -> None:
    resources = builder.resources
    resources.add(object_of(event.get("authorization")).get("scope"))
    resources.add(properties.get("entity"))
    resources.add(properties.get("resourcename"))
    resources.add(event.get("resourceid"))
    resources.add_all(essentials.targets)
    if resources.vague:
        resources.add(properties.get("compromisedentity"))
    resources.add_all(essentials.items)
