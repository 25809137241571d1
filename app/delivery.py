"""Builds the queue's worker: the stages of the road of a signal, and who listens to how messages end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.delivery.decision.rules import no_planned_work
from shared.delivery.deliver import Deliverer
from shared.delivery.event_log import EventLog
from shared.delivery.grouping.grouper import Grouper
from shared.delivery.grouping.store import GroupStore
from shared.delivery.stages import road
from shared.delivery.worker import Configured, Worker
from shared.mapping.allow_list import not_allowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.container import Container
    from shared.config.access import AcceptOnly
    from shared.core.outcome import OutcomeListener
    from shared.core.signal import Signal


def worker_of(services: Container) -> Worker:
    """The worker. What depends on the configuration is built when the first message comes: until the configuration is
    valid, messages wait."""
    built: list[Configured] = []

    def configured() -> Configured:
        if not built:
            built.append(_configured(services))
        return built[0]

    # Health before the log: when the log says that a signal has ended, health knows it too.
    listeners: list[OutcomeListener] = [services.health, EventLog(), services.audit_log]
    if services.telemetry is not None:
        services.telemetry.hurry()
        listeners.append(services.telemetry)
    return Worker(configured, services.queue, services.parked, listeners, now=services.now)


def _configured(services: Container) -> Configured:
    """Raises ConfigurationError."""
    mapper = services.mapper

    async def admit(connection: str, *, urgent: bool, position: str) -> None:
        await services.budget(connection).admit(urgent=urgent, position=position)

    follows_changes = any(section.changes_of is not None for section in services.config.maintenance)
    deliverer = Deliverer(
        mapper,
        services.system,
        services.links,
        planned_work=services.planned_work.holds if follows_changes else no_planned_work,
        admit=admit,
        now=services.now,
    )
    groups = Grouper(mapper, services.links, GroupStore(services.storage), services.queue, now=services.now)
    stages = road(
        not_allowed=_allow_list(mapper.accept_only),
        deliverer=deliverer,
        grouper=groups,
        queue=services.queue,
        auto_close=mapper.ends,
        is_healthy=services.is_healthy,
        now=services.now,
        source_stages=[stage for source in services.sources.values() for stage in source.stages()],
        refresh_planned_work=services.planned_work.refresh if follows_changes else None,
        write_back=services.write_back,
    )
    return Configured(stages, deliverer, groups, services.config.delivery, services.write_back)


def _allow_list(rules: AcceptOnly | None) -> Callable[[Signal], str | None] | None:
    """Why a signal may not become a ticket. What groups make of signals that were let in is not asked again."""
    return None if rules is None else lambda signal: None if signal.via else not_allowed(signal, rules)
