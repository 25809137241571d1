"""The poll of one tenant and one kind: pages of findings merged with what is remembered, page by page.

Both come in the order of their keys, so memory holds one page and what became of it. A page is read, its signals put on
the queue, and only then is what is remembered of it written; the new snapshot counts when all is done. A crash before
that repeats signals, whose order is the same, so that delivery takes them for what they are.

What is remembered and not listed is looked for by its id before it is called gone: a list that changes while it is read
can leave something out. Of a subscription that the identity does not see (any more) nothing is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from connectors.defender.payloads.schemas import SCHEMAS
from connectors.defender.poll.changes import (
    Entry,
    FindingChange,
    FindingStage,
    Need,
    end,
    need,
    need_of_missing,
    settle,
)
from connectors.defender.poll.kinds import FindingFacts, FindingKind, deletion, facts_of, remembered
from connectors.defender.poll.management_groups import ManagementGroupPaths, with_management_groups
from connectors.defender.poll.polled import PollResult
from connectors.defender.poll.snapshot import Ahead, PollProgress, Snapshot, SnapshotWriter
from connectors.defender.poll.tenant_view import TenantView, marked, with_surroundings
from connectors.microsoft.azure_resources import subscription_of
from shared.core.errors import SourceError
from shared.core.messages import QueueSender, SignalMessage
from shared.core.signal import Signal, SignalState
from shared.delivery.event_log import record_accepted
from shared.payloads.parse import parse
from shared.platform.concurrency import for_each
from shared.platform.log import record

#: Messages that are put on the queue at the same time.
_ABREAST = 16

#: Findings in hand at once: a page, and what has gone between two of its rows.
_MOST = 2_000


@dataclass(slots=True)
class _Item:
    """A finding in hand: what is remembered of it, how it is listed (None: not), and what comes of both."""

    key: str
    old: Entry | None
    row: Mapping[str, Any] | None
    outcome: FindingChange | None = None


_LIMITED = (
    "Azure Resource Graph left subscriptions out (x-ms-tenant-subscription-limit-hit), so nothing was taken for gone. "
    "Fix: split the tenant in defender.tenants by subscriptions or management_groups"
)


class PollRun:
    """One run over one tenant and kind.

    Args:
        view: the tenant.
        kind: of the findings.
        group_paths: where subscriptions stand.
        queue: takes signals.
        wanted: whether the configuration takes a signal.
        rules: name the configuration that ``wanted`` follows, and the one that decides what becomes of what was sent.
        now: the clock.
        ends: when the run has to be over.
        dry_run: ``queue`` forgets what it takes, and so does the run.
    """

    def __init__(
        self,
        view: TenantView,
        kind: FindingKind,
        group_paths: ManagementGroupPaths,
        queue: QueueSender,
        wanted: Callable[[Signal], bool],
        rules: tuple[str, str],
        now: Callable[[], datetime],
        ends: datetime,
        *,
        dry_run: bool = False,
    ) -> None:
        self._dry_run = dry_run
        self.result = PollResult(view.tenant, kind.name)
        self._view = view
        self._kind = kind
        self._paths = group_paths
        self._queue = queue
        self._wanted = wanted
        self._rules, self._decides = rules
        self._now = now
        self._ends = ends
        self._began = now()
        self._items: list[_Item] = []
        self._last = ""
        self._limited = False

    async def run(self, snapshot: Snapshot) -> None:
        """Merge, and commit what is known then.

        Raises StorageUnavailable: then nothing is remembered, and the next run repeats this one.
        """
        self._same_rules = snapshot.progress.rules == self._rules
        calls, position = self._view.graph.calls, snapshot.progress.position
        writer, broken_off = snapshot.writer(forgetful=self._dry_run), ""
        async with aclosing(Ahead(snapshot.entries())) as old:
            await self._copy(old, writer, f"/subscriptions/{position}" if position else "")
            try:
                await self._view.known()
                broken_off = await self._merge(old, writer, position)
            except SourceError as error:
                self.result.finished, self.result.reason = False, str(error)
                for item in self._items:
                    if item.old is not None:
                        await writer.add(item.old)
            await self._copy(old, writer, None)
        if self._limited and not self.result.reason:
            self.result.reason = _LIMITED
        self.result.calls = self._view.graph.calls - calls
        ran_at = self._began if self.result.finished else None
        await writer.commit(PollProgress(ran_at, broken_off, self._rules if self._judged_all(position) else ""))

    def _judged_all(self, position: str) -> bool:
        """Whether every entry that the configuration left out was judged by its present rules."""
        return self._same_rules or (self.result.finished and not position)

    @staticmethod
    async def _copy(old: Ahead, writer: SnapshotWriter, until: str | None) -> None:
        """Keep entries as they are: those before a key, or (None) all that are left."""
        while (entry := await old.before(until)) is not None:
            await writer.add(entry)

    async def _merge(self, old: Ahead, writer: SnapshotWriter, position: str) -> str:
        """Read the list. Returns the subscription where it was broken off for want of time, empty for a whole one."""
        async with aclosing(self._view.pages(self._kind.query, position)) as pages:
            async for page in pages:
                self._limited |= page.limited
                for row in page.rows:
                    await self._take(row, old, writer)
                await self._flush(writer)
                page.rows.clear()  # or two pages would be in memory while the next one comes
                if not page.last and self._now() >= self._ends:
                    self.result.finished = False
                    return subscription_of(self._last)
        await self._pass_over(old, writer, None)
        await self._flush(writer)
        return ""

    async def _take(self, row: Mapping[str, Any], old: Ahead, writer: SnapshotWriter) -> None:
        key = row.get("key")
        if not isinstance(key, str) or key <= self._last:
            self.result.repeated += 1
            return
        self._last = key
        self.result.read += 1
        await self._pass_over(old, writer, key)
        self._items.append(_Item(key, await old.at(key), row))

    async def _pass_over(self, old: Ahead, writer: SnapshotWriter, until: str | None) -> None:
        """Take in hand what is remembered and not listed before a key, or (None) to the end."""
        while (entry := await old.before(until)) is not None:
            self._items.append(_Item(entry.key, entry, None))
            await self._flush(writer, at_least=_MOST)

    async def _flush(self, writer: SnapshotWriter, at_least: int = 1) -> None:
        """Settle what is in hand: ask what has to be asked, put signals on the queue, remember."""
        if len(self._items) < at_least:
            return
        ended = await self._find_missing()
        read = [found for item in self._items if (found := self._read(item)) is not None]
        surrounded = await with_surroundings([signal for _, _, signal in read], self._view, self._paths)
        for (item, facts, _), signal in zip(read, surrounded, strict=True):
            self._settle(item, facts, signal)
        signals = [item.outcome.signal for item in self._items if item.outcome is not None and item.outcome.signal]
        self.result.deleted += ended
        await for_each(signals, self._put, limit=_ABREAST)
        for item in self._items:
            entry = item.old if item.outcome is None else item.outcome.entry
            if entry is not None:
                await writer.add(entry)
        self._items.clear()

    async def _find_missing(self) -> int:
        """Look for what is not listed: it is gone, or it has a row after all, or nobody can say.

        Returns how many are gone whose end is to be told.
        """
        gone: list[_Item] = []
        ended = 0
        for item in self._items:
            if item.row is None and item.old is not None:
                match need_of_missing(item.old, self._began):
                    case Need.READ:
                        gone.append(item)
                    case Need.FORGET:
                        item.outcome = FindingChange(None)
        if not gone:
            return 0
        visible = {} if self._limited else await self._view.visible()
        seen = [item for item in gone if (subscription_of(item.key) or "") in visible]
        self.result.unseen += len(gone) - len(seen)
        found = await self._view.findings(self._kind, [item.key for item in seen])
        for item in seen:
            item.row = found.get(item.key)
            if item.row is None and item.old is not None:
                item.outcome = self._ended(item.old)
                ended += item.outcome.signal is not None
        return ended

    def _ended(self, old: Entry) -> FindingChange:
        if not self._kind.ends:
            return FindingChange(None)
        (signal,) = parse(deletion(self._kind, old.body or {}), self._began, SCHEMAS)
        if not isinstance(signal, Signal):  # an entry of another release, from which nothing can be told
            self.result.unreadable += 1
            return FindingChange(None)
        placed = with_management_groups(signal, self._paths.of(subscription_of(old.key)))
        return end(old, marked(placed), self._began)

    def _read(self, item: _Item) -> tuple[_Item, FindingFacts, Signal] | None:
        """A finding as a signal; None for one that needs nothing, is forgotten, or cannot be read."""
        if item.row is None:
            return None
        facts = replace(facts_of(self._kind, item.row), rules=self._decides)
        what = need(item.old, facts, self._began, same_rules=self._same_rules)
        if what is not Need.READ:
            self.result.unchanged += 1
            item.outcome = FindingChange(item.old if what is Need.NOTHING else None)
            return None
        (signal,) = parse(dict(item.row), self._began, SCHEMAS)
        if isinstance(signal, Signal):
            return item, facts, signal
        if not self.result.unreadable:
            record("finding_unreadable", logging.WARNING, id=item.key, reason=signal.reason)
        self.result.unreadable += 1
        return None

    def _settle(self, item: _Item, facts: FindingFacts, signal: Signal) -> None:
        if item.row is None:
            return
        result, old, over = self.result, item.old, signal.state is SignalState.RESOLVED
        wanted = not over and self._wanted(signal)
        body = remembered(item.row)
        item.outcome = settle(item.key, old, signal, facts, self._began, wanted=wanted, body=body)
        if item.outcome.signal is None:
            result.left += not over
        elif over:
            result.resolved += 1
        elif old is not None and old.stage is FindingStage.SENT:
            result.changed += 1
        else:
            result.new += 1

    async def _put(self, signal: Signal) -> None:
        message = SignalMessage(id=uuid4().hex, received_at=self._now(), signal=signal)
        await self._queue.send(message)
        if not self._dry_run:
            record_accepted(message, by="poll")
