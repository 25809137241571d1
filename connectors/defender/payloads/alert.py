"""Security alerts of Defender for Cloud, exported (PascalCase) and as Resource Manager and Resource Graph have them.

Sources: Microsoft Learn, "Security alerts schemas"; Azure REST API specifications, Microsoft.Security, "Alerts - Get"
(2022-01-01). The Activity Log's copy of an alert is an Azure Monitor alert and read there.

==================  ==========  ==============
status              state       opens a ticket
==================  ==========  ==============
New, Active         fired       yes
InProgress          updated     yes
Resolved, Dismissed resolved    no
==================  ==========  ==============

No payload says when a status changed. What orders the messages of one alert is the time it was last processed, and
for equal times the state.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice

from connectors.defender.payloads import facts
from connectors.defender.payloads.identity import security_alert_key
from connectors.microsoft.azure_resources import last_segment
from shared.core.payload_schema import Fields
from shared.core.signal import Resource, Signal, SignalState
from shared.payloads.builder import MOST_ENTRIES, SignalBuilder, label
from shared.payloads.markup import plain
from shared.payloads.values import anything, array_of, fold, given, line, moment, object_of, rank, raw_object, squash

_STATES = {
    "new": SignalState.FIRED,
    "active": SignalState.FIRED,
    "inprogress": SignalState.UPDATED,
    "resolved": SignalState.RESOLVED,
    "dismissed": SignalState.RESOLVED,
}
_PLACEHOLDER = r"%\{([^{}%]{1,100})\}"
_MOST_ENTITIES = 50

#: What names an entity, by preference (Microsoft Learn, "Microsoft Sentinel entity types reference").
_NAMES = (
    *("address", "hostname", "upn", "displayname", "name", "commandline", "processid", "url", "domainname"),
    *("imageid", "amazonresourceid", "resourceid"),
)


def read_security_alert(body: Fields, received_at: datetime) -> Signal:
    """Read a security alert. Raises Unidentified when it has no id."""
    builder = facts.finding_builder("security_alert", received_at)
    in_arm = "alertdisplayname" not in body and "systemalertid" not in body
    properties = object_of(body.get("properties")) if in_arm else body
    system_id = given(properties.get("systemalertid"))
    own_id = given(body.get("id")) if in_arm else ""
    name = (last_segment(given(body.get("name"))) or last_segment(own_id)) if in_arm else ""
    builder.key = security_alert_key(name or system_id)
    if name and system_id and name.lower() != system_id.lower():
        builder.warn("The alert's name and its systemAlertId differ; the name is its identity.")
    builder.detail("alert_id", own_id or system_id)
    _read_words(builder, properties)
    _read_state(builder, properties)
    _read_times(builder, properties)
    facts.read_envelope(builder, body)
    _add_resources(builder, properties)
    builder.link("portal", facts.with_scheme(given(properties.get("alerturi"))))
    return builder.finish()


def _read_words(builder: SignalBuilder, properties: Fields) -> None:
    extended = raw_object(properties.get("extendedproperties"))
    for name, found in islice(extended.items(), MOST_ENTRIES):
        if words := given(anything(found)):
            builder.dimensions[label(name)] = words
    heading = line(_expanded(plain(given(properties.get("alertdisplayname"))), extended))
    alert_type = given(properties.get("alerttype"))
    builder.rule = alert_type or heading
    builder.heading = heading or f"Security alert {alert_type}".strip()
    builder.prose.append(_expanded(plain(given(properties.get("description"))), extended))
    builder.severity = rank(properties.get("severity"))
    builder.test = heading.upper().startswith("[SAMPLE ALERT]") or alert_type.upper().startswith("SIMULATED_")
    builder.detail("severity", properties.get("severity"))
    builder.detail("alert_type", alert_type)
    builder.detail("product", properties.get("productname"))
    builder.detail("plan", properties.get("productcomponentname"))
    builder.detail("compromised_entity", properties.get("compromisedentity"))
    builder.detail("intent", _words(properties.get("intent")))
    builder.detail(
        "techniques", facts.values([*_array(properties, "techniques"), *_array(properties, "subtechniques")])
    )
    builder.detail("correlation_key", properties.get("correlationkey"))
    builder.detail("remediation_steps", facts.steps(properties.get("remediationsteps")))
    builder.detail("entities", _entities(properties))
    if given(properties.get("isincident")).lower() == "true":
        builder.detail("is_incident", "true")


def _array(properties: Fields, name: str) -> list[object]:
    return array_of(properties.get(name))


def _words(value: object) -> str:
    """Intents: a list in text, in JSON or not. ``Unknown`` says nothing."""
    found = array_of(value) or given(value).split(",")
    return ", ".join(word for item in found if (word := line(given(item))) and word.lower() != "unknown")


def _expanded(value: str, extended: dict[str, object]) -> str:
    """Put in the values for which alerts leave placeholders: ``%{Process Path}``."""
    if "%{" not in value:
        return value
    known = {squash(name): found for name, found in extended.items()}
    return re.sub(_PLACEHOLDER, lambda match: given(known.get(squash(match[1]))) or match[0], value)


def _read_state(builder: SignalBuilder, properties: Fields) -> None:
    status = given(properties.get("status"))
    state = _STATES.get(squash(status))
    if state is None:
        builder.warn(f"The status {status[:40]!r} is not known; the alert is taken as new.")
        state = SignalState.FIRED
    builder.detail("status", status)
    builder.state = state
    if state is SignalState.UPDATED:
        builder.opens = True
    if state is SignalState.RESOLVED:
        builder.detail("resolution", squash(status))
        facts.end_unknown(builder, "The end of a security alert")
    details = builder.details
    words = [f"Security alert {status}" if status else "Security alert"]
    words += [f"severity {details['severity']}"] if "severity" in details else []
    words += [f"on {details['compromised_entity']}"] if "compromised_entity" in details else []
    words += [f"intent {details['intent']}"] if "intent" in details else []
    builder.condition = line(", ".join(words))


def _read_times(builder: SignalBuilder, properties: Fields) -> None:
    started = properties.get("starttimeutc")
    generated = moment(properties.get("timegeneratedutc")) or moment(properties.get("timegenerated"))
    processed = moment(properties.get("processingendtimeutc")) or moment(properties.get("processingendtime"))
    builder.orders_at = facts.latest((generated, processed)) or moment(properties.get("endtimeutc")) or moment(started)
    builder.fired_at = moment(started) or generated
    builder.time_detail("activity_start", started)
    builder.time_detail("activity_end", properties.get("endtimeutc"))


def _add_resources(builder: SignalBuilder, properties: Fields) -> None:
    for item in array_of(properties.get("resourceidentifiers"))[:_MOST_ENTITIES]:
        builder.resources.add(fold(item).get("azureresourceid"))
    builder.resources.add(properties.get("azureresourceid"))
    for item in array_of(properties.get("entities"))[:_MOST_ENTITIES]:
        entity = fold(item)
        if squash(entity.get("type")).endswith("resource"):  # azure-resource, amazon-resource ...
            builder.resources.add(entity.get("resourceid"))
            _add_native(builder, entity, properties)
    if builder.resources.vague:
        builder.resources.add(properties.get("compromisedentity"))
    if subscription := given(properties.get("azureresourcesubscriptionid")):
        builder.resources.add(f"/subscriptions/{subscription}")


def _add_native(builder: SignalBuilder, entity: Fields, properties: Fields) -> None:
    """A resource of another cloud: its own id, and the best name there is."""
    native = line(given(entity.get("amazonresourceid")) or given(entity.get("fullresourcename")))
    if native:
        name = line(given(entity.get("name")) or given(properties.get("compromisedentity")))
        builder.resources.add_known(Resource(id=native, name=name or native))


def _entities(properties: Fields) -> str:
    """One line per entity: its kind and what names it. References to other entities (``$ref``) are passed over."""
    lines: dict[str, None] = {}
    for item in array_of(properties.get("entities"))[:_MOST_ENTITIES]:
        entity = fold(item)
        kind = line(given(entity.get("type")))
        name = next((found for key in _NAMES if (found := line(given(entity.get(key))))), "")
        if kind and name:
            lines[f"{kind}: {name}"] = None
    return "\n".join(lines)
