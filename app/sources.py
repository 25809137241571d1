"""What asks the sources of signals, and what tells them of their tickets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING

from app.foundation import Foundation

if TYPE_CHECKING:
    from app.source_checks import SectionCheck
    from connectors.azure_monitor.write_back import AlertSubscriptions
    from connectors.defender.assignments.back import AssignmentWriteBack
    from connectors.defender.assignments.reassign import Reassigner
    from connectors.defender.assignments.rules import CompiledRule
    from connectors.defender.assignments.store import AssignmentStore
    from connectors.defender.poll.ancestry import ManagementGroupPaths
    from connectors.defender.poll.tenants import DefenderTenants
    from connectors.secure_score.settings import SecureScoreSettings
    from connectors.secure_score.tenants import ScoreTenants
    from shared.core.link import Link
    from shared.core.signal import Signal
    from shared.delivery.write_back import WriteBack, WriteBackTarget


class Sources(Foundation):
    """Defender for Cloud, Secure Score and Azure's alerts, as far as the configuration follows them."""

    @cached_property
    def assignments(self) -> AssignmentStore:
        """Who has to fix which recommendation."""
        from connectors.defender.assignments.store import AssignmentStore

        return AssignmentStore(self.storage)

    @cached_property
    def ancestries(self) -> ManagementGroupPaths:
        """Where subscriptions stand."""
        from connectors.defender.poll.ancestry import ManagementGroupPaths

        return ManagementGroupPaths(self.storage, now=self._now)

    @cached_property
    def _rules(self) -> tuple[CompiledRule, ...]:
        from connectors.defender.assignments.rules import compile_rules

        defender = self.config.defender
        return compile_rules(defender.governance if defender is not None else ())

    async def _locate(self, signal: Signal) -> Signal:
        """The signal with the details that say where its subscription stands."""
        from connectors.defender.poll.ancestry import with_ancestry
        from connectors.defender.scopes import subscription_of

        await self.ancestries.refresh()
        return with_ancestry(signal, self.ancestries.of(subscription_of(signal)))

    async def check_sources(self) -> list[SectionCheck]:
        """Look at what the configuration asks of Microsoft's services; needs no storage, changes nothing.

        Raises ConfigurationError.
        """
        from app.source_checks import check_sources

        return await check_sources(self.config, self.secrets, self._reach, now=self._now)

    @cached_property
    def _clouds(self) -> DefenderTenants:
        """What Defender for Cloud is asked and told with, outside the poll. Only where there is such a section."""
        from connectors.defender.poll.tenants import DefenderTenants
        from connectors.defender.settings import DefenderSettings

        settings = self.config.defender or DefenderSettings()
        return DefenderTenants(
            settings, self.secrets, self._reach, whose=lambda subscription: self.ancestries.of(subscription).tenant
        )

    @cached_property
    def _governance_back(self) -> AssignmentWriteBack:
        from connectors.defender.assignments.back import AssignmentWriteBack

        defender = self.config.defender
        return AssignmentWriteBack(
            self.assignments,
            self.links,
            lambda assessment: self._clouds.governance(assessment),
            lambda link: self._state_name(link.connection, link.kind, link.state),
            write_back=defender is not None and defender.write_back,
        )

    @cached_property
    def _reassigned(self) -> Reassigner:
        from connectors.defender.assignments.reassign import Reassigner

        recheck_after = self.config.delivery.recheck_after
        return Reassigner(
            self.assignments,
            self.links,
            self.system,
            self._governance_back.tell_assignment,
            recheck_after=recheck_after,
            now=self._now,
        )

    @cached_property
    def _alert_subscriptions(self) -> AlertSubscriptions:
        from connectors.azure_monitor.write_back import AlertSubscriptions
        from connectors.microsoft.identities import Identities

        told, listed = self.config.resync.alerts, self.config.reconcile
        cloud = (told.cloud if told is not None else None) or (listed.cloud if listed is not None else "public")
        return AlertSubscriptions(listed, Identities(cloud, self.secrets, self._reach))

    def _called(self, link: Link) -> tuple[str, ...]:
        return tuple(filter(None, (self._state_name(link.connection, link.kind, link.state), link.state)))

    @property
    def _secure_score(self) -> SecureScoreSettings:
        """The configuration's section. Raises Problem 404 where it has none."""
        settings = self.config.secure_score
        if settings is None:
            from shared.core.problem import Problem

            raise Problem(404, "Not configured", "bridge.yaml has no section 'secure_score'; see docs/secure-score.md.")
        return settings

    @cached_property
    def _score_tenants(self) -> ScoreTenants:
        from connectors.secure_score.tenants import ScoreTenants

        return ScoreTenants(self._secure_score, self.secrets, self._reach)

    @cached_property
    def _backs(self) -> WriteBack:
        from shared.delivery.write_back import WriteBack

        return WriteBack(self.links, self._counterparts(), self._others())

    def _others(self) -> dict[str, Callable[[str], Awaitable[str]]]:
        """What is told although it is no link, by the kind of its key."""
        if self.config.defender is None:
            return {}
        from connectors.defender.assignments.back import KIND as ASSIGNMENT
        from connectors.defender.assignments.reassign import KIND as REASSIGNED

        return {ASSIGNMENT: self._governance_back.tell_assignment, REASSIGNED: self._reassigned.again}

    def _counterparts(self) -> dict[str, WriteBackTarget]:
        """Who tells sources of their tickets, by source; only for those that the configuration wants told."""
        found: dict[str, WriteBackTarget] = {}
        if self.config.resync.alerts is not None:
            from connectors.azure_monitor.write_back import AlertWriteBack

            found["azure_monitor"] = AlertWriteBack(self.config.resync.alerts, self._called, self._alert_subscriptions)
        scores = self.config.secure_score
        if scores is not None and scores.write_back:
            from connectors.secure_score.control_states import ControlStateRules
            from connectors.secure_score.write_back import ScoreWriteBack

            telling = ControlStateRules(scores.states, self._state_name)
            found["secure_score"] = ScoreWriteBack(telling, self._score_tenants.open, self._state_name)
        if self.config.defender is not None and self.config.defender.write_back:
            found["defender"] = self._governance_back
        return found
