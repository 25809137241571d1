"""A signal to map, and a mapper to map it with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import yaml

from app.configuration import mapper_of, parse_config, validate_config
from shared.core.signal import Resource, Signal, SignalState
from shared.mapping.mapper import Mapper

VM = Resource(
    id="/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-prod/providers/"
    "Microsoft.Compute/virtualMachines/vm-shop-01",
    name="vm-shop-01",
    type="Microsoft.Compute/virtualMachines",
    resource_group="rg-shop-prod",
    subscription_id="11111111-2222-3333-4444-555555555555",
)

CPU = Signal(
    source="azure_monitor",
    kind="metric",
    key="alert:1:6f1e2d3c-0000-4000-8000-000000000001",
    state=SignalState.FIRED,
    occurred_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    severity=1,
    title="cpu-high on vm-shop-01",
    description="The processor is busy.\nPercentage CPU 97.5 is greater than 90 over 5 minutes.",
    condition="Percentage CPU 97.5 is greater than 90 over 5 minutes.",
    rule="cpu-high",
    fired_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    resources=(VM,),
    dimensions={"Instance": "0"},
    custom_properties={"Team": "payments", "runbook": "https://wiki.example.com/cpu"},
    tags={"env": "prod"},
    links={"portal": "https://portal.azure.com/#blade/Alert"},
    details={"metric_name": "Percentage CPU"},
)


def signal(**changes: Any) -> Signal:
    """The CPU signal with changes."""
    return replace(CPU, **changes)


HEAD = (
    "version: 1\nconnections:\n  desk: {type: servicenow, url: 'https://contoso.service-now.com', "
    "auth: {type: api_key, key: {secret: key}}}\n"
)


def mapper(body: str) -> Mapper:
    """A mapper of a configuration with one connection called desk and the given rest."""
    return mapper_of(parse_config(HEAD + body, settings={}))


def unchecked_mapper(body: str) -> Mapper:
    """The same without a check of its templates, to see what a rendering does with names that do not exist."""
    return mapper_of(validate_config(yaml.safe_load(HEAD + body)))
