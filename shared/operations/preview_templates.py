"""Fills in the values of templates that a preview names. Reads ticket systems; writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from shared.core.errors import BridgeError
from shared.core.ticket_system import KnowsTemplates, LeftOut, TicketSystems
from shared.mapping.mapper import CompiledRoute, Mapper

#: Seconds for all templates of a preview, so that a person waits no longer for an instance that is away.
PATIENCE = 8.0


async def fill_in_templates(
    items: Iterable[dict[str, Any]], mapper: Mapper, systems: TicketSystems, patience: float = PATIENCE
) -> None:
    """Replace ``template`` of the previewed tickets by what the ticket system says, and add the values to ``fields``.

    ``asked`` stays False where the ticket system could not be asked, and ``reason`` says why.

    Args:
        items: of ``shared.operations.preview.preview``.
        mapper: the compiled configuration.
        systems: gives the ticket system of a connection.
        patience: seconds for all of them together.
    """
    named = [found for item in items for found in _tickets(item, mapper)]
    if not named:
        return
    try:
        async with asyncio.timeout(patience):
            for item, route in named:
                await _fill_in(item, route, systems)
    except TimeoutError:
        for item, _ in named:
            if not item["ticket"]["template"]["asked"]:
                item["ticket"]["template"]["reason"] = f"the ticket system gave no answer within {patience:g} seconds"


def _tickets(item: dict[str, Any], mapper: Mapper) -> Iterator[tuple[dict[str, Any], CompiledRoute]]:
    """The previewed tickets of an item, its own or those of its parts, that start from a template; with their route."""
    route = mapper.named(item["route"] or "")
    if route is None:
        return
    for one in (item, *item.get("parts", ())):
        if one["ticket"] and "template" in one["ticket"]:
            yield one, route


async def _fill_in(item: dict[str, Any], route: CompiledRoute, systems: TicketSystems) -> None:
    shown = item["ticket"]["template"]
    try:
        system = systems(route.connection)
        if not isinstance(system, KnowsTemplates):
            return
        found = await system.template(route.kind, route.template)
    except BridgeError as error:
        shown["reason"] = str(error)
        return
    shown["asked"] = True
    del shown["reason"]
    if isinstance(found, LeftOut):
        item["warnings"].append(f"{found}; the ticket is made without it")
        return
    shown["values"] = dict(found.fields)
    item["warnings"] += map(str, found.left_out)
    fields = item["ticket"]["fields"]
    own = {name: text for name, text in fields.items() if name not in route.yielding}
    item["ticket"]["fields"] = {**fields, **found.fields, **own}
