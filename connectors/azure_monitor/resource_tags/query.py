"""Asks Azure Resource Graph for the tags of many ids in one call.

Sources: Microsoft Learn, "Understanding the Azure Resource Graph query language" (tables ``resources`` and
``resourcecontainers``, ``union`` between them), "Tag support for Azure resources"; "Use tags to organize your Azure
resources" (50 tags, names of 512 and values of 256 characters).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from connectors.azure_monitor.resource_tags.ids import is_container
from connectors.azure_monitor.resource_tags.store import KnownTags
from connectors.microsoft.azure_resources import canonical, parse_id
from connectors.microsoft.resource_graph import NO_SUBSCRIPTION, ResourceGraph
from shared.core.errors import SourceRefused

#: Ids of one call.
MOST_IDS = 200

#: Characters of the tags of one id that are kept, names and values together: rows and messages have to hold them.
_MOST_CHARACTERS = 4_000


async def ask(graph: ResourceGraph, ids: Sequence[str], now: datetime) -> list[KnownTags]:
    """What Resource Graph shows of ids, one entry for each, also for those that it does not show.

    Args:
        graph: of the identity.
        ids: as ``TagScopes`` has them, at least one and ``MOST_IDS`` at most.
        now: present time.

    Raises SourceUnavailable and SourceRefused.
    """
    found: dict[str, KnownTags] = {}
    subscriptions = list(dict.fromkeys(parse_id(one).subscription_id or "" for one in ids))
    try:
        async with aclosing(graph.pages(query_of(ids), subscriptions=subscriptions)) as pages:
            async for page in pages:
                for row in page.rows:
                    known = _read(row, now)
                    found[known.id] = known
    except SourceRefused as error:
        if NO_SUBSCRIPTION not in str(error):
            raise
    return [found.get(one, KnownTags(one, now, exists=False)) for one in ids]


def query_of(ids: Sequence[str]) -> str:
    """The query. Ids have no quotation mark, see ``scopes_of``."""
    containers = [one for one in ids if is_container(one)]
    resources = [one for one in ids if not is_container(one)]
    tables = (("resources", resources), ("resourcecontainers", containers))
    legs = [_leg(table, wanted) for table, wanted in tables if wanted]
    return "\n".join([legs[0], *(f"| union ({leg})" for leg in legs[1:]), "| order by id asc"])


def _leg(table: str, ids: Sequence[str]) -> str:
    quoted = ", ".join(f"'{one}'" for one in ids)
    return f"{table}\n| where id in~ ({quoted})\n| project id, tags"


def _read(row: dict[str, Any], now: datetime) -> KnownTags:
    given = row.get("tags")
    tags = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    kept: dict[str, str] = {}
    room = _MOST_CHARACTERS
    for name in sorted(tags, key=str.casefold):
        room -= len(name) + len(tags[name])
        if room >= 0:
            kept[name] = tags[name]
    return KnownTags(canonical(str(row.get("id") or "")), now, kept, left_out=len(tags) - len(kept))
