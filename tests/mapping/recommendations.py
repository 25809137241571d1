"""Recommendations to assign: a machine in Azure, and one in AWS behind a security connector."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connectors.defender.payloads.identity import assessment_id, recommendation_key
from connectors.microsoft.azure_resources import parse_id
from shared.core.signal import Resource, Signal, SignalState

SUBSCRIPTION = "3f6c1a52-7d0e-4b8c-9a41-5e2d7c9b0f13"
TENANT = "9d2b7c14-5a60-4c7e-8f31-2b6e9a0d4c75"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop-prod"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm-web-01"
CONNECTOR = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-multicloud/providers/Microsoft.Security/securityConnectors"
    "/aws-contoso"
)
IN_AWS = f"{CONNECTOR}/securityentitydata/aws-ec2-instance-i-0c3a9b7d"
DISKS = "4fb67663-9ab9-475d-b026-8c544cced439"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def recommendation(resource: str = MACHINE, assessment: str = DISKS, **changes: Any) -> Signal:
    """An unhealthy recommendation of a resource."""
    details = {"assessment_key": assessment, "remediation_steps": "1. Encrypt it.", "status": "Unhealthy"}
    known: Resource = parse_id(resource)
    signal = Signal(
        source="defender",
        kind="recommendation",
        key=recommendation_key(resource, assessment),
        state=SignalState.FIRED,
        occurred_at=START,
        severity=1,
        title=f"Disks should be encrypted on {known.name}",
        description="Data on disks is not encrypted.\n\nUnhealthy, severity High.",
        condition="Unhealthy, severity High.",
        rule="Disks should be encrypted",
        fired_at=START,
        resources=(known,),
        links={"portal": "https://portal.azure.com/#blade/x"},
        details={**details, **changes.pop("details", {})},
        origin=assessment_id(resource, assessment),
    )
    return replace(signal, **changes)


def healed(signal: Signal, at: datetime, resolution: str = "healthy", said: str = "The resource is healthy.") -> Signal:
    """The end of a recommendation."""
    return replace(
        signal,
        state=SignalState.RESOLVED,
        occurred_at=at,
        resolved_at=at,
        condition=said,
        opens=False,
        details={**signal.details, "resolution": resolution},
    )
