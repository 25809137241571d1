"""Findings below a recommendation: a vulnerability of a machine, an image or a database.

Source: Azure REST API specifications, Microsoft.Security, "Sub Assessments - Get"; the export writes the same in
PascalCase. Severity stands in the status here. One resource can have thousands: routes that take them should group
them, for example by the detail ``assessment_id``.
"""

from __future__ import annotations

from datetime import datetime

from connectors.defender.payloads import facts
from connectors.defender.payloads.assessment import add_dimensions
from connectors.defender.payloads.identity import assessment_id, resource_of, split_id, sub_assessment_key
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.markup import plain
from shared.payloads.severity import rank
from shared.payloads.text import Fields, array_of, fold, given, line, object_of, raw_object

_MOST = 20

_DIMENSIONS = (
    ("assessedResourceType", "assessed_type"),
    ("assessmentKey", "assessment_key"),
    ("category", "category"),
    ("environment", "environment"),
    ("patchable", "patchable"),
    ("severity", "severity"),
)


def read_sub_assessment(body: Fields, received_at: datetime) -> Signal:
    """Read a finding. Raises Unidentified when it does not name resource, assessment and itself."""
    builder = SignalBuilder(kind="sub_assessment", received_at=received_at, source=facts.SOURCE)
    properties = object_of(body.get("properties")) or body
    details = object_of(properties.get("resourcedetails"))
    status = object_of(properties.get("status"))
    own = split_id(given(body.get("id")))
    builder.key = sub_assessment_key(own.resource, own.assessment, own.sub_assessment or given(body.get("name")))
    builder.detail("assessment_key", own.assessment)
    builder.detail("assessment_id", assessment_id(own.resource, own.assessment))
    builder.detail("finding_id", properties.get("id"))
    name = line(plain(given(properties.get("displayname"))))
    builder.rule = name
    builder.heading = name or f"Finding {own.sub_assessment}"
    builder.prose.append(plain(given(properties.get("description"))))
    builder.detail("severity", status.get("severity"))
    builder.severity = rank(status.get("severity"))
    builder.detail("category", properties.get("category"))
    builder.detail("finding_impact", plain(given(properties.get("impact"))))
    builder.detail("remediation_steps", facts.steps(properties.get("remediation")))
    _read_data(builder, properties.get("additionaldata"))
    facts.read_status(builder, body, properties)
    facts.read_envelope(builder, body)
    facts.add_resource(builder, resource_of(own, details), details, own.resource)
    facts.add_links(builder, object_of(properties.get("links")), own.resource, own.assessment)
    add_dimensions(builder, _DIMENSIONS)
    return builder.finish()


def _read_data(builder: SignalBuilder, value: object) -> None:
    data = object_of(value)
    builder.detail("assessed_type", data.get("assessedresourcetype"))
    builder.detail("patchable", given(data.get("patchable")).lower())
    builder.detail("cves", "\n".join(filter(None, (_reference(item) for item in array_of(data.get("cve"))[:_MOST]))))
    builder.detail("cvss", _scores(data.get("cvss")))
    builder.time_detail("published", data.get("publishedtime"))
    references = array_of(data.get("vendorreferences"))[:_MOST]
    builder.detail("references", "\n".join(filter(None, (_reference(item) for item in references))))
    facts.read_data(builder, value)


def _reference(item: object) -> str:
    """Title and address of a CVE or of a vendor's page."""
    entry = fold(item)
    title, link = line(given(entry.get("title"))), line(given(entry.get("link")))
    return f"{title} ({link})" if title and link else title or link or line(given(item))


def _scores(value: object) -> str:
    """Scores by version of the scale, which come as numbers and as text: ``9.8 (CVSS 3.0), 10 (CVSS 2.0)``."""
    found = []
    for version, entry in sorted(raw_object(value).items(), reverse=True)[:_MOST]:
        if base := given(fold(entry).get("base")):
            found.append(f"{line(base)} (CVSS {line(given(version))})")
    return ", ".join(found)
