"""Section ``defender``: what the identity of a tenant sees, and whether it may write who has to fix something."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

from connectors.defender.assessments_api import FIXES
from connectors.defender.poll import management_groups
from connectors.defender.poll.kinds import KINDS
from connectors.defender.settings import DefenderSettings, DefenderTenant
from connectors.microsoft import ResourceManager
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_rights import allowed
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.resource_graph import NO_SUBSCRIPTION, ResourceGraph
from shared.core.errors import SourceError

_ASSIGNMENTS = "Microsoft.Security/assessments/governanceAssignments"
ASSIGN = [f"{_ASSIGNMENTS}/read", f"{_ASSIGNMENTS}/write", f"{_ASSIGNMENTS}/delete"]

#: By kind of finding: what people call many of them, and the action that shows them.
_SHOWN: Mapping[str, tuple[str, str]] = {
    "recommendation": ("recommendations", "Microsoft.Security/assessments/read"),
    "sub_assessment": ("sub-assessments", "Microsoft.Security/assessments/subAssessments/read"),
    "security_alert": ("security alerts", "Microsoft.Security/alerts/read"),
}

_NO_SUBSCRIPTION = (
    "Assign roles Reader and Security Reader, or the actions that docs/defender-poll.md lists, to the identity on the "
    "subscriptions or on a management group above them; it takes some minutes."
)


class FindingChecks:
    """The tenants of a configuration, one by one.

    Args:
        settings: section ``defender``.
        clients: opens Resource Manager.
    """

    def __init__(self, settings: DefenderSettings, clients: MicrosoftClients) -> None:
        self._settings = settings
        self._clients = clients

    async def tenant(self, entry: DefenderTenant, lines: CheckLines) -> None:
        """What the section needs of a tenant. Raises SourceError only for what is not foreseen."""
        manager = self._clients.resource_manager(self._settings.cloud, entry.sign_in, FIXES)
        if await signed_in(manager, entry.sign_in, lines) is None:
            return
        graph = ResourceGraph(manager)
        visible = await self._visible(graph, entry, lines)
        if not visible:
            return
        poll = self._settings.poll
        for kind in poll.kinds if poll is not None else ("recommendation",):
            await self._findings(manager, graph, entry, kind, visible[0], lines)
        by_tag = any(rule.owner.tag is not None and not rule.disabled for rule in self._settings.governance)
        if poll is not None and by_tag:
            await self._tags(graph, entry, lines)
        if self._settings.write_back and self._settings.integrations:
            await self._assignable(manager, visible[0], lines)

    async def _visible(self, graph: ResourceGraph, entry: DefenderTenant, lines: CheckLines) -> list[str]:
        """Ids of the subscriptions that the identity sees in the configured part."""
        found: list[str] = []
        limited = False
        try:
            pages = graph.pages(
                management_groups.QUERY, subscriptions=entry.subscriptions, management_groups=entry.management_groups
            )
            async with aclosing(pages) as opened:
                async for page in opened:
                    limited = limited or page.limited
                    found += [read[0] for row in page.rows if (read := management_groups.read_row(row)) is not None]
        except SourceError as error:
            if NO_SUBSCRIPTION not in str(error):
                lines.error("Resource Graph", error)
                return []
        lines.ok("Resource Graph", "answers")
        listed = {one.lower() for one in entry.subscriptions or ()}
        missing = sorted(listed - set(found))
        if not found:
            of = f" of {', '.join(missing)}" if missing else ""
            lines.failed("subscriptions", f"the identity sees none{of}", _NO_SUBSCRIPTION)
        elif missing:
            lines.failed(
                "subscriptions",
                f"{len(found)} can be seen, but not {', '.join(missing)}",
                f"Correct their ids, or take them out of defender.tenants. {_NO_SUBSCRIPTION}",
            )
        elif limited:
            lines.warning(
                "subscriptions",
                f"{len(found)} can be seen, and there are more than Resource Graph looks at in one query",
                "Split the tenant by management_groups or subscriptions.",
            )
        else:
            lines.ok("subscriptions", f"{len(found)} can be seen")
        return found

    async def _findings(
        self,
        manager: ResourceManager,
        graph: ResourceGraph,
        entry: DefenderTenant,
        kind: str,
        subscription: str,
        lines: CheckLines,
    ) -> None:
        """Resource Graph leaves out in silence what may not be read: where there is nothing, rights are asked for."""
        name, action = _SHOWN[kind]
        query = f"securityresources\n| where type =~ '{KINDS[kind].type}'\n| project id\n| order by id asc"
        count = await _count(graph, entry, query, lines, name)
        if count:
            lines.ok(name, f"{count} can be read")
        elif count == 0:
            fix = f"Assign role Security Reader, or another with {action}, to the identity on the subscriptions."
            await allowed(manager, subscription, [action], lines, name, fix, "there are none; ")

    async def _tags(self, graph: ResourceGraph, entry: DefenderTenant, lines: CheckLines) -> None:
        query = "resources\n| project id, tags\n| order by id asc"
        count = await _count(graph, entry, query, lines, "tags")
        if count:
            lines.ok("tags", f"those of {count} resources can be read")
        elif count == 0:
            lines.failed(
                "tags",
                "no resource can be seen: governance rules that take the owner from a tag find none",
                "Assign role Reader, or another with */read, to the identity on the subscriptions.",
            )

    async def _assignable(self, manager: ResourceManager, subscription: str, lines: CheckLines) -> None:
        fix = (
            f"Assign role Security Admin, or another with {_ASSIGNMENTS}/*, to the identity on the subscriptions. "
            "Or set defender.write_back: false."
        )
        await allowed(manager, subscription, ASSIGN, lines, "governance assignments", fix)
        lines.warning(
            "Defender CSPM",
            "whether the plan is on cannot be proven without writing, and Azure takes no governance assignments "
            "without it",
            "See Environment settings of Defender for Cloud; without the plan set defender.write_back: false.",
        )


async def _count(graph: ResourceGraph, entry: DefenderTenant, query: str, lines: CheckLines, name: str) -> int | None:
    """Rows of a query, for the price of one; None where it failed, which has its line then."""
    pages = graph.pages(query, subscriptions=entry.subscriptions, management_groups=entry.management_groups, top=1)
    try:
        async with aclosing(pages) as opened:
            return (await anext(opened)).total
    except SourceError as error:
        lines.error(name, error)
        return None
