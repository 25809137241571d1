"""Subscriptions and resources of the first day: two tenants, one with connectors to AWS and GCP."""

from __future__ import annotations

from local.azure.demo.identities import CONTOSO, FABRIKAM, guid
from local.azure.directory import Tenant
from local.azure.inventory import Inventory, Resource, Subscription, type_of
from local.simulator_kit.people import mail_of

PRODUCTION = guid("subscription contoso production")
DEVELOPMENT = guid("subscription contoso development")
RETAIL = guid("subscription fabrikam retail")

_PROD = f"/subscriptions/{PRODUCTION}/resourceGroups"
WEB_1 = f"{_PROD}/rg-shop/providers/Microsoft.Compute/virtualMachines/web-01"
WEB_2 = f"{_PROD}/rg-shop/providers/Microsoft.Compute/virtualMachines/web-02"
DATABASE = f"{_PROD}/rg-data/providers/Microsoft.Sql/servers/sql-contoso/databases/orders"
STORAGE = f"{_PROD}/rg-data/providers/Microsoft.Storage/storageAccounts/stcontosoorders"
VAULT = f"{_PROD}/rg-data/providers/Microsoft.KeyVault/vaults/kv-contoso"
REGISTRY = f"{_PROD}/rg-shop/providers/Microsoft.ContainerRegistry/registries/crcontoso"
ARC_MACHINE = f"{_PROD}/rg-onprem/providers/Microsoft.HybridCompute/machines/hq-print-01"
_CONNECTORS = f"{_PROD}/rg-multicloud/providers/Microsoft.Security/securityConnectors"
#: Resources of other clouds stand below their connector.
AWS_INSTANCE = f"{_CONNECTORS}/aws-contoso/securityEntityData/aws-ec2-instance-i-0aaaaaaaaaaaaaaa1"
GCP_INSTANCE = f"{_CONNECTORS}/gcp-contoso/securityEntityData/gcp-compute-instance-shop-cache"
DEV_VM = f"/subscriptions/{DEVELOPMENT}/resourceGroups/rg-dev/providers/Microsoft.Compute/virtualMachines/dev-01"
TILL = f"/subscriptions/{RETAIL}/resourceGroups/rg-tills/providers/Microsoft.Compute/virtualMachines/till-01"

_TAGS = {
    WEB_1: {"owner": mail_of("lee.gu"), "service": "Shop"},
    WEB_2: {"owner": mail_of("lee.gu"), "service": "Shop"},
    DATABASE: {"Owner": mail_of("ada.winterfeld")},
    TILL: {"owner": mail_of("kim.akers")},
}
_RESOURCES = (
    WEB_1,
    WEB_2,
    DATABASE,
    STORAGE,
    VAULT,
    REGISTRY,
    ARC_MACHINE,
    AWS_INSTANCE,
    GCP_INSTANCE,
    DEV_VM,
    TILL,
)


def fill_inventory(inventory: Inventory) -> None:
    """Put everything there."""
    contoso, fabrikam = CONTOSO.id, FABRIKAM.id
    production = ("contoso-root", "contoso-production")
    inventory.add_subscription(Subscription(PRODUCTION, "Contoso Production", contoso, production))
    inventory.add_subscription(Subscription(DEVELOPMENT, "Contoso Development", contoso, ("contoso-root",)))
    inventory.add_subscription(Subscription(RETAIL, "Fabrikam Retail", fabrikam, ("fabrikam-root",)))
    for resource in _RESOURCES:
        inventory.add_resource(Resource(resource, type_of(resource), tags=dict(_TAGS.get(resource, {}))))


def more_subscriptions(inventory: Inventory, tenant: Tenant, count: int) -> list[Subscription]:
    """Add so many numbered subscriptions to a tenant; those that exist already stay."""
    made = []
    for number in range(1, count + 1):
        name = f"{tenant.name} load {number:03}"
        one = Subscription(guid(f"subscription {name}"), name.title(), tenant.id, (f"{tenant.name}-root", "load"))
        inventory.add_subscription(one)
        made.append(one)
    return made
