"""How the long text of a ticket presents each kind of finding: which facts, in which order, under which names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Layout(NamedTuple):
    """The presentation of one kind.

    Attributes:
        rule: what the signal's rule is called. portal: what its page is called.
        facts: names of details, each with what it is called; one line each.
        texts: names of details that are long, each with its heading.
        dimensions: heading of the table of dimensions, ``""`` where they only repeat the facts.
    """

    rule: str = "Rule"
    portal: str = "Alert in Azure"
    facts: tuple[tuple[str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    dimensions: str = "Dimensions"


#: For every kind that has no presentation of its own.
PLAIN = Layout()

_REMEDIATION = ("remediation_steps", "Remediation steps")
_ELSEWHERE = (("environment", "Environment"), ("native_id", "Native id"))

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "recommendation": Layout(
            rule="Recommendation",
            portal="Recommendation in Azure",
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
        "control": Layout(
            rule="Task",
            portal="Action in Microsoft 365",
            facts=(
                ("category", "Category"),
                ("recommendation_source", "Recommendation source"),
                ("requested_by", "Requested by"),
                ("priority", "Priority"),
                ("due_date", "Due date"),
                ("service", "Service"),
                ("tier", "Tier"),
                ("score", "Score now"),
                ("max_score", "Score possible"),
                ("score_date", "Score of"),
                ("rank", "Rank"),
                ("user_impact", "User impact"),
                ("implementation_cost", "Implementation cost"),
                ("threats", "Threats"),
                ("control_state", "State"),
                ("assigned_to", "Assigned to"),
                ("state_comment", "Comment"),
            ),
            texts=(_REMEDIATION, ("remediation_impact", "Impact of the remediation")),
            dimensions="",
        ),
    }
)
