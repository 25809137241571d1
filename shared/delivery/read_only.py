"""Stand-ins for a job that only shows what it would do: they read, and write nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from shared.core.jobs import JobRun
from shared.core.link import Link
from shared.core.messages import Message, PushToSource, signal_of
from shared.delivery.links import LinkStore
from shared.platform.storage import Storage
from shared.platform.tables import MOST_TRIES


class ReadOnlyLinks(LinkStore):
    """Links that stay as they are; what would be written is a sample of the run."""

    def __init__(self, storage: Storage, run: JobRun) -> None:
        super().__init__(storage)
        self._run = run

    async def write(self, link: Link, etag: str | None) -> str:
        """Write nothing; the ETag stays."""
        self._run.sample(_described(link))
        return etag or ""

    async def update(
        self, key: str, change: Callable[[Link | None], Link | None], *, contended: str, tries: int = MOST_TRIES
    ) -> Link | None:
        """The link as the change would make it."""
        del contended, tries
        stored = await self.load(key)
        before = None if stored is None else stored.value
        after = change(before)
        if after is None or after == before:
            return before
        self._run.sample(_described(after))
        return after


class ForgetfulQueue:
    """Takes messages and forgets them; what they ask for is a sample of the run."""

    def __init__(self, run: JobRun) -> None:
        self._run = run

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        """Queue nothing."""
        del delay
        signal = signal_of(message)
        if signal is not None:
            self._run.sample(f"{signal.state.value}: {signal.title} ({signal.key})")
        elif isinstance(message, PushToSource):
            self._run.sample(f"tell the source of {message.key} the state of its ticket")


def _described(link: Link) -> str:
    number = link.ticket.number if link.ticket is not None else ""
    facts = {"state": link.state, "owner": link.owner}
    known = ", ".join(f"{name} {text}" for name, text in facts.items() if text)
    return f"{number or link.key}: {link.stage.value}{', ' if known else ''}{known}"
