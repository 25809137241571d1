"""Tenants, applications and identities of the first day.

The app ids of Microsoft's own services are the real ones (docs: "First-party Microsoft applications"); everything else
is made from names, the same on every start.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid5

from cryptography import x509

from local.azure.directory import Api, Application, Directory, FederatedCredential, Grant, Principal, Secret, Tenant
from local.simulator_kit.people import DOMAIN

_NAMESPACE = UUID("6f2a6a52-6c3b-4d0a-9a51-2f0c4f6b7a10")

ARM_API = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
GRAPH_API = "00000003-0000-0000-c000-000000000000"
#: What a managed identity's token is for that stands for an application's secret.
EXCHANGE_API = "fb60f99c-7a34-4190-8149-302f77469936"
#: "AzNS AAD Webhook", the caller of Secure Webhooks (docs: "Action groups"); the second is Azure Government's.
ACTION_GROUPS = "461e8683-5575-4561-ac7f-899cc907d62a"
ACTION_GROUPS_GOVERNMENT = "f1f34126-d4ef-40e1-ad4b-bf5d47b4860d"
ACTION_GROUPS_ROLE = "ActionGroupsSecureWebhook"

#: The least that the bridge needs (docs: operations of the resource providers).
BRIDGE_ACTIONS = (
    "Microsoft.Authorization/permissions/read",
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.AlertsManagement/alerts/read",
    "Microsoft.AlertsManagement/alerts/changestate/action",
    "Microsoft.ResourceHealth/availabilityStatuses/read",
    "Microsoft.ResourceGraph/resources/read",
    "Microsoft.OperationalInsights/workspaces/query/read",
    "Microsoft.OperationalInsights/workspaces/query/*/read",
    "Microsoft.Insights/logs/*/read",
    "Microsoft.Security/assessments/read",
    "Microsoft.Security/assessments/subAssessments/read",
    "Microsoft.Security/assessments/governanceAssignments/read",
    # Deleting is no action of Microsoft's list; only a wildcard allows it in a custom role.
    "Microsoft.Security/assessments/governanceAssignments/*",
    "Microsoft.Security/alerts/read",
    "Microsoft.Security/locations/alerts/*",
)
#: Of the role Monitoring Metrics Publisher (docs: "Azure built-in roles for Monitor").
PUBLISHER_ACTIONS = ("Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write")
#: When the secret of ``lapsed`` ended: long ago.
_LONG_AGO = 1_600_000_000.0


def guid(name: str) -> str:
    """An id that is always the same for a name."""
    return str(uuid5(_NAMESPACE, name))


CONTOSO = Tenant(guid("tenant contoso"), "contoso", (DOMAIN, "contoso.onmicrosoft.example"))
FABRIKAM = Tenant(guid("tenant fabrikam"), "fabrikam", ("fabrikam.example",))
WEBHOOK_API = guid("app webhook")
WEBHOOK_URI = f"api://{WEBHOOK_API}"

#: Resource identifiers of Resource Manager.
ARM_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
GRAPH_AUDIENCES = ("https://graph.microsoft.com",)
#: Of the query API of Log Analytics, in all clouds.
LOGS_AUDIENCES = (
    "https://api.loganalytics.azure.com",
    "https://api.loganalytics.io",
    "https://api.loganalytics.us",
    "https://api.loganalytics.azure.cn",
)
#: Of the Logs Ingestion API, in all clouds.
MONITOR_AUDIENCES = ("https://monitor.azure.com", "https://monitor.azure.us", "https://monitor.azure.cn")

_APIS = [
    Api(ARM_API, "Windows Azure Service Management API", ARM_AUDIENCES),
    Api(GRAPH_API, "Microsoft Graph", GRAPH_AUDIENCES),
    Api(EXCHANGE_API, "AAD Token Exchange Endpoint", ("api://AzureADTokenExchange",), version=2),
    Api("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "Azure Key Vault", ("https://vault.azure.net",)),
    Api("e406a681-f3d4-42a8-90b6-c2b029497af1", "Azure Storage", ("https://storage.azure.com",)),
    Api(guid("api monitor ingestion"), "Azure Monitor", MONITOR_AUDIENCES),
    Api("ca7f3f0b-7d91-482c-8e09-c5d840d0eac5", "Log Analytics API", LOGS_AUDIENCES),
    Api("c5393580-f805-4401-95e8-94b7a6ef2fc2", "Office 365 Management APIs", ("https://manage.office.com",)),
    Api(WEBHOOK_API, "Azure ITSM Bridge webhook", (WEBHOOK_URI,), version=0),
]


def secret_of(name: str) -> str:
    """The client secret of an application on the first day."""
    return f"demo-client-secret-of-{name}"


def build_directory(certificate: x509.Certificate) -> Directory:
    """The directory; ``certificate`` belongs to the application ``bridge``.

    ``bridge`` is in both tenants with least privileges, and trusts ``bridge-user`` in place of a secret; ``reader`` may
    read everything, write nothing; ``stranger`` has no rights; the secret of ``lapsed`` has expired. ``bridge-app`` is
    the system-assigned managed identity of the function app, ``bridge-user`` a user-assigned one.
    """
    trusted = FederatedCredential(
        f"https://login.microsoftonline.com/{CONTOSO.id}/v2.0", guid(f"principal bridge-user {CONTOSO.name}")
    )
    applications = [
        Application("bridge", guid("app bridge"), [Secret(secret_of("bridge"))], [certificate], [trusted]),
        Application("reader", guid("app reader"), [Secret(secret_of("reader"))]),
        Application("stranger", guid("app stranger"), [Secret(secret_of("stranger"))]),
        Application("lapsed", guid("app lapsed"), [Secret(secret_of("lapsed"), _LONG_AGO)]),
    ]
    writes, reads = {GRAPH_API: ("SecurityEvents.ReadWrite.All",)}, {GRAPH_API: ("SecurityEvents.Read.All",)}
    bridge, everything = Grant("/", BRIDGE_ACTIONS), Grant("/", ("*/read",))
    publisher = Grant("/", PUBLISHER_ACTIONS)
    principals = [
        _principal("bridge", CONTOSO, guid("app bridge"), writes, [bridge, publisher]),
        _principal("bridge", FABRIKAM, guid("app bridge"), writes, [bridge, publisher]),
        _principal("reader", CONTOSO, guid("app reader"), reads, [everything]),
        _principal("stranger", CONTOSO, guid("app stranger"), {}, []),
        _principal("lapsed", CONTOSO, guid("app lapsed"), writes, [bridge]),
        _principal("action-groups", CONTOSO, ACTION_GROUPS, {WEBHOOK_API: (ACTION_GROUPS_ROLE,)}, []),
        _principal("action-groups", FABRIKAM, ACTION_GROUPS, {WEBHOOK_API: (ACTION_GROUPS_ROLE,)}, []),
        _managed("bridge-app", writes, [bridge, publisher], "Microsoft.Web/sites/bridge-app"),
        _managed(
            "bridge-user", writes, [bridge, publisher], "Microsoft.ManagedIdentity/userAssignedIdentities/bridge-user"
        ),
    ]
    return Directory([CONTOSO, FABRIKAM], list(_APIS), applications, principals)


def _principal(
    name: str, tenant: Tenant, client_id: str, roles: Mapping[str, tuple[str, ...]], grants: list[Grant]
) -> Principal:
    copies = [Grant(grant.scope, grant.actions, grant.not_actions) for grant in grants]
    return Principal(name, tenant.id, client_id, guid(f"principal {name} {tenant.name}"), dict(roles), copies)


def _managed(name: str, roles: Mapping[str, tuple[str, ...]], grants: list[Grant], resource: str) -> Principal:
    one = _principal(name, CONTOSO, guid(f"managed identity {name}"), roles, grants)
    one.managed = True
    group = f"/subscriptions/{guid('subscription contoso production')}/resourceGroups/rg-bridge"
    one.resource_id = f"{group}/providers/{resource}"
    return one
