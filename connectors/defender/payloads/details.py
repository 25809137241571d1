"""Details of findings and alerts of Defender for Cloud: the names that ``Signal.details`` may hold, for templates.

Values are text as the payload gives it, shortened where it is long; times are RFC 3339 in UTC. A name is absent when
the payload does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DETAILS: Mapping[str, str] = MappingProxyType(
    {
        "alert_id": "id of the security alert, as sent",
        "category": "category of the finding",
        "status": "status of the finding (Healthy, Unhealthy ...) or of the security alert",
        "alert_type": "detection of a security alert",
        "compromised_entity": "name of the attacked thing",
        "intent": "intent of the attack",
        "remediation_steps": "what Defender for Cloud advises",
        "assessment_key": "key of the assessment: a GUID, the same for all resources with this finding",
        "assessment_id": "ARM id of the assessment of the resource; for a finding that of its recommendation",
        "assessment_type": "BuiltIn, CustomPolicy, CustomerManaged or VerifiedPartner",
        "policy_definition": "ARM id of the policy behind a recommendation",
        "tenant_id": "tenant",
        "management_groups": "names of the management groups above the subscription, the nearest first, separated by "
        "commas",
        "polled": "'true' when the poll found it, rather than that it was sent",
        "owner": "who has to fix the recommendation: e-mail address or user name",
        "assignment_caller": "caller of an assigned recommendation's ticket",
        "governance_rule": "name of the governance rule that assigned the recommendation",
        "assigned_by": "who assigned the recommendation by hand",
        "integration": "name of the integration by which its ticket is made",
        "assignment_kind": "kind of ticket of the assignment",
        "assignment_ticket": "key of the link that has the ticket of the assignment",
        "environment": "cloud of the resource as sent: Azure, OnPremise, Aws, Gcp",
        "native_id": "id that the resource has in another cloud",
        "event_action": "what the export tells: Insert, Write or Delete",
        "is_snapshot": "'true' for the weekly export of everything",
        "status_cause": "cause of the status, e.g. OffByPolicy, Exempt",
        "status_description": "what Defender for Cloud says of the status",
        "resolution": "why it is over: healthy, not_applicable, exempted, deleted (recommendations, findings); "
        "resolved, dismissed (security alerts)",
        "first_evaluation": "first evaluation of the recommendation for the resource",
        "status_changed": "last change of its status",
        "severity": "severity as sent: High, Medium, Low, for security alerts also Informational",
        "risk_level": "risk of this resource: Critical, High, Medium, Low or None (Defender CSPM)",
        "risk_factors": "what makes the risk, separated by commas",
        "attack_paths": "number of attack paths",
        "categories": "categories of the recommendation, separated by commas",
        "implementation_effort": "Low, Moderate or High",
        "user_impact": "Low, Moderate or High",
        "threats": "threats, separated by commas",
        "tactics": "MITRE tactics, separated by commas",
        "techniques": "MITRE techniques, separated by commas",
        "additional_data": "what an assessment adds, as JSON; long values are cut",
        "finding_id": "number of the finding in the scanner's catalogue",
        "finding_impact": "impact of the finding, a number or text",
        "assessed_type": "what was scanned, e.g. ServerVulnerability",
        "cves": "vulnerabilities and their pages, one per line",
        "cvss": "scores by version of the scale",
        "patchable": "'true' or 'false'",
        "published": "when the vulnerability was published",
        "references": "pages of the vendor, one per line",
        "product": "product that raised the security alert",
        "plan": "Defender plan that raised the security alert",
        "entities": "entities of the security alert, one per line",
        "activity_start": "start of the suspicious activity",
        "activity_end": "end of the suspicious activity",
        "correlation_key": "key that related security alerts share",
        "is_incident": "'true' for several security alerts that belong together",
        "due_date": "until when the recommendation is to be fixed",
    }
)
