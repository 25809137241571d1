"""Findings of Defender for Cloud and controls of Secure Score to read: small bodies for one point each."""

from __future__ import annotations

from typing import Any

from tests.payloads.support import SUB, VM

TENANT = "9d2b7c14-5a60-4c7e-8f31-2b6e9a0d4c75"
ASSESSMENT = "4fb67663-9ab9-475d-b026-8c544cced439"
CHANGED = "2024-05-14T06:21:09.4471326Z"
ALERT = "2517188201134567890_8c1d40a7-52be-4f90-a6d3-0b7e1f2c9d54"


def status(code: str = "Unhealthy", **more: Any) -> dict[str, Any]:
    """The status of a finding that changed at CHANGED."""
    return {"code": code, "statusChangeDate": CHANGED, **more}


def assessment(action: str = "", metadata: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """A recommendation for VM, exported when ``action`` is given; properties given as None are left out."""
    fields: dict[str, Any] = {
        "resourceDetails": {"source": "Azure", "id": VM},
        "displayName": "Disks should be encrypted",
        "status": status(),
        "metadata": {"severity": "High", **(metadata or {})},
    }
    fields.update(properties)
    body: dict[str, Any] = {
        "id": f"{VM}/providers/Microsoft.Security/assessments/{ASSESSMENT}",
        "name": ASSESSMENT,
        "type": "Microsoft.Security/assessments",
        "properties": {name: value for name, value in fields.items() if value is not None},
    }
    return {**body, "assessmentEventDataEnrichment": {"action": action}} if action else body


def sub_assessment(**properties: Any) -> dict[str, Any]:
    """A finding below that recommendation."""
    name = "6b9e2c10-3f57-4d8a-b0c4-91e7d5a2f803"
    fields: dict[str, Any] = {
        "displayName": "OpenSSL before 3.0.14",
        "status": {"code": "Unhealthy", "severity": "High"},
        "resourceDetails": {"source": "Azure", "id": VM},
        "timeGenerated": CHANGED,
    }
    return {
        "id": f"{VM}/providers/Microsoft.Security/assessments/{ASSESSMENT}/subAssessments/{name}",
        "name": name,
        "type": "Microsoft.Security/assessments/subAssessments",
        "properties": {**fields, **properties},
    }


def exported_alert(**fields: Any) -> dict[str, Any]:
    """A security alert as continuous export writes it."""
    return {
        "SystemAlertId": ALERT,
        "AlertType": "VM_SuspectProcess",
        "AlertDisplayName": "Suspicious process executed",
        "Severity": "High",
        "Status": "New",
        "TimeGenerated": "2024-04-09T20:16:05.3312245Z",
        "ProcessingEndTime": "2024-04-09T20:16:07.112Z",
        "AzureResourceId": VM,
        **fields,
    }


def arm_alert(**properties: Any) -> dict[str, Any]:
    """The same alert as Resource Manager has it."""
    return {
        "id": f"/subscriptions/{SUB}/providers/Microsoft.Security/locations/westeurope/alerts/{ALERT}",
        "name": ALERT,
        "type": "Microsoft.Security/Locations/alerts",
        "properties": {
            "systemAlertId": ALERT,
            "alertType": "VM_SuspectProcess",
            "alertDisplayName": "Suspicious process executed",
            "severity": "High",
            "status": "Active",
            "timeGeneratedUtc": "2024-04-09T20:16:05.3312245Z",
            "processingEndTimeUtc": "2024-04-09T20:16:07.112Z",
            "resourceIdentifiers": [{"type": "AzureResource", "azureResourceId": VM}],
            **properties,
        },
    }


def profile(**fields: Any) -> dict[str, Any]:
    """A secureScoreControlProfile."""
    return {
        "id": "AdminMFAV2",
        "azureTenantId": TENANT,
        "controlCategory": "Identity",
        "title": "Require MFA for administrators",
        "maxScore": 10.0,
        "controlStateUpdates": [],
        **fields,
    }


def control(score: Any = 6.5, at: str = "2024-07-02T00:00:00Z", **fields: Any) -> dict[str, Any]:
    """A control with its latest score."""
    entry = {"controlName": "AdminMFAV2", "score": score, "createdDateTime": at}
    return {"profile": profile(**fields), "score": entry}
