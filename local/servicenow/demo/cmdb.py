"""Configuration items of the demo data: Azure machines, a database, services, and how they depend on each other."""

from __future__ import annotations

from collections.abc import Iterator

from local.servicenow.demo.people import group_id
from local.servicenow.schema.describe import demo_id, system_row
from local.servicenow.store import Row
from local.simulator_kit.people import DOMAIN

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-contoso-prod"
#: Relation types of the base system with their public sys_ids (ServiceNow docs, "CI relation types").
RELATION_TYPES = {
    "Depends on::Used by": "1a9cb166f1571100a92eb60da2bce5c5",
    "Runs on::Runs": "60bc4e22c0a8010e01f074cbe6bd73c3",
    "Exchanges data with::Exchanges data with": "607ad1b2c0a8010e01941856b365af90",
}
#: (class, name, resource path below the resource group, further values)
_ITEMS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("cmdb_ci_cloud_service_account", "contoso-production", "", {"account_id": SUBSCRIPTION}),
    ("cmdb_ci_vm_instance", "vm-web-01", "Microsoft.Compute/virtualMachines/vm-web-01", {"ip_address": "10.20.0.4"}),
    ("cmdb_ci_vm_instance", "vm-web-02", "Microsoft.Compute/virtualMachines/vm-web-02", {"ip_address": "10.20.0.5"}),
    ("cmdb_ci_vm_instance", "vm-app-01", "Microsoft.Compute/virtualMachines/vm-app-01", {"ip_address": "10.20.1.4"}),
    ("cmdb_ci_vm_instance", "vm-app-02", "Microsoft.Compute/virtualMachines/vm-app-02", {"ip_address": "10.20.1.5"}),
    ("cmdb_ci_vm_instance", "vm-sql-01", "Microsoft.Compute/virtualMachines/vm-sql-01", {"ip_address": "10.20.2.4"}),
    ("cmdb_ci_win_server", "SRV-FILE-01", "", {"ip_address": "10.30.0.10", "os": "Windows Server 2022"}),
    ("cmdb_ci_linux_server", "srv-log-01", "", {"ip_address": "10.30.0.11", "os": "Linux"}),
    ("cmdb_ci_cloud_database", "sqldb-orders", "Microsoft.Sql/servers/sql-contoso/databases/sqldb-orders", {}),
    ("cmdb_ci_database", "Orders Database", "", {"type": "MS SQL Server"}),
    ("cmdb_ci_appl", "Order API", "", {"tcp_port": "8443"}),
    (
        "cmdb_ci_service",
        "Online Shop",
        "",
        {"busines_criticality": "1 - most critical", "service_status": "operational"},
    ),
    ("cmdb_ci_service", "Email", "", {"busines_criticality": "2 - somewhat critical", "service_status": "operational"}),
)
_RELATIONS = (
    ("Online Shop", "Order API", "Depends on::Used by"),
    ("Order API", "vm-app-01", "Runs on::Runs"),
    ("Order API", "sqldb-orders", "Depends on::Used by"),
)


def item_id(name: str) -> str:
    """sys_id of a demo configuration item."""
    return demo_id("cmdb", name)


def rows() -> Iterator[Row]:
    """All rows of this part."""
    for name, sys_id in RELATION_TYPES.items():
        parent, _, child = name.partition("::")
        values = {"name": name, "parent_descriptor": parent, "child_descriptor": child}
        yield system_row("cmdb_rel_type", name, values, sys_id=sys_id)
    for table, name, resource, extra in _ITEMS:
        values = {
            "name": name,
            "sys_class_name": table,
            "install_status": "1",
            "operational_status": "1",
            "sys_domain": "global",
            "sys_domain_path": "/",
            "object_id": f"{_GROUP}/providers/{resource}" if resource else "",
            "fqdn": f"{name.lower()}.{DOMAIN}" if "ip_address" in extra else "",
            "dns_domain": DOMAIN if "ip_address" in extra else "",
            "discovery_source": "SG-Azure" if resource else "Manual Entry",
            "environment": "Production",
            "support_group": group_id("Cloud Operations" if resource else "Hardware"),
            **extra,
        }
        yield system_row(table, name, values, sys_id=item_id(name))
        if resource:
            tag = {"key": "environment", "value": "prod", "configuration_item": item_id(name)}
            yield system_row("cmdb_key_value", f"{name}:environment", tag)
    for parent, child, kind in _RELATIONS:
        link = {"parent": item_id(parent), "child": item_id(child), "type": RELATION_TYPES[kind]}
        yield system_row("cmdb_rel_ci", f"{parent}:{child}", link)
    model = {"name": "Standard_D4s_v5", "manufacturer": demo_id("core_company", "Microsoft")}
    yield system_row("cmdb_model", "Standard_D4s_v5", model)
