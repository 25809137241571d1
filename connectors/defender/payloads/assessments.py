"""Recommendations (one assessment of one resource) and their findings (sub-assessments).

Sources: Azure REST API specifications, Microsoft.Security, "Assessments - Get" (2021-06-01, and 2025-05-04 for risk)
and "Sub Assessments - Get"; Microsoft Learn, "Continuous export", "Use workflow automation"; Resource Graph, table
``securityresources``.

Metadata of a recommendation is absent where Resource Manager was asked without ``$expand=metadata``. The export writes
a finding (a vulnerability of a machine, an image or a database) in PascalCase; its severity is in its status. One
resource can have thousands of findings: routes that take them should group them, for example by the detail
``assessment_id``.
"""

from __future__ import annotations

from datetime import datetime

from connectors.defender.payloads import facts
from connectors.defender.payloads.identity import (
    assessment_id,
    assessment_of,
    place_of,
    recommendation_key,
    resource_of,
    split_id,
    sub_assessment_key,
)
from shared.core.payload_schema import Fields
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.markup import plain
from shared.payloads.values import array_of, fold, given, line, object_of, rank, raw_object

#: Facts that routes may compare, as dimensions: name there, name of the detail.
_RECOMMENDATION_DIMENSIONS = (
    ("assessmentKey", "assessment_key"),
    ("assessmentType", "assessment_type"),
    ("categories", "categories"),
    ("environment", "environment"),
    ("implementationEffort", "implementation_effort"),
    ("riskLevel", "risk_level"),
    ("severity", "severity"),
    ("tactics", "tactics"),
    ("threats", "threats"),
    ("userImpact", "user_impact"),
)


def read_assessment(body: Fields, received_at: datetime) -> Signal:
    """Read a recommendation. Raises Unidentified when it names no resource or no assessment."""
    builder = facts.finding_builder("recommendation", received_at)
    properties = object_of(body.get("properties")) or body
    metadata = object_of(properties.get("metadata"))
    details = object_of(properties.get("resourcedetails"))
    own = split_id(given(body.get("id")))
    resource, assessment = resource_of(own, details), assessment_of(own, body.get("name"))
    builder.key = recommendation_key(place_of(resource, details), assessment)
    builder.detail("assessment_key", assessment)
    builder.origin = assessment_id(resource, assessment)
    builder.detail("assessment_id", builder.origin)
    name = line(plain(given(properties.get("displayname")) or given(metadata.get("displayname"))))
    builder.rule = name
    builder.heading = name or f"Recommendation {assessment}"
    _read_metadata(builder, metadata)
    _read_risk(builder, object_of(properties.get("risk")))
    builder.severity = rank(builder.details.get("risk_level")) if "risk_level" in builder.details else None
    if builder.severity is None:
        builder.severity = rank(metadata.get("severity"))
    facts.read_status(builder, body, properties)
    facts.read_envelope(builder, body)
    facts.read_data(builder, properties.get("additionaldata"))
    facts.add_resource(builder, resource, details, own.resource)
    facts.add_links(builder, object_of(properties.get("links")), resource, assessment)
    add_dimensions(builder, _RECOMMENDATION_DIMENSIONS)
    return builder.finish()


def add_dimensions(builder: SignalBuilder, names: tuple[tuple[str, str], ...]) -> None:
    """Show details as dimensions too, which conditions of routes can look at."""
    for name, detail in names:
        if found := builder.details.get(detail):
            builder.dimensions[name] = found


def _read_metadata(builder: SignalBuilder, metadata: Fields) -> None:
    builder.prose.append(plain(given(metadata.get("description"))))
    builder.detail("severity", metadata.get("severity"))
    builder.detail("assessment_type", metadata.get("assessmenttype"))
    builder.detail("policy_definition", metadata.get("policydefinitionid"))
    builder.detail("categories", facts.values(metadata.get("categories") or metadata.get("category")))
    builder.detail("user_impact", metadata.get("userimpact"))
    builder.detail("implementation_effort", metadata.get("implementationeffort"))
    builder.detail("threats", facts.values(metadata.get("threats")))
    builder.detail("tactics", facts.values(metadata.get("tactics")))
    builder.detail("techniques", facts.values(metadata.get("techniques")))
    builder.detail("remediation_steps", facts.steps(metadata.get("remediationdescription")))


def _read_risk(builder: SignalBuilder, risk: Fields) -> None:
    """Risk of this very resource, known with Defender CSPM."""
    builder.detail("risk_level", risk.get("level"))
    builder.detail("risk_factors", facts.values(risk.get("riskfactors")))
    if paths := len(array_of(risk.get("attackpathsreferences"))):
        builder.detail("attack_paths", str(paths))


_MOST = 20

_FINDING_DIMENSIONS = (
    ("assessedResourceType", "assessed_type"),
    ("assessmentKey", "assessment_key"),
    ("category", "category"),
    ("environment", "environment"),
    ("patchable", "patchable"),
    ("severity", "severity"),
)


def read_sub_assessment(body: Fields, received_at: datetime) -> Signal:
    """Read a finding. Raises Unidentified when it does not name resource, assessment and itself."""
    builder = facts.finding_builder("sub_assessment", received_at)
    properties = object_of(body.get("properties")) or body
    details = object_of(properties.get("resourcedetails"))
    status = object_of(properties.get("status"))
    own = split_id(given(body.get("id")))
    where = place_of(own.resource, details)
    builder.key = sub_assessment_key(where, own.assessment, own.sub_assessment or given(body.get("name")))
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
    add_dimensions(builder, _FINDING_DIMENSIONS)
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
