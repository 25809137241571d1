"""Tells sources what became of their tickets: by state, not by event.

Each source has a :class:`WriteBackTarget` that says, from a link alone, what the source has to know *now*, as text
that can be compared. The link remembers what the source was told last. So a message that is lost, doubled or late
changes nothing: the next run compares both, and a full check over all links finds what no message asked for.

This also stops echoes: what the source reports because the bridge wrote it is what the link remembers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from shared.core.link import Link
from shared.core.outcome import Outcome
from shared.core.signal import Signal
from shared.delivery.links import LinkStore
from shared.platform.tables import until_written


class WriteBackTarget(Protocol):
    """What one source wants to know of tickets, and how it is told."""

    def wants(self, link: Link) -> str:
        """What the source has to know now; empty when it need not be told anything (yet, or any more).

        Pure. The text must differ whenever the source is to be told anew, and nowhere else.
        """
        ...

    async def push(self, link: Link, what: str) -> None:
        """Tell the source. Repeating it changes nothing.

        Raises SourceUnavailable, SecretUnavailable or StorageUnavailable for what may pass, SourceRefused for what
        cannot. What does not exist any more at the source is no error.
        """
        ...


class WriteBack:
    """Tells all sources.

    Args:
        links: the link store.
        targets: by the signal's source; a source without one is told nothing.
        others: push what has no link, by the kind of its key (what stands before the first colon). They get the key,
            and return and raise as :meth:`push`.
    """

    def __init__(
        self,
        links: LinkStore,
        targets: Mapping[str, WriteBackTarget],
        others: Mapping[str, Callable[[str], Awaitable[str]]] | None = None,
    ) -> None:
        self._links = links
        self._targets = targets
        self._others = others or {}

    def needs_push(self, signal: Signal, delivered: Outcome) -> bool:
        """Whether the source is to be told after a delivery. Also after a duplicate: the worker that delivered the
        signal may have died before it queued the push."""
        return signal.source in self._targets and delivered.ticket is not None

    def is_stale(self, link: Link) -> bool:
        """Whether the source of a link does not know yet what it has to know."""
        target = self._targets.get(link.source)
        if target is None or link.pending is not None:
            return False
        wanted = target.wants(link)
        return bool(wanted) and wanted != link.last_pushed

    async def push(self, key: str) -> str:
        """Tell the source of a key what it has to know now.

        Returns:
            ``pushed``; ``up_to_date``; ``no_link``; ``no_target`` when nobody wants to tell that source; ``busy`` when
            a delivery is under way, which queues a push of its own when it ends.

        Raises as :meth:`WriteBackTarget.push`, and KeyContended.
        """
        other = self._others.get(key.partition(":")[0])
        if other is not None:
            return await other(key)

        async def attempt() -> str:
            stored = await self._links.load(key)
            if stored is None:
                return "no_link"
            link = stored.value
            target = self._targets.get(link.source)
            if target is None:
                return "no_target"
            if link.pending is not None:
                return "busy"
            wanted = target.wants(link)
            if not wanted or wanted == link.last_pushed:
                return "up_to_date"
            await target.push(link, wanted)
            # When the link changed meanwhile, what the source has to know may have changed too: then it is read again.
            await self._links.write(replace(link, last_pushed=wanted), stored.etag)
            return "pushed"

        contended = f"{key}: others kept changing its link while its source was told; it is told again later"
        return await until_written(attempt, contended=contended)
