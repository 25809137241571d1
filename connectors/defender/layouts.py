"""How tickets present recommendations, findings and security alerts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.mapping.layouts import RATINGS, Layout

_REMEDIATION = ("remediation_steps", "Remediation steps")
_ELSEWHERE = (("environment", "Environment"), ("native_id", "Native id"))

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "recommendation": Layout(
            rule="Recommendation",
            portal="Recommendation in Azure",
            began="Detected",
            severities=RATINGS,
            facts=(
                ("severity", "Severity given by Defender for Cloud"),
                ("risk_level", "Risk"),
                ("risk_factors", "Risk factors"),
                ("categories", "Categories"),
                ("implementation_effort", "Implementation effort"),
                ("user_impact", "User impact"),
                ("threats", "Threats"),
                ("tactics", "Tactics"),
                *_ELSEWHERE,
                ("first_evaluation", "First evaluated"),
                ("status_changed", "Status changed"),
            ),
            texts=(_REMEDIATION,),
            dimensions="",
        ),
        "sub_assessment": Layout(
            rule="Finding",
            portal="Recommendation in Azure",
            began="Detected",
            severities=RATINGS,
            facts=(
                ("finding_id", "Finding id"),
                ("severity", "Severity given by Defender for Cloud"),
                ("category", "Category"),
                ("assessed_type", "Assessed"),
                ("cvss", "CVSS score"),
                ("patchable", "Patchable"),
                ("finding_impact", "Impact"),
                *_ELSEWHERE,
            ),
            texts=(_REMEDIATION, ("cves", "CVEs"), ("references", "References")),
            dimensions="",
        ),
        "security_alert": Layout(
            rule="Alert type",
            portal="Security alert in Azure",
            began="Detected",
            severities=RATINGS,
            facts=(
                ("severity", "Severity given by Defender for Cloud"),
                ("compromised_entity", "Compromised entity"),
                ("intent", "Intent"),
                ("techniques", "Techniques"),
                ("plan", "Defender plan"),
                ("activity_start", "Activity began"),
                ("activity_end", "Activity ended"),
            ),
            texts=(_REMEDIATION, ("entities", "Entities")),
            dimensions="Extended properties",
        ),
    }
)
