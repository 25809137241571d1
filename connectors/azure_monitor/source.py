"""Azure Monitor while the app runs: the comparison with Azure's list, states of alerts, Resource Health, the check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from connectors.azure_monitor.settings import (
    WORKING,
    AlertStateSettings,
    LogRowsSettings,
    ReconcileSettings,
    ResourceTagsSettings,
)
from connectors.microsoft.engine import clients_of
from shared.core.jobs import JobRun
from shared.core.link import Link
from shared.core.plugins import JobWork, Previewed, SectionCheck, Source
from shared.core.signal import Signal
from shared.engine import Engine

if TYPE_CHECKING:
    from connectors.azure_monitor.log_rows.reader import LogRowReader
    from connectors.azure_monitor.log_rows.shown import ShownRows
    from connectors.azure_monitor.reconcile.comparison import ReconcileResult
    from connectors.azure_monitor.resource_health import ResourceHealth
    from connectors.azure_monitor.resource_tags.reader import ResourceTagReader
    from connectors.azure_monitor.subscriptions import AlertSubscriptions
    from connectors.azure_monitor.write_back import AlertWriteBack
    from shared.core.clouds import CloudName

#: Subject of a check that is about the app's own identity.
_OWN = "own"


class AzureMonitorSource(Source):
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def _reconcile(self) -> ReconcileSettings | None:
        return self._engine.config.section("reconcile", ReconcileSettings)

    @property
    def _alert_states(self) -> AlertStateSettings | None:
        return self._engine.config.section("resync.alerts", AlertStateSettings)

    @property
    def _log_rows(self) -> LogRowsSettings | None:
        return self._engine.config.section("log_rows", LogRowsSettings)

    @cached_property
    def _shown(self) -> ShownRows | None:
        settings = self._log_rows
        if settings is None:
            return None
        from connectors.azure_monitor.log_rows.shown import ShownRows

        return ShownRows(settings)

    def stages(self) -> Sequence[ShownRows]:
        """See ``Source``."""
        return () if self._shown is None else (self._shown,)

    def row_reader(self) -> LogRowReader | None:
        """See ``Source``."""
        settings, shown = self._log_rows, self._shown
        if settings is None or shown is None or not settings.query:
            return None
        from connectors.azure_monitor.log_rows.reader import LogRowReader

        engine, cloud, who = self._engine, settings.cloud, settings.sign_in
        return LogRowReader(
            settings,
            shown.shown,
            lambda: clients_of(engine).log_analytics(cloud, who),
            lambda: clients_of(engine).resource_manager(cloud, who),
            engine.now,
        )

    @property
    def _tags(self) -> ResourceTagsSettings:
        return self._engine.config.section("resource_tags", ResourceTagsSettings) or ResourceTagsSettings()

    @property
    def _cloud_of_tags(self) -> CloudName:
        listed = self._reconcile
        return self._tags.cloud or (listed.cloud if listed is not None else "public")

    @cached_property
    def _tag_reader(self) -> ResourceTagReader:
        from connectors.azure_monitor.resource_tags.check import FIXES
        from connectors.azure_monitor.resource_tags.reader import ResourceTagReader
        from connectors.azure_monitor.resource_tags.store import TagStore
        from connectors.azure_monitor.subscriptions import SubscriptionSignIns
        from connectors.microsoft.resource_graph import ResourceGraph

        engine, cloud = self._engine, self._cloud_of_tags
        return ResourceTagReader(
            self._tags,
            TagStore(engine.state_storage),
            lambda who: ResourceGraph(clients_of(engine).resource_manager(cloud, who, FIXES)),
            SubscriptionSignIns(self._reconcile).of,
            engine.now,
        )

    def tag_reader(self) -> ResourceTagReader | None:
        """See ``Source``."""
        return self._tag_reader if self._engine.mapper.tags.used else None

    def preview(self, signal: Signal) -> Previewed:
        """See ``Source``: rows as tickets show them."""
        return Previewed(signal if self._shown is None else self._shown.shown(signal))

    @property
    def _cloud(self) -> CloudName:
        """The cloud whose alerts are acknowledged and closed."""
        states, listed = self._alert_states, self._reconcile
        return (states.cloud if states is not None else None) or (listed.cloud if listed is not None else "public")

    async def reconcile(self, run: JobRun | None = None) -> list[ReconcileResult]:
        """Compare Azure's list of alerts with what is known; nothing where the configuration does not ask for it.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self._reconcile
        if settings is None:
            return []
        from connectors.azure_monitor.reconcile.reconciler import Reconciler, rules_of
        from connectors.azure_monitor.reconcile.state import ReconcileState
        from connectors.azure_monitor.subscriptions import AlertSubscriptions

        engine = self._engine
        reconciler = Reconciler(
            settings,
            AlertSubscriptions(clients_of(engine), settings.cloud, settings).open,
            engine.links,
            ReconcileState(engine.state_storage),
            engine.queue,
            rules_of(engine.mapper),
            now=engine.now,
        )
        return await reconciler.run(run)

    def jobs(self) -> Mapping[str, JobWork]:
        """See ``Source``."""
        return {"reconcile": self.reconcile}

    @cached_property
    def _subscriptions(self) -> AlertSubscriptions:
        from connectors.azure_monitor.subscriptions import AlertSubscriptions
        from connectors.azure_monitor.write_back import FIXES

        return AlertSubscriptions(clients_of(self._engine), self._cloud, self._reconcile, FIXES)

    def _names_of_state(self, link: Link) -> tuple[str, ...]:
        """Everything that the state of a link's ticket may be called in ``resync.alerts``."""
        name = self._engine.state_name(link.connection, link.kind, link.state)
        working = WORKING if self._engine.is_working(link) else ""
        return tuple(filter(None, (name, link.state, working)))

    def write_back(self) -> AlertWriteBack | None:
        """See ``Source``."""
        states = self._alert_states
        if states is None:
            return None
        from connectors.azure_monitor.write_back import AlertWriteBack

        return AlertWriteBack(states, self._names_of_state, lambda one: self._subscriptions.open(one))

    @cached_property
    def _health(self) -> ResourceHealth:
        from connectors.azure_monitor.resource_health import ResourceHealth

        reconcile = self._reconcile
        cloud: CloudName = "public" if reconcile is None else reconcile.cloud
        return ResourceHealth(clients_of(self._engine), cloud, reconcile)

    async def is_healthy(self, signal: Signal) -> bool | None:
        """See ``Source``: Resource Health is asked."""
        return await self._health.is_healthy(signal)

    async def check(self, most: timedelta) -> list[SectionCheck]:
        """See ``Source``."""
        from connectors.azure_monitor.check import AlertChecks
        from connectors.microsoft.check_run import CheckTask, run_checks

        engine, listed, states = self._engine, self._reconcile, self._alert_states
        tasks: list[CheckTask] = []
        if listed is not None:
            alerts = AlertChecks(clients_of(engine), listed.cloud, engine.now)
            tasks += [
                CheckTask("reconcile", one.id, partial(alerts.listed, one.id, one.sign_in))
                for one in listed.subscriptions
            ]
        if states is not None and engine.config.resync.enabled:
            alerts = AlertChecks(clients_of(engine), self._cloud, engine.now)
            if listed is None:
                tasks.append(CheckTask("resync.alerts", _OWN, alerts.told_unlisted))
            tasks += [
                CheckTask("resync.alerts", one.id, partial(alerts.told, one.id, one.sign_in))
                for one in (listed.subscriptions if listed is not None else ())
            ]
        rows = self._log_rows
        if rows is not None and rows.query:
            from connectors.azure_monitor.log_rows.check import LogRowsCheck

            tasks.append(CheckTask("log_rows", rows.cloud, LogRowsCheck(clients_of(engine), rows, engine.now).run))
        if engine.mapper.tags.used:
            from connectors.azure_monitor.resource_tags.check import tag_checks

            tasks += tag_checks(clients_of(engine), self._cloud_of_tags, listed)
        return await run_checks(tasks, most)
