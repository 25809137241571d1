"""Builds the queue's worker: the stages of delivery, and who is told how messages end."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from app.sources import is_healthy
from shared.delivery.affected_items import AffectedItemsLister
from shared.delivery.decision.rules import PlannedWorkLookup, no_planned_work
from shared.delivery.deliver import Deliverer
from shared.delivery.event_log import EventLog
from shared.delivery.grouping.grouper import Grouper
from shared.delivery.grouping.store import GroupStore
from shared.delivery.links import LinkStore
from shared.delivery.rows import RowReaders
from shared.delivery.splitting.splitter import Splitter
from shared.delivery.splitting.store import PartStore
from shared.delivery.stages import SplitParts, delivery_stages
from shared.delivery.worker import Configured, Worker
from shared.mapping.allow_list import not_allowed
from shared.platform.log import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.container import Container
    from shared.config.access import AcceptOnly
    from shared.core.outcome import OutcomeListener
    from shared.core.signal import Signal
    from shared.delivery.dry_run import DryRun, GroupsInDryRun
    from shared.platform.storage import Storage


def worker_of(services: Container) -> Worker:
    """The worker. What depends on the configuration is built when the first message comes: until the configuration is
    valid, messages wait."""
    built: list[Configured] = []

    def configured() -> Configured:
        if not built:
            built.append(_configured(services))
            for warning in services.config_warnings:
                record("configuration_warning", logging.WARNING, reason=warning)
        return built[0]

    # Health before the log: when the log says that a signal has ended, health knows it too.
    listeners: list[OutcomeListener] = [services.health, EventLog(), services.audit_log, services.traps]
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
    planned_work = services.planned_work.holds if follows_changes else no_planned_work
    links = services.live_links
    deliverer = Deliverer(mapper, services.system, links, planned_work=planned_work, admit=admit, now=services.now)
    store = GroupStore(services.storage)
    grouper = Grouper(mapper, links, store, services.queue, now=services.now)
    affected = AffectedItemsLister(mapper, services.system, links, store, admit=admit, now=services.now)
    dry_run, groups = _dry_run(services, grouper, planned_work) if mapper.has_dry_runs else (None, grouper)
    reader = RowReaders(
        {name: one for name, source in services.sources.items() if (one := source.row_reader())},
        lambda signal: mapper.route(signal) is not None,
    )
    stages = delivery_stages(
        not_allowed=_allow_list(mapper.accept_only),
        deliverer=deliverer,
        grouper=grouper,
        queue=services.queue,
        auto_close=mapper.ends,
        is_healthy=partial(is_healthy, services.sources),
        now=services.now,
        source_stages=[stage for source in services.sources.values() for stage in source.stages()],
        dry_run=dry_run,
        refresh_planned_work=services.planned_work.refresh if follows_changes else None,
        write_back=services.write_back,
        split=_split(services, reader) if mapper.splits else None,
        reader=reader,
        affected_items=affected,
        tags=services.tags,
    )
    return Configured(stages, deliverer, groups, services.config.delivery, services.write_back, affected)


def _dry_run(services: Container, live: Grouper, planned_work: PlannedWorkLookup) -> tuple[DryRun, GroupsInDryRun]:
    """The stage that rehearses, and who flushes the groups of both."""
    from shared.delivery.dry_run import DryRun, GroupsInDryRun

    store = GroupStore(services.dry_run_storage)
    dry_run = DryRun(
        services.mapper,
        services.opened_systems.real_system,
        services.live_links,
        LinkStore(services.dry_run_storage),
        store,
        services.queue,
        takes=services.mapper.is_dry_run,
        auto_close=services.mapper.ends,
        planned_work=planned_work,
        now=services.now,
    )
    others = None if services.is_dry_run else live
    return dry_run, GroupsInDryRun(dry_run.grouper, store, others, services.queue, services.now)


def _split(services: Container, reader: RowReaders) -> SplitParts:
    """The stage that makes several signals of one, live and in a dry run."""

    def splitter(storage: Storage) -> Splitter:
        return Splitter(services.mapper, PartStore(storage), services.queue, reader)

    return SplitParts(splitter(services.storage), splitter(services.dry_run_storage), services.mapper.is_dry_run)


def _allow_list(rules: AcceptOnly | None) -> Callable[[Signal], str | None] | None:
    """Why a signal may not become a ticket. What groups make of signals that were let in is not asked again; a row is,
    because it may name a resource that its alert does not."""

    def is_new(signal: Signal) -> bool:
        return not signal.via or bool(signal.part_of and signal.resources)

    return None if rules is None else lambda signal: not_allowed(signal, rules) if is_new(signal) else None
