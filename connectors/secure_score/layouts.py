"""How tickets present improvement actions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.mapping.layouts import Layout

_REMEDIATION = ("remediation_steps", "Remediation steps")

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
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
