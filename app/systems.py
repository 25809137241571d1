"""The ticket systems of all connections, each opened when it is first used, with its call budget."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from shared.core.connection_services import ConnectionServices
from shared.core.errors import ConfigurationError, ConnectionDisabled, Refused

if TYPE_CHECKING:
    from app.container import Container
    from shared.budget import BudgetGate
    from shared.config.connection import ConnectionSettings
    from shared.core.link import Link
    from shared.core.log_in import LogIn
    from shared.core.plugins import TicketSystemPlugin
    from shared.core.ticket_system import TicketKind, TicketSystem
    from shared.core.tokens import TokenStore


class OpenedSystems:
    """Opens and keeps them.

    Args:
        services: of this process.
        built: is told of everything that was opened, so that it is closed in the end.
    """

    def __init__(self, services: Container, built: Callable[[object], None]) -> None:
        self._services = services
        self._built = built
        self._systems: dict[tuple[str, bool], TicketSystem] = {}
        self._budgets: dict[str, BudgetGate] = {}

    @property
    def enabled(self) -> list[str]:
        """Names of the connections that are not disabled. Raises ConfigurationError."""
        return [name for name, settings in self._services.config.connections.items() if not settings.disabled]

    def budget(self, connection: str) -> BudgetGate:
        """The call budget of a connection. Raises as :meth:`system`."""
        found = self._budgets.get(connection)
        if found is None:
            from shared.budget import BudgetGate, QuotaRules, TableBudgets

            settings = self._connection(connection)
            rules = QuotaRules(
                calls=settings.budget.calls,
                per=settings.budget.per.total_seconds(),
                reserve=settings.budget.reserve,
                in_flight=settings.max_in_flight,
                longest_call=settings.total_timeout.total_seconds(),
            )
            budgets = TableBudgets(self._services.storage)
            found = self._budgets[connection] = BudgetGate(connection, rules, budgets, now=self._services.now)
            self._built(found)
        return found

    def system(self, connection: str, *, budgeted: bool = True) -> TicketSystem:
        """The ticket system of a connection. Raises ConfigurationError, Refused for one that is not configured, and
        ConnectionDisabled.

        Args:
            connection: its name.
            budgeted: its calls keep to the shared budget. Without, storage is not needed: for checks by people.
        """
        if self._services.is_dry_run and budgeted:
            from shared.delivery.dry_run import Rehearsal, RehearsedSystem

            return RehearsedSystem(self.real_system(connection), Rehearsal())
        return self.real_system(connection, budgeted=budgeted)

    def real_system(self, connection: str, *, budgeted: bool = True) -> TicketSystem:
        """The same, in a dry run too: for what only reads. Raises as :meth:`system`."""
        found = self._systems.get((connection, budgeted))
        if found is None:
            from shared.operations.findings import ConnectionFindings

            settings = self._connection(connection)
            if settings.disabled and budgeted:
                raise ConnectionDisabled(
                    "the connection is disabled, so its signals wait",
                    connection=connection,
                    advice="Take 'disabled: true' out of bridge.yaml to deliver them",
                )
            gate = self.budget(connection) if budgeted else None
            services = self._services
            findings = ConnectionFindings(services.storage, connection)
            given = ConnectionServices(services.secrets, gate, findings, self._tokens)
            found = self._plugin(connection).open(connection, settings, given)
            self._systems[connection, budgeted] = found
            self._built(found)
        return found

    async def log_in(self, connection: str) -> LogIn:
        """How a connection logs in, whether it is disabled or not. Raises as :meth:`system`, and StorageUnavailable."""
        return await self.real_system(connection, budgeted=False).log_in()

    @cached_property
    def _tokens(self) -> TokenStore:
        """Where workers share the tokens of connections."""
        from app.machine import machine_of
        from shared.operations.job_lease import JobLeases
        from shared.operations.token_store import TERM, TableTokens

        services = self._services
        leases = JobLeases(services.storage, term=TERM)
        return TableTokens(services.storage, leases, machine_of(services.settings), services.now)

    def _connection(self, name: str) -> ConnectionSettings:
        settings = self._services.config.connections.get(name)
        if settings is None:
            raise Refused(
                f"there is no connection '{name}' in the configuration any more",
                advice="Add it again to bridge.yaml and replay, or settle its tickets by hand",
            )
        return settings

    def _plugin(self, connection: str) -> TicketSystemPlugin:
        return self._services.registry.ticket_systems[self._connection(connection).type]

    def state_name(self, connection: str, kind: TicketKind, state: str) -> str:
        """What people call a state; the state itself where the connection is no longer configured."""
        try:
            return self.system(connection).state_name(kind, state)
        except (ConfigurationError, Refused, ConnectionDisabled):
            return state

    def is_working(self, link: Link) -> bool:
        """Whether the ticket of a link is in a state in which people work on it."""
        try:
            states = self._plugin(link.connection).working_states
        except (ConfigurationError, Refused):
            return False
        return link.state in states.get(link.kind, ())
