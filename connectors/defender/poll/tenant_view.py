"""The part of Azure that one configured tenant means, as its identity sees it through Resource Graph."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from connectors.defender.poll import management_groups
from connectors.defender.poll.kinds import FindingKind, quoted
from connectors.defender.poll.management_groups import ManagementGroupPath, ManagementGroupPaths, with_management_groups
from connectors.defender.poll.tenants import tenant_of
from connectors.defender.settings import DefenderTenant
from connectors.microsoft.azure_resources import is_id
from connectors.microsoft.resource_graph import PAGE, ResourceGraph, ResourceGraphPage
from shared.core.signal import Signal, SignalState
from shared.payloads.builder import fit
from shared.payloads.values import anything

#: Management groups are read again after this time.
KNOWN_FOR = timedelta(hours=6)

#: Ids that one query names, so that its text stays short.
_AT_ONCE = 100


class TenantView:
    """What is asked of one tenant beside its findings.

    Args:
        entry: of the configuration.
        duplicate: how many entries before it name the same tenant.
        graph: asks.
        group_paths: keeps where subscriptions stand.
        page: rows a page.
    """

    def __init__(
        self,
        entry: DefenderTenant,
        duplicate: int,
        graph: ResourceGraph,
        group_paths: ManagementGroupPaths,
        page: int = PAGE,
    ) -> None:
        self.graph = graph
        self._page = page
        self.tenant = tenant_of(entry).lower() or "own"
        #: For storage: stays the same when the configured parts of the tenant change.
        self.name = self.tenant if duplicate == 0 else f"{self.tenant}-{duplicate}"
        self._groups = entry.management_groups
        self._listed = None if entry.subscriptions is None else sorted({one.lower() for one in entry.subscriptions})
        self._paths = group_paths
        self._seen: Mapping[str, ManagementGroupPath] | None = None

    async def known(self) -> None:
        """See to it that it is known where subscriptions stand. Raises SourceError and StorageUnavailable."""
        part = self._paths.part(self.name)
        if part is None or self._paths.age(part) >= KNOWN_FOR:
            await self.visible()

    async def visible(self) -> Mapping[str, ManagementGroupPath]:
        """The subscriptions that the identity sees in the configured part, as of this run, by id in lower case.

        Raises SourceError and StorageUnavailable.
        """
        if self._seen is None:
            found: dict[str, ManagementGroupPath] = {}
            async for row in self.rows(management_groups.QUERY):
                if (read := management_groups.read_row(row)) is not None:
                    found[read[0]] = read[1]
            await self._paths.write(self.name, found)
            self._seen = found
        return self._seen

    async def pages(self, query: str, position: str = "") -> AsyncGenerator[ResourceGraphPage, None]:
        """The result of a query over the configured part, or over what of it comes from a subscription on.

        Args:
            query: see ``ResourceGraph.pages``.
            position: id of that subscription, lower case; empty for all.

        Raises SourceError and StorageUnavailable, also in the midst.
        """
        listed, groups = self._listed, self._groups
        if position:
            listed, groups = sorted(one for one in await self.visible() if one >= position), None
        found = self.graph.pages(query, subscriptions=listed, management_groups=groups, top=self._page)
        async with aclosing(found) as pages:
            async for page in pages:
                yield page

    async def findings(self, kind: FindingKind, keys: list[str]) -> dict[str, dict[str, Any]]:
        """Rows of those of some findings that are there, by key. Raises SourceError."""
        found = {}
        for begin in range(0, len(keys), _AT_ONCE):
            async for row in self.rows(kind.chosen(keys[begin : begin + _AT_ONCE])):
                found[str(row.get("key"))] = row
        return found

    async def tags(self, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Tags of resources, resource groups and subscriptions, by id in lower case; without those that have none.

        Raises SourceError.
        """
        wanted: dict[str, list[str]] = {"resources": [], "resourcecontainers": []}
        for one in sorted({one.lower().rstrip("/") for one in ids if is_id(one) and one.isprintable()}):
            wanted["resources" if "/providers/" in one else "resourcecontainers"].append(one)
        found: dict[str, Mapping[str, Any]] = {}
        for table, listed in wanted.items():
            for begin in range(0, len(listed), _AT_ONCE):
                named = ", ".join(quoted(one) for one in listed[begin : begin + _AT_ONCE])
                query = f"{table}\n| where id in~ ({named})\n| project id, tags\n| order by id asc"
                async for row in self.rows(query):
                    if isinstance(row.get("tags"), dict):
                        found[str(row.get("id")).lower()] = row["tags"]
        return found

    async def rows(self, query: str) -> AsyncGenerator[dict[str, Any], None]:
        """Rows of a query over the configured part, one by one. Raises SourceError, also in the midst."""
        async with aclosing(self.pages(query)) as pages:
            async for page in pages:
                for row in page.rows:
                    yield row


async def with_surroundings(
    signals: Sequence[Signal], view: TenantView, group_paths: ManagementGroupPaths
) -> list[Signal]:
    """The signals with what findings do not say: tags of their resources, and the management groups above them.

    Tags are asked for where somebody may have to fix something. Raises SourceError.
    """
    asked = {
        one.id
        for signal in signals
        if signal.state is not SignalState.RESOLVED
        for one in signal.resources
        if one.id is not None
    }
    tags = await view.tags(asked)
    return [_surrounded(signal, tags, group_paths) for signal in signals]


def _surrounded(signal: Signal, tags: Mapping[str, Mapping[str, Any]], group_paths: ManagementGroupPaths) -> Signal:
    found: dict[str, str] = {}
    subscription = ""
    for resource in signal.resources:
        of_it = tags.get((resource.id or "").lower().rstrip("/"), {})
        found |= {name: text for name, value in of_it.items() if (text := anything(value))}
        subscription = subscription or resource.subscription_id or ""
    if found:
        signal = fit(replace(signal, tags={**signal.tags, **found}))
    return marked(with_management_groups(signal, group_paths.of(subscription)))


def marked(signal: Signal) -> Signal:
    """The signal with the detail ``polled``, by which it is told from one that was sent."""
    return fit(replace(signal, details={**signal.details, "polled": "true"}))
