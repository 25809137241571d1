"""The comparison of one subscription: list, judge, put on the queue, remember, in this order and page by page.

What costs what: the list is read without contexts, 250 alerts a call. An alert whose condition was settled before
(see ``ledger``) costs nothing more; for the others their link is read, one point read each, because the new ones
are few while the links of all time are many. Only what is missing is fetched once more, with its context, so that its
ticket says as much as if the webhook had come. Work per run is bounded; what is left over follows in the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from connectors.azure_monitor.payloads.managed import ManagedAlert, firing_of, read_managed
from connectors.azure_monitor.reconcile.compare import ReconcileVerdict, compare
from connectors.azure_monitor.reconcile.state import ReconciledAlert, ReconcileProgress, ReconcileState
from connectors.azure_monitor.settings import ReconcileSettings
from shared.core.errors import SourceError, UnreadableRow
from shared.core.jobs import JobRun
from shared.core.messages import QueueSender, SignalMessage
from shared.core.signal import Signal, SignalState
from shared.delivery.event_log import record_accepted
from shared.delivery.links import LinkStore
from shared.mapping.routes import compile_when
from shared.payloads.keys import Unidentified

#: Links that are read at the same time.
_ABREAST = 16

#: Alerts of earlier days that are looked after in one run.
MOST_WATCHED = 200

#: Azure lists what happened in the last 30 days.
_LISTED = timedelta(days=30)


class AlertList(Protocol):
    """Azure's list of alerts of one subscription. Raises SourceError."""

    @property
    def calls(self) -> int: ...

    def pages(self, since: datetime, until: datetime) -> AsyncIterator[ListedPage]: ...

    async def alert(self, name: str) -> dict[str, Any] | None: ...

    async def aclose(self) -> None: ...


