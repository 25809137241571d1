"""How tickets present improvement actions. Their score is in the condition, which ends the description."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.mapping.layouts import RATINGS, Layout

_REMEDIATION = ("remediation_steps", "Remediation steps")

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "control": Layout(
            rule="Task",
            portal="Action in Microsoft 365",
            began="Detected",
            severities=RATINGS,
            facts=(
                ("category", "Category"),
                ("recommendation_source", "Recommendation source"),
                ("requested_by", "Requested by"),
                ("priority", "Priority"),
                ("due_date", "Due date"),
                ("service", "Service"),
                ("tier", "Tier"),
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
