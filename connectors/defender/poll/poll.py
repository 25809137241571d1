"""Reads findings of Defender for Cloud from Azure Resource Graph; what is new, changed or over goes onto the queue."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta

from connectors.defender.poll.kinds import KINDS, FindingKind
from connectors.defender.poll.management_groups import ManagementGroupPaths
from connectors.defender.poll.polled import PollResult
from connectors.defender.poll.snapshot import PollProgress, Snapshot
from connectors.defender.poll.tenant_view import TenantView
from connectors.defender.poll.tenants import DefenderTenants, tenant_of
from connectors.defender.poll.unit import PollRun
from connectors.defender.settings import DefenderPollSettings
from connectors.microsoft.resource_graph import PAGE
from shared.core.jobs import JobRun
from shared.core.messages import QueueSender
from shared.delivery.read_only import ForgetfulQueue
from shared.mapping.routes import compile_when
from shared.platform.log import record
from shared.platform.storage import Storage

#: All tenants and kinds together; the app's functions may take ten minutes (host.json).
MOST_TIME = timedelta(minutes=7)

#: The timer is never exactly on time.
_SLACK = timedelta(minutes=2)


class FindingsPoll:
    """Polls the tenants of a configuration.

    Args:
        settings: section ``defender.poll``.
        clouds: the tenants; closed by whoever opened them.
        storage: of what is remembered.
        queue: takes what is new.
        now: the clock.
        rules: the rest of the configuration that decides what becomes of a finding, as text: when it differs from that
            of the poll before, what was sent is sent once more.
        page: rows a page.
    """

    def __init__(
        self,
        settings: DefenderPollSettings,
        clouds: DefenderTenants,
        storage: Storage,
        queue: QueueSender,
        *,
        now: Callable[[], datetime],
        rules: str = "",
        page: int = PAGE,
    ) -> None:
        self._page = page
        self._settings = settings
        self._clouds = clouds
        self._storage = storage
        self._queue = queue
        self._now = now
        self._paths = ManagementGroupPaths(storage, now=now)
        self._wanted = compile_when(settings.when)
        self._rules = hashlib.blake2b(settings.when.model_dump_json().encode(), digest_size=8).hexdigest()
        self._decides = hashlib.blake2b(rules.encode(), digest_size=4).hexdigest()

    async def run(self, run: JobRun | None = None) -> list[PollResult]:
        """Poll every tenant and kind that is due; what goes wrong with one does not stop the others.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises StorageUnavailable when storage fails: what was not remembered is repeated by the next run.
        """
        run = run or JobRun()
        if run.dry_run:
            self._paths.read_only = True
        units = [(view, KINDS[kind]) for view in self._views() for kind in self._settings.kinds]
        await self._paths.load()
        ends = self._now() + MOST_TIME
        results = []
        for place, (view, kind) in enumerate(units):
            share = (ends - self._now()) / (len(units) - place)  # whoever comes late has as much time as the first
            one = await self._one(view, kind, self._now() + share, run)
            if one is not None:
                results.append(one)
        return results

    def _views(self) -> list[TenantView]:
        names: list[str] = []
        found = []
        for entry, graph in self._clouds.graphs():
            name = tenant_of(entry).lower()
            found.append(TenantView(entry, names.count(name), graph, self._paths, self._page))
            names.append(name)
        return found

    async def _one(self, view: TenantView, kind: FindingKind, ends: datetime, run: JobRun) -> PollResult | None:
        snapshot = Snapshot(self._storage, f"{kind.name}/{view.name}.jsonl.gz")
        await snapshot.open()
        if not run.always and not self._is_due(snapshot.progress):
            return None
        rules = (self._rules, self._decides)
        queue = ForgetfulQueue(run) if run.dry_run else self._queue
        unit = PollRun(view, kind, self._paths, queue, self._wanted, rules, self._now, ends, dry_run=run.dry_run)
        run.follow(f"{view.tenant}, {kind.name}", unit.result)
        await unit.run(snapshot)
        result, facts = unit.result, {**asdict(unit.result), "dry_run": run.dry_run or None}
        record("findings_polled", logging.WARNING if result.reason or result.unseen else logging.INFO, **facts)
        return result

    def _is_due(self, progress: PollProgress) -> bool:
        recent = progress.ran_at is not None and self._now() - progress.ran_at < self._settings.every - _SLACK
        return not recent
