"""What timers do."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from app.road import Road
from shared.platform.log import record

if TYPE_CHECKING:
    from connectors.azure_monitor.reconcile.comparison import ReconcileResult
    from connectors.defender.assignments.reminders import ReminderResult
    from connectors.defender.poll.polled import PollResult
    from connectors.defender.settings import DefenderSettings
    from connectors.secure_score.poll.poll import ScorePolled
    from shared.resync import FullCheckResult, ResyncResult, TicketSync


class Timers(Road):
    """One method for each timer. Nothing happens where the configuration does not ask for it, or it is not due."""

    async def tidy(self) -> None:
        """Forget old rows of the log of actions, as many as one run may. Raises StorageUnavailable."""
        from shared.operations.audit_log import KEPT_FOR, MOST_PER_RUN

        forgotten = await self.actions.forget_before(self._now() - KEPT_FOR, MOST_PER_RUN)
        record("tidied", actions=forgotten)

    async def collect_planned_work(self) -> None:
        """Ask ticket systems for the changes under way, where a maintenance section follows them.

        Raises ConfigurationError and StorageUnavailable.
        """
        await self._planned.collect(self.system)

    async def reconcile(self, *, dry_run: bool = False) -> list[ReconcileResult]:
        """Compare Azure's list of alerts with what is known; nothing where the configuration does not ask for it.

        Args:
            dry_run: put nothing on the queue and remember nothing.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.config.reconcile
        if settings is None:
            return []
        from contextlib import aclosing

        from connectors.azure_monitor.reconcile.reconciler import Reconciler, rules_of
        from connectors.azure_monitor.reconcile.state import ReconcileState
        from connectors.azure_monitor.subscriptions import Subscriptions

        async with aclosing(Subscriptions(settings, self.secrets, self._reach)) as subscriptions:
            compared = Reconciler(
                settings,
                subscriptions.open,
                self.links,
                ReconcileState(self.storage),
                self.queue,
                rules_of(self.mapper),
                now=self._now,
            )
            return await compared.run(dry_run=dry_run)

    @cached_property
    def _follower(self) -> TicketSync:
        from shared.resync import TicketSync

        return TicketSync(self.links, self._backs, self.queue, now=self._now)

    async def resync(self) -> list[ResyncResult]:
        """Bring links after what people do with their tickets; nothing where the configuration does not want it.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.config.resync
        if not settings.enabled:
            return []
        from shared.resync import Resyncer, ResyncProgress

        progress = ResyncProgress(self.storage)
        compared = Resyncer(settings, self.config.connections, self.system, self._follower, progress, now=self._now)
        return await compared.run()

    async def full_check(self) -> list[FullCheckResult]:
        """Look whether the tickets of all links are still there, and whether sources know what they have to know.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.config.resync
        if not settings.enabled:
            return []
        from shared.resync import FullCheck, ResyncProgress

        progress = ResyncProgress(self.storage)
        check = FullCheck(
            settings, self.config.connections, self.system, self.links, self._follower, progress, now=self._now
        )
        return await check.run()

    async def poll_findings(self) -> list[PollResult]:
        """Read findings of Defender for Cloud where that is due; nothing where the configuration does not ask for it.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.config.defender
        if settings is None or settings.poll is None:
            return []
        from contextlib import aclosing

        from connectors.defender.poll.poll import FindingsPoll
        from connectors.defender.poll.tenants import DefenderTenants

        async with aclosing(DefenderTenants(settings, self.secrets, self._reach)) as clouds:
            poll = FindingsPoll(
                settings.poll, clouds, self.storage, self.queue, now=self._now, rules=self._decides_findings(settings)
            )
            return await poll.run()

    def _decides_findings(self, settings: DefenderSettings) -> str:
        """What of the configuration decides what becomes of a finding, as text that can be compared."""
        poll = settings.poll
        decides = settings.model_dump_json(include={"integrations", "governance", "poll"})
        if poll is not None and poll.unassigned == "nothing" and poll.kinds == ("recommendation",):
            return decides  # nothing takes the routes
        return decides + self.config.model_dump_json(include={"routes", "default"})

    async def poll_scores(self, *, dry_run: bool = False) -> list[ScorePolled]:
        """Read the secure score of each tenant that is due; nothing where the configuration does not ask for it.

        Args:
            dry_run: every tenant is due; put nothing on the queue and remember nothing.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.config.secure_score
        if settings is None:
            return []
        from connectors.secure_score.poll.poll import ScorePoll
        from connectors.secure_score.poll.states import ScoreStates

        states = ScoreStates(self.storage)
        poll = ScorePoll(settings, self._score_tenants, self.links, states, self.queue, now=self._now)
        return await poll.run(dry_run=dry_run)

    async def remind(self) -> ReminderResult:
        """Mark what is overdue, and remind its tickets; nothing where nothing is assigned.

        Raises ConfigurationError and StorageUnavailable.
        """
        from connectors.defender.assignments.reminders import ReminderResult, Reminders

        defender = self.config.defender
        if defender is None:
            return ReminderResult()
        rules = {rule.name: rule for rule in defender.governance}
        return await Reminders(rules, self.assignments, self.links, self.system, now=self._now).run()
