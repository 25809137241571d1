"""Recommendations: one assessment of one resource.

Sources: Azure REST API specifications, Microsoft.Security, "Assessments - Get" (2021-06-01, and 2025-05-04 for risk);
Microsoft Learn, "Continuous export", "Use workflow automation"; Resource Graph, table ``securityresources``. Metadata
is absent where Resource Manager was asked without ``$expand=metadata``.
"""

from __future__ import annotations

from datetime import datetime

from connectors.defender.payloads import facts
from connectors.defender.payloads.identity import (
    assessment_id,
    assessment_of,
    recommendation_key,
    resource_of,
    split_id,
)
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.markup import plain
from shared.payloads.severity import rank
from shared.payloads.text import Fields, array_of, given, line, object_of

#: Facts that routes may compare, as dimensions: name there, name of the detail.
_DIMENSIONS = (
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
    builder = SignalBuilder(kind="recommendation", received_at=received_at, source=facts.SOURCE)
    properties = object_of(body.get("properties")) or body
    metadata = object_of(properties.get("metadata"))
    details = object_of(properties.get("resourcedetails"))
    own = split_id(given(body.get("id")))
    resource, assessment = resource_of(own, details), assessment_of(own, body.get("name"))
    builder.key = recommendation_key(resource, assessment)
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
    add_dimensions(builder, _DIMENSIONS)
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
