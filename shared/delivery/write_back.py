"""Tells sources what became of their tickets: by level, not by edge.

Each source has a counterpart that says, from a link alone, what the source has to know *now*, as text that can be
compared. The link remembers what the source was told last. So a message that is lost, doubled or late changes nothing:
whoever comes next sees whether both agree, and a full check over all links finds what nobody ordered.

Echoes stop here too: what the source says of itself because we told it so is what the link remembers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from shared.core.link import Link
from shared.core.signal import Signal
from shared.delivery.deliver import Delivered
from shared.delivery.links import LinkStore
from shared.platform.tables import until_written


class WriteBackTarget(Protocol):
    """What one source wants to know of tickets, and how it is told."""

    def wants(self, link: Link) -> str:
        """What the source has to know now; empty when it need not be told anything (yet, or any more).

        Pure. The text must differ whenever the source is to be told anew, and nowhere else.
        """
        ...

    async def tell(self, link: Link, what: str) -> None:
        """Tell the source. Repeating it changes nothing.

        Raises SourceUnavailable, SecretUnavailable or StorageUnavailable for what may pass, SourceRefused for what
        cannot. What does not exist any more at the source is no error.
        """
        ...


class WriteBack:
    """All counterparts by source.

    Args:
        links: the link store.
        counterparts: by the signal's source.
        others: tell of what is no link, by the kind of its key (what stands before the first colon). They get the key,
            and return and raise as :meth:`tell`.
    """

    def __init__(
        self,
        links: LinkStore,
        counterparts: Mapping[str, WriteBackTarget],
        others: Mapping[str, Callable[[str], Awaitable[str]]] | None = None,
    ) -> None:
        self._links = links
        self._counterparts = counterparts
        self._others = others or {}

    def follows(self, signal: Signal, delivered: Delivered) -> bool:
        """Whether the source is to be told after a delivery: see ``shared.delivery.worker.Back``."""
        return signal.source in self._counterparts and delivered.ticket is not None

    def owes(self, link: Link) -> bool:
        """Whether the source of a link does not know yet what it has to know."""
        counterpart = self._counterparts.get(link.source)
        if counterpart is None or link.pending is not None:
            return False
        wanted = counterpart.wants(link)
        return bool(wanted) and wanted != link.last_pushed

    async def tell(self, key: str) -> str:
        """Tell the source of a key what it has to know now: told, known, gone, or busy when a delivery is under way
        (which orders to tell it again when it ends).

        Raises as :meth:`WriteBackTarget.tell`, and KeyContended.
        """
        other = self._others.get(key.partition(":")[0])
        if other is not None:
            return await other(key)

        async def attempt() -> str:
            stored = await self._links.load(key)
            if stored is None:
                return "gone"
            link = stored.value
            counterpart = self._counterparts.get(link.source)
            if counterpart is None:
                return "nobody_listens"
            if link.pending is not None:
                return "busy"
            wanted = counterpart.wants(link)
            if not wanted or wanted == link.last_pushed:
                return "known"
            await counterpart.tell(link, wanted)
            # When the link changed meanwhile, what the source has to know may have changed too: then it is read again.
            await self._links.write(replace(link, last_pushed=wanted), stored.etag)
            return "told"

        contended = f"{key}: others kept changing its link while its source was told; it is told again later"
        return await until_written(attempt, contended=contended)
