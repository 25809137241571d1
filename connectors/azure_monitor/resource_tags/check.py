"""Section ``resource_tags``: can the tags of resources be read?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from functools import partial

from connectors.azure_monitor.settings import ReconcileSettings
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_run import CheckTask
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.resource_graph import NO_SUBSCRIPTION, ResourceGraph
from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.errors import SourceError

_READER = "assign role Reader, or the role of docs/owners.md, to the app's identity on the subscriptions"

#: What to do about an answer of Resource Graph, by status.
FIXES: Mapping[int, str] = {
    401: "Fix: the subscription belongs to another tenant (give it a 'sign_in' under 'reconcile'), or the identity is "
    "disabled",
    403: f"Fix: {_READER}; it takes some minutes",
    429: "Too many queries of this identity; tags are asked for again in a minute",
}

_SUBSCRIPTIONS = (
    "resourcecontainers\n| where type =~ 'microsoft.resources/subscriptions'\n| project id, tags\n| order by id asc"
)
_RESOURCES = "resources\n| project id, tags\n| order by id asc"


def tag_checks(clients: MicrosoftClients, cloud: CloudName, reconcile: ReconcileSettings | None) -> list[CheckTask]:
    """One check for each identity with which tags are read: the app's own, and those that ``reconcile`` names."""
    named = [one.sign_in for one in reconcile.subscriptions if one.sign_in is not None] if reconcile is not None else []
    identities: list[tuple[str, SignIn | None]] = [("own", None), *((one.tenant, one) for one in dict.fromkeys(named))]
    return [CheckTask("resource_tags", name, partial(_check, clients, cloud, who)) for name, who in identities]


async def _check(clients: MicrosoftClients, cloud: CloudName, who: SignIn | None, lines: CheckLines) -> None:
    manager = clients.resource_manager(cloud, who, FIXES)
    if await signed_in(manager, who, lines) is None:
        return
    graph = ResourceGraph(manager)
    subscriptions = await _count(graph, _SUBSCRIPTIONS, lines)
    if subscriptions is None:
        return
    resources = await _count(graph, _RESOURCES, lines) if subscriptions else 0
    if resources:
        lines.ok("tags", f"those of {resources} resources in {subscriptions} subscriptions can be read")
    elif resources == 0:
        what = (
            "no subscription" if not subscriptions else "no resource: only tags of groups and subscriptions can be read"
        )
        add = lines.warning if subscriptions else lines.failed
        add("tags", f"the identity sees {what}", f"{_READER[0].upper()}{_READER[1:]}.")


async def _count(graph: ResourceGraph, query: str, lines: CheckLines) -> int | None:
    """Rows of a query, for the price of one; None where it failed, which has its line then."""
    try:
        async with aclosing(graph.pages(query, top=1)) as pages:
            return (await anext(pages)).total
    except SourceError as error:
        if NO_SUBSCRIPTION in str(error):
            return 0
        lines.error("tags", error)
        return None
