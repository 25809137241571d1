"""What is asked of all sources together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.plugins import Previewed, SectionCheck, Source

if TYPE_CHECKING:
    from shared.core.signal import Signal
    from shared.core.ticket_system import Needs
    from shared.delivery.links import LinkStore
    from shared.delivery.tags import AddTags
    from shared.delivery.write_back import WriteBack
    from shared.mapping.mapper import Mapper


#: Time for the check of one subscription or tenant; a call alone may take a minute.
MOST_TIME = timedelta(seconds=60)


async def check(sources: Mapping[str, Source], most: timedelta = MOST_TIME) -> list[SectionCheck]:
    """Test what the configuration asks of sources, side by side, each subscription or tenant for ``most`` at most.

    Needs no storage, changes nothing. Raises ConfigurationError.
    """
    found = await asyncio.gather(*(source.check(most) for source in sources.values()))
    return [section for sections in found for section in sections]


def with_owners(sources: Mapping[str, Source], connection: str, needs: Needs) -> Needs:
    """What routes ask of a connection, with the owners of work whom sources name."""
    owners = [source.owners(connection) for source in sources.values()]
    return replace(needs, owners=frozenset().union(*owners))


def preview(sources: Mapping[str, Source], signal: Signal) -> Previewed:
    """A signal as its source would change it now."""
    source = sources.get(signal.source)
    return Previewed(signal) if source is None else source.preview(signal)


def tags(sources: Mapping[str, Source], mapper: Mapper) -> AddTags | None:
    """Adds tags to the resources of signals that need them; None where the configuration uses none, or no source can
    read any."""
    from shared.delivery.tags import AddTags

    readers = [reader for source in sources.values() if (reader := source.tag_reader()) is not None]
    return AddTags(readers[0], mapper.tags.needed) if readers else None


async def is_healthy(sources: Mapping[str, Source], signal: Signal) -> bool:
    """Whether all resources of a signal are healthy; False when no source can tell."""
    for source in sources.values():
        found = await source.is_healthy(signal)
        if found is not None:
            return found
    return False


def write_back(sources: Mapping[str, Source], links: LinkStore) -> WriteBack:
    """Pushes the states of tickets to where they came from."""
    from shared.delivery.write_back import WriteBack

    targets = {name: target for name, source in sources.items() if (target := source.write_back()) is not None}
    others: dict[str, Callable[[str], Awaitable[str]]] = {}
    for source in sources.values():
        others |= source.push_handlers()
    return WriteBack(links, targets, others)
