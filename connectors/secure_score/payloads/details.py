"""Details of Secure Score controls: the names that ``Signal.details`` may hold, for templates.

Values are text as the payload gives it, shortened where it is long; times are RFC 3339 in UTC. A name is absent when
the payload does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DETAILS: Mapping[str, str] = MappingProxyType(
    {
        "tenant_id": "tenant",
        "category": "category of the control (Identity, Data, Devices, Apps, Infrastructure)",
        "service": "service of the control",
        "remediation_steps": "what Secure Score advises",
        "user_impact": "Low, Moderate or High",
        "threats": "threats, separated by commas",
        "resolution": "why it is over: full_score, ignored, third_party, reviewed, deprecated, no_longer_listed",
        "control_id": "id of the control",
        "tier": "Core, Defense in Depth or Advanced",
        "action_type": "Config, Review or Behavior",
        "action_url": "page where the action is taken",
        "max_score": "points that the control can bring",
        "score": "points now",
        "score_percentage": "points now as a percentage",
        "score_date": "when the score was taken",
        "rank": "rank of the control; the lowest matters most",
        "implementation_cost": "Low, Moderate or High",
        "implementation_status": "what Microsoft says of the state of the implementation",
        "remediation_impact": "what users will notice",
        "recommendation_source": "Microsoft or User",
        "control_state": "Default, Ignored, ThirdParty or Reviewed",
        "state_comment": "comment on that state",
        "state_updated_by": "who set it",
        "assigned_to": "to whom the control is assigned",
        "requested_by": "who asks for the ticket",
        "priority": "priority of the ticket that a rule or a person gave: 1 critical to 4 low",
        "due_date": "until when the ticket is to be done",
        "score_rule": "name of the rule that chose the control",
        "ticket_kind": "kind of ticket that somebody asked for",
    }
)
