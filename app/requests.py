"""What people and their tools ask for, and the end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from app.registry import REGISTRY
from app.timers import Timers
from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.version import VERSION

if TYPE_CHECKING:
    from connectors.secure_score.requests import ScoreRequests
    from shared.delivery.parked import ParkedKind
    from shared.operations.ticket_list import TicketList


class Services(Timers):
    """All services of one process. See :class:`Foundation` for the arguments."""

    def preview(self, body: dict[str, Any] | list[Any]) -> list[dict[str, Any]]:
        """What a body would become. Raises ConfigurationError."""
        from shared.operations.preview import preview

        return preview(body, self.mapper, self._now(), REGISTRY.schemas, REGISTRY.foreign, self._rules)

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Can signals be taken in, and the health report: version, configuration, queue depth, connections.

        A wrong configuration leaves the app able to take signals in: they wait on the queue for the right one.
        """
        report: dict[str, Any] = {"status": "ok", "version": VERSION, "time": self._now().isoformat()}
        names: list[str] = []
        try:
            names = sorted(self.config.connections)
            report["configuration"] = {"valid": True}
        except ConfigurationError as error:
            # The problems quote the file; they are for the log and for bridge.py validate, not for strangers.
            report["configuration"] = {"valid": False, "problems": len(error.problems)}
        try:
            report["queue_depth"] = await self.queue.depth()
            pulses = await self.health.read()
        except (StorageUnavailable, ConfigurationError) as error:
            report |= {"queue_depth": None, "storage": error.code}
            pulses = {}
        unknown = {"last_success": None, "last_error": None}
        report["connections"] = {name: pulses.get(name, unknown) for name in names}
        stored = "storage" not in report
        report["status"] = "ok" if stored and report["configuration"]["valid"] else "degraded"
        return stored, report

    async def kept_request(
        self, kind: ParkedKind, method: str, item: str, query: Mapping[str, str], body: bytes, content_type: str | None
    ) -> dict[str, Any]:
        """Answer a request for dead letters or quarantine: ``item`` is an id, an action, or empty. Raises Problem."""
        from shared.web.parked_requests import act, read

        if method == "GET":
            return await read(self.kept_items, kind, item, query)
        return await act(self.kept_items, kind, item, body, content_type)

    async def assign(self, body: object) -> tuple[int, dict[str, Any]]:
        """Assign recommendations on demand: status and answer, see ``connectors.defender.assignments.on_demand``.

        Args:
            body: decoded JSON.

        Raises Problem, ConfigurationError and StorageUnavailable.
        """
        from shared.core.problem import Problem

        defender, mapper = self.config.defender, self.mapper
        if defender is None or not defender.integrations:
            raise Problem(
                404, "Not configured", "bridge.yaml has no defender.integrations: there is nowhere to assign to."
            )
        from connectors.defender.assignments.checks import AssignmentChecks
        from connectors.defender.assignments.on_demand import AssignmentRequests

        checks = AssignmentChecks(
            defender,
            mapper,
            lambda resource: self._clouds.assessments(resource),
            self._locate,
            self.system,
            self.assignments,
            self.links,
        )
        desk = AssignmentRequests(
            checks,
            self.assignments,
            self.links,
            self.queue,
            self.worker.handle_now,
            self._reassigned,
            self._governance_back.tell_assignment,
            lease=mapper.delivery.lease,
            now=self._now,
        )
        return await desk.assign(body)

    async def withdraw(self, body: object) -> tuple[int, dict[str, Any]]:
        """Take assignments back: status and answer, see ``connectors.defender.assignments.withdraw``.

        Args:
            body: decoded JSON.

        Raises Problem, ConfigurationError and StorageUnavailable.
        """
        from shared.core.problem import Problem

        defender, mapper = self.config.defender, self.mapper
        if defender is None:
            detail = "bridge.yaml has no section 'defender'. Fix: keep 'defender: {integrations: []}' while it has any"
            raise Problem(404, "Not configured", f"{detail}.")
        from connectors.defender.assignments.chosen import AssignmentChooser
        from connectors.defender.assignments.withdraw import Withdrawals
        from shared.mapping.allow_list import not_allowed

        desk = Withdrawals(
            AssignmentChooser({one.name for one in defender.integrations}, self.assignments),
            self.assignments,
            self.links,
            self.queue,
            self.worker.handle_now,
            self._governance_back.tell_assignment,
            lambda signal: not_allowed(signal, mapper.accept_only),
            lease=mapper.delivery.lease,
            now=self._now,
        )
        return await desk.withdraw(body)

    async def integrations(self) -> dict[str, Any]:
        """The integrations of Defender for Cloud and how they are doing, see ``connectors.defender.integration_list``.

        Raises ConfigurationError and StorageUnavailable.
        """
        from connectors.defender.integration_list import integrations

        defender = self.config.defender
        sections = defender.integrations if defender is not None else ()
        return await integrations(sections, self.assignments.all(), await self.health.read(), self._now())

    @cached_property
    def _ticket_list(self) -> TicketList:
        from shared.operations.ticket_list import TicketList

        return TicketList(self.links, self._state_name, now=self._now)

    async def tickets(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request for the list of tickets: see ``TicketList.answer``. Raises Problem."""
        return await self._ticket_list.answer(query)

    @cached_property
    def _score_requests(self) -> ScoreRequests:
        from connectors.secure_score.requests import ScoreRequests

        return ScoreRequests(
            self._secure_score,
            self._score_tenants,
            self.mapper,
            self.system,
            self.links,
            self.worker.handle_now,
            now=self._now,
        )

    async def secure_score_ticket(self, control_id: str, body: object) -> tuple[int, dict[str, Any]]:
        """Make the ticket of a control now: status and answer, see ``ScoreRequests.ticket``.

        Raises Problem, ConfigurationError and StorageUnavailable.
        """
        return await self._score_requests.ticket(control_id, body)

    async def secure_score_preview(self, control_id: str, body: object) -> dict[str, Any]:
        """What that ticket would be, without side effect, see ``ScoreRequests.preview``. Raises as that one."""
        return await self._score_requests.preview(control_id, body)

    async def aclose(self) -> None:
        """Close everything that was built."""
        for system in self._systems.values():
            await system.aclose()
        for budget in self._budgets.values():
            await budget.aclose()
        for name in ("_wellbeing", "_alert_subscriptions", "_clouds", "_score_tenants", "secrets", "storage"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