class ListedPage(Protocol):
    """A part of a list."""

    @property
    def alerts(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def last(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ReconcileRules:
    """What depends on the configuration.

    ``routed``: a route takes the signal, and it may become a ticket. ``counted``: its route groups alerts, or a
    throttle counts them, so that what is known of it may stand in a group.
    """

    routed: Callable[[Signal], bool]
    counted: Callable[[Signal], bool]


@dataclass(slots=True)
class ReconcileResult:
    """What came of one subscription.

    Attributes:
        alerts: listed. known: nothing was needed. missed, resolved: put on the queue: firings, and ends.
        left: not for the bridge by its configuration, dealt with in Azure, or over before anybody heard of them.
        waiting: too young, or a worker is at them. unreadable: no alerts, or without what identifies them.
        calls: to Azure. finished: False when the rest follows in the next run. reason: why the run broke off.
    """

    subscription: str
    alerts: int = 0
    known: int = 0
    missed: int = 0
    resolved: int = 0
    left: int = 0
    waiting: int = 0
    unreadable: int = 0
    calls: int = 0
    finished: bool = True
    reason: str = ""


@dataclass(slots=True)
class _Judged:
    """An alert of the list and what it needs."""

    alert: ManagedAlert
    verdict: ReconcileVerdict


def _settled(judged: _Judged, now: datetime) -> ReconciledAlert:
    alert = judged.alert
    return ReconciledAlert(alert.name, alert.condition, alert.changed_at, now, judged.verdict is ReconcileVerdict.LEFT)


class Comparison:
    """One run over one subscription."""

    def __init__(
        self,
        subscription: str,
        alerts: AlertList,
        settled: dict[str, ReconciledAlert],
        settings: ReconcileSettings,
        rules: ReconcileRules,
        now: datetime,
        ends: datetime,
        run: JobRun,
        most: int,
    ) -> None:
        self.result = ReconcileResult(subscription)
        self._most = most
        self._alerts = alerts
        self._settled = settled
        self._settings = settings
        self._rules = rules
        self._wanted = compile_when(settings.when)
        # what only the context tells cannot be asked of the list
        names = ("custom_properties", "details", "dimensions", "tags", "not_", "any", "all")
        coarse = dict.fromkeys(names)
        self._perhaps_wanted = compile_when(settings.when.model_copy(update=coarse))
        self._now = now
        self._ends = ends
        self._run = run
        self._fetched = 0
        self._position: datetime | None = None
        self._seen: set[str] = set()

    async def compare(
        self,
        position: datetime | None,
        links: LinkStore,
        ledger: ReconcileState,
        queue: QueueSender,
        clock: Callable[[], datetime],
    ) -> None:
        """List, judge, put on the queue, remember: in this order, page by page."""
        result = self.result
        self._links, self._ledger, self._queue, self._clock = links, ledger, queue, clock
        since = max(position or self._now - self._settings.look_back, self._now - _LISTED + timedelta(minutes=5))
        try:
            async for page in self._alerts.pages(since, self._now):
                if not await self._page(page.alerts) or (not page.last and self._out_of_time()):
                    result.finished = False
                    break
            if result.finished:
                await self._watch()
        except SourceError as error:
            result.finished, result.reason = False, str(error)
        result.calls = self._alerts.calls
        if self._run.dry_run:
            return
        stays = position if self._position is None else self._position
        progress = ReconcileProgress(self._clock(), None) if result.finished else ReconcileProgress(None, stays)
        await self._ledger.note(result.subscription, progress)
        await self._tidy()

    async def _page(self, items: Iterable[Mapping[str, Any]]) -> bool:
        """Work off a page; False when the run's measure is full."""
        read = [alert for item in items if (alert := self._read(item)) is not None]
        news = [alert for alert in read if self._is_news(alert)]
        for begin in range(0, len(news), _ABREAST):
            if self._fetched >= self._most or self._out_of_time():
                self._position = news[begin].started_at
                return False
            await self._batch(news[begin : begin + _ABREAST])
        if read:
            self._position = max(alert.started_at for alert in read)
        return True

    async def _batch(self, alerts: Sequence[ManagedAlert]) -> None:
        answers = await asyncio.gather(*(self._judge(alert) for alert in alerts), return_exceptions=True)
        judged = [answer for answer in answers if isinstance(answer, _Judged)]
        for one in judged:
            await self._act(one)
        if not self._run.dry_run:
            done = [_settled(one, self._now) for one in judged if one.verdict is not ReconcileVerdict.BUSY]
            await self._ledger.settle(self.result.subscription, done)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _read(self, item: Mapping[str, Any]) -> ManagedAlert | None:
        self.result.alerts += 1
        try:
            return read_managed(item, self._now)
        except Unidentified:
            self.result.unreadable += 1
            return None

    def _is_news(self, alert: ManagedAlert) -> bool:
        """Whether an alert is to be judged; counts those that are not."""
        if alert.name in self._seen:
            self.result.alerts -= 1  # a page that shifted shows it once more
            return False
        self._seen.add(alert.name)
        before = self._settled.get(alert.name)
        if before is not None and before.condition is alert.condition:
            self.result.known += 1
            return False
        if alert.changed_at > self._now - self._settings.grace:
            self.result.waiting += 1
            return False
        return True

    async def _judge(self, listed: ManagedAlert) -> _Judged:
        before = self._settled.get(listed.name)
        if (before is not None and before.left) or not self._perhaps_wanted(listed.signal):
            return _Judged(listed, ReconcileVerdict.LEFT)
        alert = listed if listed.complete else await self._fetch(listed)
        if alert is None or not alert.complete:
            return _Judged(listed, ReconcileVerdict.LEFT)  # nobody can say which ticket would be its own
        signal = alert.signal
        try:
            stored = await self._links.load(signal.key)
        except UnreadableRow:  # the log says so; it is compared again when the row was mended
            return _Judged(alert, ReconcileVerdict.BUSY)
        link = None if stored is None else stored.value
        verdict = compare(signal, link, told=before is not None, counted=self._rules.counted(signal))
        if verdict is ReconcileVerdict.LEFT and self._settings.over == "ticket":
            verdict = ReconcileVerdict.MISSED
        if verdict is ReconcileVerdict.MISSED and link is None and self._is_dealt_with(alert):
            verdict = ReconcileVerdict.LEFT
        if verdict not in (ReconcileVerdict.MISSED, ReconcileVerdict.ENDED):
            return _Judged(alert, verdict)
        if alert is listed:
            alert = await self._fetch(listed)
        if alert is None or alert.condition is not listed.condition:
            return _Judged(listed, ReconcileVerdict.BUSY)  # it changed since it was listed
        if not self._wanted(alert.signal) or (link is None and not self._rules.routed(alert.signal)):
            return _Judged(alert, ReconcileVerdict.LEFT)
        return _Judged(alert, verdict)

    def _is_dealt_with(self, alert: ManagedAlert) -> bool:
        """Whether a person closed an alert in Azure, or a rule hides it that is to be respected."""
        return alert.closed or (alert.suppressed and not self._settings.suppressed)

    async def _fetch(self, listed: ManagedAlert) -> ManagedAlert | None:
        self._fetched += 1
        found = await self._alerts.alert(listed.name)
        if found is None:
            return None
        try:
            return read_managed(found, self._now)
        except Unidentified:
            return None

    async def _act(self, judged: _Judged) -> None:
        result, signal = self.result, judged.alert.signal
        match judged.verdict:
            case ReconcileVerdict.KNOWN:
                result.known += 1
            case ReconcileVerdict.BUSY:
                result.waiting += 1
            case ReconcileVerdict.LEFT:
                result.left += 1
            case ReconcileVerdict.ENDED:
                await self._put(signal)
                result.resolved += 1
            case ReconcileVerdict.MISSED:
                result.missed += 1
                if signal.state is SignalState.RESOLVED:
                    await self._put(firing_of(signal))
                    result.resolved += 1
                await self._put(signal)

    async def _put(self, signal: Signal) -> None:
        self._run.sample(f"{signal.state.value}: {signal.title} ({signal.key})")
        if self._run.dry_run:
            return
        message = SignalMessage(id=uuid4().hex, received_at=self._clock(), signal=signal)
        await self._queue.send(message)
        record_accepted(message, by="reconcile")

    async def _watch(self) -> None:
        """Look after alerts that are fired as far as known, and too old to be listed."""
        since = self._now - self._settings.look_back
        old = [
            settled
            for name, settled in self._settled.items()
            if settled.condition is SignalState.FIRED
            and not settled.left
            and settled.changed_at < since
            and name not in self._seen
        ]
        old.sort(key=lambda settled: settled.seen_at)
        for settled in old[:MOST_WATCHED]:
            if self._out_of_time():
                return
            found = await self._alerts.alert(settled.name)
            if found is None:  # Azure keeps no alert for ever, and one that is gone says nothing
                if not self._run.dry_run:
                    await self._ledger.forget(self.result.subscription, [settled.name])
                continue
            self.result.alerts += 1
            if self._is_over(found):
                await self._page_of_one(found)
            elif not self._run.dry_run:
                self.result.known += 1
                await self._ledger.settle(self.result.subscription, [replace(settled, seen_at=self._now)])

    def _is_over(self, item: Mapping[str, Any]) -> bool:
        try:
            return read_managed(item, self._now).condition is SignalState.RESOLVED
        except Unidentified:
            return False

    async def _page_of_one(self, item: Mapping[str, Any]) -> None:
        alert = read_managed(item, self._now)
        if self._is_news(alert):
            await self._batch([alert])

    async def _tidy(self) -> None:
        """Forget alerts that are over and will not be listed again."""
        long_ago = self._now - self._settings.look_back - timedelta(days=1)
        gone = [
            name
            for name, settled in self._settled.items()
            if (settled.condition is SignalState.RESOLVED or settled.left)
            and settled.changed_at < long_ago
            and name not in self._seen
        ]
        await self._ledger.forget(self.result.subscription, gone)

    def _out_of_time(self) -> bool:
        return self._clock() >= self._ends
