"""Reads the secure score of each tenant and puts on the queue what its rules and its changes ask for.

A run first reads everything, then decides, then queues, and remembers last: whoever dies in between leaves a run that
can be repeated. What is queued twice then is recognised by delivery, because it bears the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from connectors.secure_score.api import SecureScores
from connectors.secure_score.payloads.listed import by_control
from connectors.secure_score.poll.selection import (
    ControlChooser,
    ControlVerdict,
    KnownControl,
    has_ticket,
    is_settled,
    judge,
    said,
    see,
    vanished,
)
from connectors.secure_score.poll.states import ScoreStates, TenantState
from connectors.secure_score.settings import SecureScoreSettings
from shared.core.errors import SourceError, UnreadableRow
from shared.core.jobs import JobRun
from shared.core.link import Link
from shared.core.messages import QueueSender, SignalMessage
from shared.core.signal import Signal, SignalState
from shared.delivery.links import LinkStore
from shared.payloads.keys import Unidentified
from shared.payloads.values import fold, given
from shared.platform.log import record

#: The timer is never exactly on time.
_SLACK = timedelta(minutes=5)


class TenantReader(Protocol):
    """The tenants of the configuration."""

    @property
    def ids(self) -> list[str]: ...

    def open(self, tenant: str) -> SecureScores: ...


@dataclass(slots=True)
class ScorePolled:
    """What came of one tenant.

    Attributes:
        tenant: its id, empty where the configuration does not name it.
        controls: profiles that were read. deprecated, unreadable: among them.
        filed: controls whose firing was queued. resolved: controls whose end was queued.
        calls: to Microsoft Graph.
        partial: what Graph warned of when its answer was not whole; then nothing is taken for gone, and the tenant is
            read again in the next hour.
        reason: why it was not read; empty when it was.
    """

    tenant: str
    controls: int = 0
    deprecated: int = 0
    unreadable: int = 0
    filed: int = 0
    resolved: int = 0
    calls: int = 0
    partial: str = ""
    reason: str = ""


class ScorePoll:
    """Polls the tenants of a configuration.

    Args:
        settings: of the configuration.
        tenants: opens them.
        links: what is known of tickets.
        states: what is known of controls.
        queue: takes what is to be delivered.
        now: the clock.
    """

    def __init__(
        self,
        settings: SecureScoreSettings,
        tenants: TenantReader,
        links: LinkStore,
        states: ScoreStates,
        queue: QueueSender,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._every = settings.every
        self._chooser = ControlChooser(settings)
        self._tenants = tenants
        self._links = links
        self._states = states
        self._queue = queue
        self._now = now

    async def run(self, run: JobRun | None = None) -> list[ScorePolled]:
        """Read every tenant that is due; what goes wrong with one does not stop the others.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises StorageUnavailable.
        """
        run, results = run or JobRun(), []
        for tenant in self._tenants.ids:
            before = await self._states.load(tenant)
            due = before.polled_at is None or self._now() - before.polled_at >= self._every - _SLACK
            if due or run.always:
                results.append(await self._one(tenant, before, run))
        return results

    async def _one(self, tenant: str, before: TenantState, run: JobRun) -> ScorePolled:
        result = ScorePolled(tenant)
        run.follow(tenant or "own", result)
        scores = self._tenants.open(tenant)
        try:
            profiles = [profile async for profile in scores.profiles()]
            score = await scores.latest_score()
        except SourceError as error:
            result.reason = str(error)
        else:
            result.partial = scores.partial
            reading = _TenantReading(self._chooser, self._links, before, self._now(), result)
            verdicts = await reading.verdicts(tenant, profiles, score)
            for sent in filter(None, (verdict.send for verdict in verdicts.values())):
                run.sample(f"{sent.state.value}: {sent.title} ({sent.key})")
            if not run.dry_run:
                await self._act(tenant, before, verdicts, reading.now, result)
        finally:
            await scores.aclose()
            result.calls = scores.calls
        record(
            "scores_polled",
            logging.WARNING if result.reason or result.partial or result.unreadable else logging.INFO,
            tenant=tenant,
            controls=result.controls,
            deprecated=result.deprecated,
            unreadable=result.unreadable,
            filed=result.filed,
            resolved=result.resolved,
            calls=result.calls,
            partial=result.partial,
            reason=result.reason,
            dry_run=run.dry_run or None,
        )
        return result

    async def _act(
        self, tenant: str, before: TenantState, verdicts: dict[str, ControlVerdict], now: datetime, result: ScorePolled
    ) -> None:
        for verdict in verdicts.values():
            if verdict.send is not None:
                await self._queue.send(SignalMessage(id=uuid4().hex, received_at=now, signal=verdict.send))
        # An answer that was not whole does not count as a reading: the rest is fetched in the next run.
        polled_at = before.polled_at if result.partial else now
        controls = {name: verdict.known for name, verdict in verdicts.items()}
        await self._states.save(tenant, TenantState(polled_at, self._chooser.digest, controls))


class _TenantReading:
    """One reading of a tenant, turned into what each control requires."""

    def __init__(
        self, chooser: ControlChooser, links: LinkStore, before: TenantState, now: datetime, result: ScorePolled
    ) -> None:
        self.now = now
        self._chooser = chooser
        self._links = links
        self._before = before
        self._same_rules = before.rules == chooser.digest
        self._result = result

    async def verdicts(
        self, tenant: str, profiles: list[dict[str, Any]], score: dict[str, Any] | None
    ) -> dict[str, ControlVerdict]:
        """By control id, lower case; also for those that are known and not in the list."""
        found: dict[str, ControlVerdict] = {}
        waiting: set[str] = set()
        entries = by_control(score)
        for profile in profiles:
            self._result.controls += 1
            name = given(fold(profile).get("id")).lower()
            before = self._before.controls.get(name)
            try:
                found[name] = await self._control(before, profile, entries(name), tenant)
            except Unidentified as error:
                self._result.unreadable += 1
                record("control_unreadable", logging.WARNING, tenant=tenant, control=name[:80], reason=str(error))
                if before is not None:
                    found[name] = ControlVerdict(None, before)
            except UnreadableRow:  # its link; the log says so, and the next poll judges the control again
                waiting.add(name)
        for name, known in self._before.controls.items():
            if name in found:
                continue
            try:
                is_gone = bool(profiles) and not self._result.partial and name not in waiting
                found[name] = await self._missing(known, is_gone=is_gone)
            except UnreadableRow:
                found[name] = ControlVerdict(None, known)
        for verdict in found.values():
            self._count(verdict.send)
        return found

    async def _control(
        self, before: KnownControl | None, profile: dict[str, Any], entry: dict[str, Any], tenant: str
    ) -> ControlVerdict:
        seen = see(profile, entry, tenant, self.now)
        self._result.deprecated += seen.deprecated
        if is_settled(seen, before, self._same_rules) and before is not None:
            return ControlVerdict(None, replace(seen.known, announced=before.announced, over=before.over, at=before.at))
        return judge(seen, before, await self._link(seen.known.key), self._chooser, self.now)

    async def _missing(self, known: KnownControl, *, is_gone: bool) -> ControlVerdict:
        """A control that is not in the list: gone, if the list was whole. An empty list is never believed."""
        if not is_gone or known.over:
            return ControlVerdict(None, known)
        link = await self._link(known.key)
        over = replace(known, over=True, announced=False)
        if not (known.announced or has_ticket(link)):
            return ControlVerdict(None, over)
        return said(vanished(known, link, self.now), over, link)

    async def _link(self, key: str) -> Link | None:
        stored = await self._links.load(key)
        return None if stored is None else stored.value

    def _count(self, signal: Signal | None) -> None:
        if signal is not None and signal.state is SignalState.RESOLVED:
            self._result.resolved += 1
        elif signal is not None:
            self._result.filed += 1
