"""Where in the estate a finding is: the scopes that cover it, nearest first. Pure.

A security connector stands for an AWS account or a GCP project and is itself an Azure resource; what is found behind it
has an id below the connector's. So such findings are covered by the connector, and by the resource group and the
subscription that hold the connector.
"""

from __future__ import annotations

import re

from connectors.microsoft.azure_resources import canonical
from shared.core.signal import Signal

#: The prefix of an ARM id in its canonical form (lower case) that scopes can name.
_PREFIX = re.compile(
    r"(?P<subscription>/subscriptions/[^/]+)"
    r"(?P<group>/resourcegroups/[^/]+(?P<connector>/providers/microsoft\.security/securityconnectors/[^/]+)?)?"
)

#: Detail with the management groups above a subscription, the nearest first, with commas between them.
MANAGEMENT_GROUPS = "management_groups"

EVERYTHING = "/"


def places(signal: Signal) -> tuple[str, ...]:
    """Every scope that covers a signal's resource, nearest first, in lower case: security connector, resource group,
    subscription, management groups, tenant, and ``/``.

    Details ``management_groups`` and ``tenant_id`` say what ids do not; without them these scopes cover nothing.
    """
    groups = [name for name in re.split(r"[,\s]+", signal.details.get(MANAGEMENT_GROUPS, "")) if name]
    tenant = signal.details.get("tenant_id", "").strip()
    found = [
        *_of_resource(signal),
        *(f"/providers/microsoft.management/managementgroups/{name.lower()}" for name in groups),
        *([f"/tenants/{tenant.lower()}"] if tenant else []),
        EVERYTHING,
    ]
    return tuple(dict.fromkeys(found))


def _of_resource(signal: Signal) -> list[str]:
    first = signal.resources[0] if signal.resources else None
    for known in (signal.origin, signal.details.get("assessment_id", ""), (first.id or "") if first else ""):
        match = _PREFIX.match(canonical(known))
        if match is not None:
            return _nearest_first(match["subscription"], match["group"] or "", match["connector"] or "")
    if first is None or not first.subscription_id:
        return []
    group = f"/resourcegroups/{first.resource_group.lower()}" if first.resource_group else ""
    return _nearest_first(f"/subscriptions/{first.subscription_id.lower()}", group, "")


def _nearest_first(subscription: str, group: str, connector: str) -> list[str]:
    found = [f"{subscription}{group}"] if connector and group else []
    # ``group`` holds the connector's part as well, because the one stands inside the other
    return [*found, *([f"{subscription}{group.removesuffix(connector)}"] if group else []), subscription]


def subscription_of(signal: Signal) -> str:
    """Id of the subscription that holds the resource, or its connector; empty when the signal does not say."""
    where = next((place for place in places(signal) if place.startswith("/subscriptions/")), "")
    return where.split("/")[2] if where else ""
