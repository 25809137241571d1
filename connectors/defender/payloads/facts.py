"""What recommendations, their findings and security alerts have in common: status, resource, links, texts, times.

Sources: Azure REST API specifications, Microsoft.Security, "Assessments", "Sub Assessments" and "Alerts"; Microsoft
Learn, "Continuous export", event schemas. Spelling differs by envelope, so keys are folded before they come here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from connectors.defender.payloads.identity import machine_of
from connectors.microsoft.azure_resources import (
    ResourceList,
    is_id,
    last_segment,
    parse_id,
    portal_host,
    subscription_of,
)
from shared.core.payload_schema import Fields
from shared.core.signal import Resource, SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.markup import plain
from shared.payloads.values import array_of, compact, cut, given, line, moment, object_of, raw_object, squash, texts

SOURCE = "defender"

#: Objects that the export adds, by the kind and age of its schema.
ENRICHMENTS = ("assessmenteventdataenrichment", "subassessmenteventdataenrichment", "securityeventdataenrichment")

_DATA = 2_000
_MOST_VALUES = 50

#: Why a finding is over, by status code. ``Removed`` is the word of the Log Analytics tables.
_OVER = {"healthy": "healthy", "notapplicable": "not_applicable", "removed": "deleted"}
_WORDS = {
    "healthy": "The resource is healthy.",
    "not_applicable": "The recommendation does not apply to the resource.",
    "exempted": "The resource is exempted from the recommendation.",
    "deleted": "The finding was deleted, with its resource or its assessment.",
}

_HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\.){1,8}[a-z]{2,24}(?:[/#?].*)?"

#: The page of a recommendation for one resource (pattern of the links that Defender for Cloud sends itself).
_BLADE = "#blade/Microsoft_Azure_Security/RecommendationsBlade/assessmentKey/"


def finding_builder(kind: str, received_at: datetime) -> SignalBuilder:
    """An empty builder for a signal of this source."""
    return SignalBuilder(kind=kind, received_at=received_at, source=SOURCE, resources=ResourceList())


def read_status(builder: SignalBuilder, body: Fields, properties: Fields) -> None:
    """State, resolution, times and condition of a recommendation or finding.

    A deletion beats the status: it repeats the last one known, which may be Unhealthy. It is ordered by the time of
    that status, so that a finding that has come back meanwhile stays; the end shown to people is its receipt.
    """
    status = object_of(properties.get("status"))
    code = given(status.get("code")) or given(properties.get("status"))
    cause, description = given(status.get("cause")), plain(given(status.get("description")))
    action = _action(body)
    changed = moment(status.get("statuschangedate"))
    builder.detail("status", code)
    builder.detail("status_cause", cause)
    builder.detail("status_description", description)
    builder.detail("event_action", action)
    builder.time_detail("first_evaluation", status.get("firstevaluationdate"))
    builder.time_detail("status_changed", status.get("statuschangedate"))
    builder.orders_at = changed or moment(properties.get("timegenerated"))
    resolution = "deleted" if action.lower() == "delete" else _OVER.get(squash(code), "")
    if resolution == "not_applicable" and squash(cause).startswith("exempt"):
        resolution = "exempted"
    if resolution:
        builder.state = SignalState.RESOLVED
        builder.detail("resolution", resolution)
        words = [_WORDS[resolution]]
        if resolution == "deleted":
            end_unknown(builder, "The deletion")
            words.append(f"Its last status was {code}." if code else "")
        else:
            builder.resolved_at = builder.orders_at
            words.append(_reason(cause, description))
        builder.condition = " ".join(filter(None, words))
        return
    builder.fired_at = builder.orders_at
    if squash(code) != "unhealthy":
        builder.warn(f"The status {code[:40]!r} is not known; the finding is taken as unhealthy.")
    builder.condition = _unhealthy(builder, _reason(cause, description))


def _reason(cause: str, description: str) -> str:
    """Cause and description, which often say the same."""
    reason = description if squash(cause) in squash(description) else ": ".join(filter(None, (cause, description)))
    return reason if not reason or reason.endswith((".", "!", "?")) else f"{reason}."


def _unhealthy(builder: SignalBuilder, reason: str) -> str:
    details = builder.details
    words = ["Unhealthy"]
    if "severity" in details:
        words.append(f"severity {details['severity']}")
    if "risk_level" in details:
        words.append(f"risk {details['risk_level']}")
    return f"{', '.join(words)}. {reason}".strip()


def end_unknown(builder: SignalBuilder, what: str) -> None:
    """The end has no time of its own: people are shown that of its receipt."""
    builder.resolved_at = builder.received_at
    builder.warn(f"{what} has no time of its own; the time of its receipt is shown as the end.")


def _action(body: Fields) -> str:
    """Insert, Write or Delete, as the export says of the event."""
    for name in ENRICHMENTS:
        if found := given(object_of(body.get(name)).get("action")):
            return found
    return ""


def read_envelope(builder: SignalBuilder, body: Fields) -> None:
    """What export and Resource Graph add to the object itself."""
    builder.detail("tenant_id", body.get("tenantid"))
    if any(given(object_of(body.get(name)).get("issnapshot")).lower() == "true" for name in ENRICHMENTS):
        builder.detail("is_snapshot", "true")
    builder.spread_tags(body.get("tags"))


def add_resource(builder: SignalBuilder, resource: str, details: Fields, own_id: str) -> None:
    """Add the assessed resource. Those of other clouds have names and types of their own.

    Args:
        builder: to add it to.
        resource: its id as sent, of whatever cloud.
        details: ``properties.resourceDetails``.
        own_id: the finding's ARM id, which names the subscription where the resource's does not.
    """
    source = given(details.get("source"))
    native = line(given(details.get("nativeresourceid")))
    builder.detail("environment", source)
    builder.detail("native_id", native)
    machine = machine_of(resource, details)
    if is_id(resource) and squash(source) in ("", "azure") and not machine:
        builder.resources.add(resource)
        return
    base = parse_id(resource) if is_id(resource) else Resource(id=resource or None)
    name = given(details.get("resourcename")) or given(details.get("machinename")) or base.name
    if machine:  # the id is that of a subscription or workspace, or there is none: it is not the machine's
        base = replace(base, id=None, type=None)
        name = given(details.get("machinename")) or given(details.get("resourcename"))
    provider, type_ = given(details.get("resourceprovider")), given(details.get("resourcetype"))
    if provider and type_ and "/" not in type_:
        type_ = f"{provider}/{type_}"
    builder.resources.add_known(
        replace(
            base,
            name=line(name or last_segment(native or machine or resource)),
            type=type_ or base.type,
            subscription_id=base.subscription_id or subscription_of(own_id) or None,
        )
    )


def values(value: object) -> str:
    """An array of words, or text that holds one, as text with commas."""
    return ", ".join(dict.fromkeys(line(word) for word in texts(value, _MOST_VALUES)))


def steps(value: object) -> str:
    """Remediation steps, HTML or plain, one text or several, as readable text."""
    items = array_of(value) or [value]
    return "\n".join(filter(None, (plain(given(item)) for item in items[:_MOST_VALUES])))


def read_data(builder: SignalBuilder, value: object) -> None:
    """Keep additionalData, whose form depends on the assessment, as JSON."""
    data = raw_object(value)
    if data:
        builder.detail("additional_data", cut(compact(data), _DATA))


def with_scheme(value: str) -> str:
    """An address as a whole one: Defender for Cloud leaves the scheme out of most of its links."""
    value = value.removeprefix("//")
    return f"https://{value}" if re.fullmatch(_HOST, value, re.IGNORECASE | re.DOTALL) else value


def add_links(builder: SignalBuilder, links: Fields, resource: str, assessment: str) -> None:
    """Link the recommendation's page: as sent, else built."""
    sent = given(links.get("azureportal")) or given(links.get("azureportaluri"))
    builder.link("portal", with_scheme(sent))
    if "portal" not in builder.links and is_id(resource) and assessment:
        where = quote("/" + resource.strip("/ "), safe="")
        page = f"https://{portal_host(())}/{_BLADE}{quote(assessment, safe='')}/resourceId/{where}"
        builder.link("portal", page)


def latest(times: Iterable[datetime | None]) -> datetime | None:
    """The latest of the times that are known."""
    return max((time for time in times if time is not None), default=None)
