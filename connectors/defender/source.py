"""Defender for Cloud while the app runs: polls, assignments and their reminders, write-back, requests, the check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from connectors.defender.scopes import subscription_of
from connectors.defender.settings import DefenderSettings
from connectors.microsoft.engine import clients_of
from shared.core.http import Handler, Request, Response
from shared.core.jobs import JobRun
from shared.core.plugins import JobWork, Previewed, SectionCheck, Source
from shared.core.refusal import not_configured
from shared.core.signal import Signal
from shared.engine import Engine
from shared.mapping.allow_list import not_allowed

if TYPE_CHECKING:
    from connectors.defender.assignments.on_demand import AssignmentRequests
    from connectors.defender.assignments.reassign import Reassigner
    from connectors.defender.assignments.reminders import ReminderResult
    from connectors.defender.assignments.rules import CompiledRule
    from connectors.defender.assignments.stage import AssignOwner
    from connectors.defender.assignments.store import AssignmentStore
    from connectors.defender.assignments.withdraw import Withdrawals
    from connectors.defender.assignments.write_back import AssignmentWriteBack
    from connectors.defender.integration_list import ListedIntegration
    from connectors.defender.poll.management_groups import ManagementGroupPaths
    from connectors.defender.poll.polled import PollResult
    from connectors.defender.poll.tenants import DefenderTenants

_OWN = "own"


class DefenderSource(Source):
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def _settings(self) -> DefenderSettings | None:
        return self._engine.config.section("defender", DefenderSettings)

    @cached_property
    def assignments(self) -> AssignmentStore:
        """Who has to fix which recommendation."""
        from connectors.defender.assignments.store import AssignmentStore

        return AssignmentStore(self._engine.state_storage)

    @cached_property
    def group_paths(self) -> ManagementGroupPaths:
        """The management groups above subscriptions."""
        from connectors.defender.poll.management_groups import ManagementGroupPaths

        return ManagementGroupPaths(self._engine.state_storage, now=self._engine.now)

    def owners(self, connection: str) -> frozenset[str]:
        """The fixed owners of the governance rules that are on, where the connection has an integration."""
        settings = self._settings
        if settings is None or connection not in {one.connection for one in settings.integrations}:
            return frozenset()
        named = [one.owner.value or one.owner.otherwise for one in settings.governance if not one.disabled]
        return frozenset(owner for owner in named if owner)

    @cached_property
    def rules(self) -> tuple[CompiledRule, ...]:
        """Governance rules, compiled."""
        from connectors.defender.assignments.rules import compile_rules

        settings = self._settings
        return compile_rules(settings.governance if settings is not None else ())

    async def _locate(self, signal: Signal) -> Signal:
        """The signal with the details that say where its subscription is: tenant and management groups."""
        from connectors.defender.poll.management_groups import with_management_groups

        await self.group_paths.refresh()
        return with_management_groups(signal, self.group_paths.of(subscription_of(signal)))

    @cached_property
    def clouds(self) -> DefenderTenants:
        """Clients of Defender for Cloud outside the poll."""
        from connectors.defender.poll.tenants import DefenderTenants

        return DefenderTenants(
            self._settings or DefenderSettings(),
            clients_of(self._engine),
            whose=lambda subscription: self.group_paths.of(subscription).tenant,
        )

    @cached_property
    def governance(self) -> AssignmentWriteBack:
        """Writes governance assignments."""
        from connectors.defender.assignments.write_back import AssignmentWriteBack

        settings = self._settings
        return AssignmentWriteBack(
            self.assignments,
            self._engine.links,
            lambda assessment: self.clouds.governance(assessment),
            lambda link: self._engine.state_name(link.connection, link.kind, link.state),
            write_back=settings is not None and settings.write_back,
        )

    @cached_property
    def _reassigner(self) -> Reassigner:
        from connectors.defender.assignments.reassign import Reassigner

        return Reassigner(
            self.assignments,
            self._engine.links,
            self._engine.system,
            lambda connection: self._engine.mapper.field_map(connection),
            self.governance.push_assignment,
            recheck_after=self._engine.config.delivery.recheck_after,
            now=self._engine.now,
        )

    def write_back(self) -> AssignmentWriteBack | None:
        """See ``Source``."""
        settings = self._settings
        return self.governance if settings is not None and settings.write_back else None

    def push_handlers(self) -> Mapping[str, Callable[[str], Awaitable[str]]]:
        """See ``Source``: assignments, and tickets that were reassigned."""
        if self._settings is None:
            return {}
        from connectors.defender.assignments.reassign import KIND as REASSIGNED
        from connectors.defender.assignments.write_back import KIND as ASSIGNMENT

        return {ASSIGNMENT: self.governance.push_assignment, REASSIGNED: self._reassigner.again}

    def stages(self) -> Sequence[AssignOwner]:
        """See ``Source``: the stage that assigns recommendations."""
        settings = self._settings
        if settings is None:
            return ()
        from connectors.defender.assignments.stage import AssignOwner

        owner = AssignOwner(
            self._engine.mapper,
            self.rules,
            self.assignments,
            self._engine.links,
            self._engine.queue,
            now=self._engine.now,
            locate=self._locate,
            unassigned_take_routes=settings.poll is not None and settings.poll.unassigned == "routes",
            write_back=settings.write_back,
        )
        return (owner,)

    def preview(self, signal: Signal) -> Previewed:
        """See ``Source``: a governance rule may assign a recommendation."""
        from connectors.defender.assignments.rules import preview_assignment

        return preview_assignment(signal, self._engine.mapper, self.rules, self._engine.now())

    async def poll_findings(self, run: JobRun | None = None) -> list[PollResult]:
        """Read findings where that is due; nothing where the configuration does not ask for it.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self._settings
        if settings is None or settings.poll is None:
            return []
        from connectors.defender.poll.poll import FindingsPoll
        from connectors.defender.poll.tenants import DefenderTenants

        engine = self._engine
        clouds, rules = DefenderTenants(settings, clients_of(engine)), self._deciding(settings)
        poll = FindingsPoll(settings.poll, clouds, engine.state_storage, engine.queue, now=engine.now, rules=rules)
        return await poll.run(run)

    def _deciding(self, settings: DefenderSettings) -> str:
        """The part of the configuration that decides what becomes of a finding, as text that can be compared."""
        poll = settings.poll
        text = settings.model_dump_json(include={"integrations", "governance", "poll"})
        if poll is not None and poll.unassigned == "nothing" and poll.kinds == ("recommendation",):
            return text  # nothing is handled by the routes
        return text + self._engine.config.model_dump_json(include={"routes", "default"})

    async def remind(self, run: JobRun | None = None) -> ReminderResult:
        """Mark what is overdue, and remind its tickets; nothing where nothing is assigned.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        from connectors.defender.assignments.reminders import ReminderResult, Reminders

        settings = self._settings
        if settings is None:
            return ReminderResult()
        rules = {rule.name: rule for rule in settings.governance}
        engine = self._engine
        return await Reminders(rules, self.assignments, engine.links, engine.system, now=engine.now).run(run)

    def jobs(self) -> Mapping[str, JobWork]:
        """See ``Source``."""
        return {"poll_findings": self.poll_findings, "remind": self.remind}

    def _assignment_requests(self) -> AssignmentRequests:
        """Fulfils assignments on demand. Raises RequestRefused where the configuration has no integration."""
        settings, engine = self._settings, self._engine
        if settings is None or not settings.integrations:
            raise not_configured("bridge.yaml has no defender.integrations: there is nowhere to assign to.")
        from connectors.defender.assignments.checks import AssignmentChecks
        from connectors.defender.assignments.on_demand import AssignmentRequests

        checks = AssignmentChecks(
            settings,
            engine.mapper,
            lambda resource: self.clouds.assessments(resource),
            self._locate,
            engine.system,
            self.assignments,
            engine.links,
        )
        return AssignmentRequests(
            checks,
            self.assignments,
            engine.links,
            engine.queue,
            engine.worker.handle_now,
            self._reassigner,
            self.governance.push_assignment,
            lease=engine.mapper.delivery.lease,
            now=engine.now,
        )

    def _withdrawals(self) -> Withdrawals:
        """Withdraws assignments. Raises RequestRefused where the configuration has no section ``defender``."""
        settings, engine = self._settings, self._engine
        mapper = engine.mapper
        if settings is None:
            fix = "Fix: keep 'defender: {integrations: []}' as long as there are assignments"
            raise not_configured(f"bridge.yaml has no section 'defender'. {fix}.")
        from connectors.defender.assignments.chosen import AssignmentChooser
        from connectors.defender.assignments.withdraw import Withdrawals

        return Withdrawals(
            AssignmentChooser({one.name for one in settings.integrations}, self.assignments),
            self.assignments,
            engine.links,
            engine.queue,
            engine.worker.handle_now,
            self.governance.push_assignment,
            lambda signal: not_allowed(signal, mapper.accept_only),
            lease=mapper.delivery.lease,
            now=engine.now,
        )

    async def _integrations(self) -> list[ListedIntegration]:
        from connectors.defender.integration_list import integrations

        settings = self._settings
        sections = settings.integrations if settings is not None else ()
        engine = self._engine
        return await integrations(sections, self.assignments.all(), await engine.health.read(), engine.now())

    async def assign(self, request: Request) -> Response:
        """``POST /api/assignments``; see ``endpoints.assign``."""
        from connectors.defender.endpoints import assign

        return await assign(request, self._assignment_requests)

    async def withdraw(self, request: Request) -> Response:
        """``POST /api/assignments/withdraw``; see ``endpoints.withdraw``."""
        from connectors.defender.endpoints import withdraw

        return await withdraw(request, self._withdrawals)

    async def integrations(self, request: Request) -> Response:
        """``GET /api/integrations``; see ``endpoints.list_integrations``."""
        from connectors.defender.endpoints import list_integrations

        return await list_integrations(request, self._integrations, self._engine.health_report)

    def handlers(self) -> Mapping[str, Handler]:
        """See ``Source``."""
        return {
            "assignments": self.assign,
            "withdraw_assignments": self.withdraw,
            "integrations": self.integrations,
        }

    async def check(self, most: timedelta) -> list[SectionCheck]:
        """See ``Source``."""
        settings, engine = self._settings, self._engine
        if settings is None:
            return []
        from connectors.defender.check import FindingChecks
        from connectors.defender.poll.tenants import tenant_of
        from connectors.microsoft.check_run import CheckTask, run_checks

        findings = FindingChecks(settings, clients_of(engine))
        tasks: list[CheckTask] = []
        for place, entry in enumerate(settings.tenants):
            same = sum(tenant_of(other) == tenant_of(entry) for other in settings.tenants[:place])
            subject = f"{tenant_of(entry) or _OWN}{f' ({same + 1})' if same else ''}"
            tasks.append(CheckTask("defender", subject, partial(findings.tenant, entry)))
        return await run_checks(tasks, most)
