"""Secure score of the first day: a control of every category, tier and quirk."""

from __future__ import annotations

from typing import Any

from local.azure.demo.identities import CONTOSO, FABRIKAM
from local.azure.graph.store import KEPT, SecureScores, vendor
from local.simulator_kit.people import mail_of

#: id, category, service, tier, title, most points, points now, deprecated.
_CONTROLS = (
    ("AdminMFAV2", "Identity", "AzureAD", "Core", "Require MFA for administrative roles", 10.0, 6.5, False),
    ("MFARegistrationV2", "Identity", "AzureAD", "Core", "Ensure all users can complete MFA", 9.0, 9.0, False),
    ("DLPEnabled", "Data", "IP", "Advanced", "Apply Data Loss Prevention policies", 20.0, 0.0, False),
    ("mip_sensitivitylabelspolicies", "Data", "MIP", "Defense in Depth", "Publish sensitivity labels", 1.0, 0.0, False),
    ("IntuneDeviceCompliance", "Device", "Intune", "Core", "Require devices to be compliant", 5.0, 2.5, False),
    ("exo_oauth2clientprofileenabled", "Apps", "EXO", "Core", "Turn on modern authentication", 5.0, 0.0, False),
    ("aad_linkedin_connection_disables", "Apps", "AzureAD", "Core", "Switch off LinkedIn connections", 1.0, 1.0, False),
    ("scid_2000", "Infrastructure", "MDE", "Core", "Turn on real-time protection", 9.0, 3.0, False),
    ("NonOwnerAccess", "Data", "EXO", "Core", "Review mailbox access by non-owners bi-weekly", 5.0, 0.0, True),
)
_THREATS = {
    "Identity": ["Account Breach"],
    "Data": ["Data Exfiltration", "Data Spillage"],
    "Device": ["Malicious Insider"],
}


def _profile(tenant: str, rank: int, row: tuple[str, str, str, str, str, float, float, bool]) -> dict[str, Any]:
    name, category, service, tier, title, most, _, deprecated = row
    return {
        "id": name,
        "azureTenantId": tenant,
        "actionType": "Review" if name == "NonOwnerAccess" else "Config",
        "actionUrl": f"https://security.microsoft.com/securescore?viewid=actions&control={name}",
        "controlCategory": category,
        "title": title,
        "deprecated": deprecated,
        "implementationCost": ("Low", "Moderate", "High")[rank % 3],
        "lastModifiedDateTime": None,
        "maxScore": most,
        "rank": rank,
        "remediation": f"<p>{title}:</p><ol><li>Open the portal.</li><li>Turn it <b>on</b>.</li></ol>",
        "remediationImpact": "Users may see a prompt.",
        "service": service,
        "threats": _THREATS.get(category, []),
        "tier": tier,
        "userImpact": ("Moderate", "Low", "High")[rank % 3],
        "complianceInformation": None,
        "controlStateUpdates": [],
        "vendorInformation": vendor(),
    }


def _score(row: tuple[str, str, str, str, str, float, float, bool]) -> dict[str, Any]:
    name, category, _, _, title, most, points, _ = row
    return {
        "controlCategory": category,
        "controlName": name,
        "description": f"<p>{title}</p>",
        # Both spellings are met on the wire.
        "score": str(points) if name == "exo_oauth2clientprofileenabled" else points,
        "scoreInPercentage": round(100 * points / most, 2),
        "count": "13" if category == "Identity" else 13,
        "total": 20,
        "implementationStatus": f"You have {points} of {most} points.<br/>",
    }


def fill_scores(scores: SecureScores) -> None:
    """Profiles and scores of both tenants; deprecated controls have no score."""
    for tenant, rows in ((CONTOSO, _CONTROLS), (FABRIKAM, _CONTROLS[:3])):
        for rank, row in enumerate(rows, start=1):
            scores.put_profile(tenant.id, _profile(tenant.id, rank, row))
        scores.scores[tenant.id] = {row[0]: _score(row) for row in rows if not row[7]}
        scores.start(tenant.id, KEPT)
    reviewed = {"assignedTo": "", "comment": "Another product does this", "state": "ThirdParty"}
    scores.update_profile(CONTOSO.id, "aad_linkedin_connection_disables", reviewed, mail_of("ada.winterfeld"))
