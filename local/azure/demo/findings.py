"""Findings of the first day: one assessment for every quirk that real ones have, and any number of plain ones."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

from local.azure.arm.defender_store import Defender
from local.azure.demo import inventory as places
from local.azure.demo.identities import CONTOSO, guid
from local.azure.inventory import Inventory, Resource, Subscription, type_of
from local.azure.times import iso7

#: Assessment keys by what they are about: display name, severity, categories, effort, remediation.
DEFINITIONS: dict[str, tuple[str, str, list[str], str, str]] = {
    "vulnerabilities": (
        "Machines should have vulnerability findings resolved",
        "High",
        ["Compute"],
        "Moderate",
        "1. Review the findings.<br>2. Install the updates.<br>3. Check again.",
    ),
    "disk-encryption": (
        "Virtual machines should encrypt temp disks, caches and data flows",
        "High",
        ["Compute"],
        "High",
        "Enable encryption at host.",
    ),
    "public-storage": (
        "Storage account public access should be disallowed",
        "Medium",
        ["Data"],
        "Low",
        "<b>Configuration</b> &gt; <i>Allow Blob public access</i>: Disabled",
    ),
    "sql-auditing": ("Auditing on SQL server should be enabled", "Low", ["Data"], "Low", "Turn on auditing."),
    "owner-mfa": (
        "Accounts with owner permissions should be MFA enabled",
        "High",
        ["IdentityAndAccess"],
        "Moderate",
        "Use Conditional Access.",
    ),
    "vault-purge": ("Key vaults should have purge protection enabled", "Medium", ["Data"], "Low", "Turn it on."),
    "endpoint": (
        "Endpoint protection should be installed on machines",
        "Medium",
        ["Compute"],
        "Low",
        "Install it.",
    ),
}
_EXEMPT = "The resource was exempted by policy"


def key_of(name: str) -> str:
    """The assessment key of a definition."""
    return guid(f"assessment {name}")


def _assessment(resource: str, name: str, code: str, changed: datetime, **more: Any) -> dict[str, Any]:
    title, severity, categories, effort, remediation = DEFINITIONS[name]
    key = more.pop("key", key_of(name))
    first = changed - timedelta(days=40)
    status = {"code": code, "firstEvaluationDate": iso7(first), "statusChangeDate": iso7(changed)}
    portal = f"portal.azure.com/#blade/Microsoft_Azure_Security/RecommendationsBlade/assessmentKey/{key}"
    properties: dict[str, Any] = {
        "resourceDetails": {"source": "Azure", "id": resource},
        "displayName": title,
        "status": status,
        "additionalData": {},
        "metadata": {
            "displayName": title,
            "assessmentType": "BuiltIn",
            "policyDefinitionId": f"/providers/Microsoft.Authorization/policyDefinitions/{guid(f'policy {name}')}",
            "description": f"{title}. Otherwise an attacker has an easier way in.",
            "remediationDescription": remediation,
            "categories": categories,
            "severity": severity,
            "userImpact": "Low",
            "implementationEffort": effort,
            "threats": ["AccountBreach", "DataExfiltration"],
        },
        "links": {"azurePortalUri": portal},
    }
    status |= more.pop("status", {})
    properties |= more
    return {
        "id": f"{resource}/providers/Microsoft.Security/assessments/{key}",
        "name": key,
        "type": "Microsoft.Security/assessments",
        "properties": properties,
    }


def fill_findings(defender: Defender, now: datetime) -> None:
    """One of every quirk (payloads met in the field: mixed case, missing schemes, other clouds, texts for names)."""
    week = now - timedelta(days=7)
    off = {"cause": "OffByPolicy", "description": "The effective policy for the assessment was evaluated to off"}
    nested = {"subAssessmentsLink": f"{places.WEB_1}/providers/Microsoft.Security/assessments/x/subAssessments"}
    shouted = places.STORAGE.replace("/subscriptions/", "/SUBSCRIPTIONS/").replace(
        "/resourceGroups/", "/RESOURCEGROUPS/"
    )
    pascal = {
        "Source": "OnPremise",
        "Id": places.ARC_MACHINE,
        "MachineName": "hq-print-01",
        "sourceComputerId": guid("computer"),
    }
    aws = {
        "source": "Aws",
        "id": places.AWS_INSTANCE,
        "nativeResourceId": "arn:aws:ec2:eu-west-1:111111111111:instance/i-0aaa",
    }
    gcp = {"source": "Gcp", "Id": places.GCP_INSTANCE, "ResourceName": "shop-cache", "ResourceProvider": "gcp"}
    risk = {"level": "Critical", "riskFactors": ["Exposure to the Internet"], "isContextualRisk": True}
    with_scheme = {"azurePortalUri": "https://portal.azure.com/#blade/Microsoft_Azure_Security/RecommendationsBlade"}
    json_text = {"findings": json.dumps({"cve": ["CVE-2025-0001"]}), "count": "2"}
    for item in (
        _assessment(places.WEB_1, "vulnerabilities", "Unhealthy", week, additionalData=nested, risk=risk),
        _assessment(places.WEB_2, "vulnerabilities", "Healthy", week),
        _assessment(places.WEB_2, "disk-encryption", "Unhealthy", week, links=with_scheme),
        _assessment(shouted, "public-storage", "Unhealthy", week, additionalData=json_text),
        _assessment(places.DATABASE, "sql-auditing", "NotApplicable", week, status=off),
        _assessment(
            places.VAULT, "vault-purge", "NotApplicable", week, status={"cause": "Exempt", "description": _EXEMPT}
        ),
        _assessment(f"/subscriptions/{places.PRODUCTION}", "owner-mfa", "Unhealthy", week),
        _assessment(places.ARC_MACHINE, "endpoint", "Unhealthy", week, resourceDetails=pascal),
        _assessment(places.AWS_INSTANCE, "endpoint", "Unhealthy", week, resourceDetails=aws),
        _assessment(places.GCP_INSTANCE, "endpoint", "Unhealthy", week, resourceDetails=gcp),
        _assessment(places.REGISTRY, "vulnerabilities", "Unhealthy", week, key="contoso-registry-check"),
        _assessment(places.DEV_VM, "disk-encryption", "Unhealthy", week),
        _assessment(places.TILL, "endpoint", "Unhealthy", week),
    ):
        defender.put_assessment(item)
    parent = f"{places.WEB_1}/providers/Microsoft.Security/assessments/{key_of('vulnerabilities')}"
    for number, severity in enumerate(("High", "Medium", "Low"), start=1):
        defender.put_sub_assessment(_sub_assessment(parent, number, severity, week))
    defender.put_alert(security_alert(week))


def _sub_assessment(parent: str, number: int, severity: str, when: datetime) -> dict[str, Any]:
    name = guid(f"sub-assessment {number}")
    return {
        "id": f"{parent}/subAssessments/{name}",
        "name": name,
        "type": "Microsoft.Security/assessments/subAssessments",
        "properties": {
            "displayName": f"Outdated package {number}",
            "id": f"10{number:02}",
            "status": {
                "code": "Unhealthy",
                "cause": "",
                "severity": severity,
                "description": "The resource is unhealthy",
            },
            "resourceDetails": {"source": "Azure", "id": places.WEB_1},
            "remediation": "Update the package.",
            "impact": str(number),
            "category": "Software",
            "description": f"Package {number} has a known weakness.",
            "timeGenerated": iso7(when),
            "additionalData": {
                "assessedResourceType": "ServerVulnerability",
                "cvss": {"2.0": {"base": 10}, "3.0": {"base": "9.8"}},
                "patchable": True,
                "cve": [{"title": f"CVE-2025-100{number}", "link": "https://cve.example/detail"}],
            },
        },
    }


def security_alert(when: datetime) -> dict[str, Any]:
    """A security alert, active."""
    name = f"2517000000000000000_{guid('security alert')}"
    shouted = places.VAULT.replace("/subscriptions/", "/SUBSCRIPTIONS/")
    return {
        "id": f"/subscriptions/{places.PRODUCTION}/resourceGroups/rg-data/providers/Microsoft.Security/locations/"
        f"westeurope/alerts/{name}",
        "name": name,
        "type": "Microsoft.Security/Locations/alerts",
        "properties": {
            "status": "Active",
            "timeGeneratedUtc": iso7(when),
            "processingEndTimeUtc": iso7(when),
            "version": "2022-01-01.0",
            "vendorName": "Microsoft",
            "productName": "Microsoft Defender for Cloud",
            "alertType": "KV_OperationVolumeAnomaly",
            "startTimeUtc": iso7(when),
            "endTimeUtc": iso7(when),
            "severity": "Medium",
            "isIncident": False,
            "systemAlertId": name,
            "intent": "Unknown",
            "resourceIdentifiers": [
                {"azureResourceId": shouted, "type": "AzureResource", "azureResourceTenantId": CONTOSO.id}
            ],
            "compromisedEntity": "kv-contoso",
            "alertDisplayName": "Unusual volume of operations in a key vault",
            "description": "A user read many secrets in a short time.",
            "remediationSteps": ["Ask the user.\nRotate the secrets."],
            "extendedProperties": {"resourceType": "Key Vault"},
            "entities": [{"resourceId": shouted, "type": "azure-resource"}],
            "alertUri": "https://portal.azure.com/#blade/Microsoft_Azure_Security_AzureDefenderForData/AlertBlade",
        },
    }


def populate(
    inventory: Inventory,
    defender: Defender,
    subscriptions: list[Subscription],
    each: int,
    unhealthy: float,
    seed: int,
    now: datetime,
) -> int:
    """Add plain assessments: ``each`` per subscription, a share of them unhealthy. Returns how many were made."""
    chance = random.Random(seed)
    names = list(DEFINITIONS)
    for one in subscriptions:
        for number in range(each):
            group = f"/subscriptions/{one.id}/resourceGroups/rg-{number % 5}"
            machine = f"{group}/providers/Microsoft.Compute/virtualMachines/vm-{number // len(names):04}"
            if machine.lower() not in inventory.resources:
                inventory.add_resource(Resource(machine, type_of(machine)))
            code = "Unhealthy" if chance.random() < unhealthy else "Healthy"
            when = now - timedelta(minutes=chance.randrange(60 * 24 * 30))
            defender.put_assessment(_assessment(machine, names[number % len(names)], code, when))
    return each * len(subscriptions)
