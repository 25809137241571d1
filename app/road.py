"""The road of a signal: from the webhook to the queue, and from the queue to its ticket."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from app.sources import Sources
from shared.core.errors import ConfigurationError
from shared.platform.log import listen, record

if TYPE_CHECKING:
    from connectors.azure_monitor.resource_health import ResourceHealth
    from shared.core.messages import Envelope
    from shared.delivery.deliver import Deliverer
    from shared.delivery.planned_work import PlannedWorkCache
    from shared.delivery.worker import Configured, Groups, Worker
    from shared.operations.meters import OpenTelemetryMeters
    from shared.web.intake import Accepted
    from shared.web.trust.gate import WebhookGate


class Road(Sources):
    """What takes signals in, and the worker that delivers them."""

    @cached_property
    def _deliverer(self) -> Deliverer:
        from shared.delivery.deliver import Deliverer

        async def admit(connection: str, *, urgent: bool, place: str) -> None:
            await self.budget(connection).admit(urgent=urgent, position=place)

        return Deliverer(self.mapper, self.system, self.links, outages=self._planned.holds, admit=admit, now=self._now)

    @cached_property
    def _planned(self) -> PlannedWorkCache:
        from shared.delivery.planned_work import PlannedWorkCache

        return PlannedWorkCache(self.config.maintenance, self.storage, now=self._now)

    @cached_property
    def _wellbeing(self) -> ResourceHealth:
        from connectors.azure_monitor.resource_health import ResourceHealth

        reconcile = self.config.reconcile
        return ResourceHealth("public" if reconcile is None else reconcile.cloud, self._reach)

    def _governed(self, groups: Groups) -> Groups:
        """The groups, with what assigns recommendations before them."""
        defender = self.config.defender
        if defender is None:
            return groups
        from connectors.defender.assignments.stage import AssignOwner

        return AssignOwner(
            groups,
            self.mapper,
            self._rules,
            self.assignments,
            self.links,
            self.queue,
            now=self._now,
            locate=self._locate,
            unassigned_take_routes=defender.poll is not None and defender.poll.unassigned == "routes",
            write_back=defender.write_back,
        )

    @cached_property
    def _configured(self) -> Configured:
        from shared.delivery.grouping.grouper import Grouper
        from shared.delivery.grouping.store import GroupStore
        from shared.delivery.planned_work import RefreshPlannedWork
        from shared.delivery.worker import Configured
        from shared.mapping.allow_list import not_allowed

        mapper = self.mapper
        groups = Grouper(mapper, self.links, GroupStore(self.storage), self.queue, now=self._now)
        informed = self._governed(RefreshPlannedWork(groups, self._planned))
        return Configured(
            deliverer=self._deliverer,
            groups=informed,
            delivery=self.config.delivery,
            unwanted=lambda signal: None if signal.via else not_allowed(signal, mapper.accept_only),
            ends=mapper.ends,
            well=self._wellbeing.is_well,
            back=self._backs,
        )

    @cached_property
    def worker(self) -> Worker:
        """Handles queue messages."""
        from shared.delivery.worker import Worker

        if self._telemetry is not None:
            self._telemetry.hurry()
        return Worker(lambda: self._configured, self.queue, self.kept, self.health, self.actions, now=self._now)

    async def message(self, envelope: Envelope) -> str:
        """The queue message of an envelope. Only one too large for a message touches storage.

        Raises StorageUnavailable.
        """
        from shared.core.messages import MAX_MESSAGE_BYTES, encode

        text = encode(envelope)
        return text if len(text) <= MAX_MESSAGE_BYTES else await self.queue.checked_in(envelope)

    @cached_property
    def _gate(self) -> WebhookGate | ConfigurationError | None:
        from shared.config.load import load_section
        from shared.web.trust.gate import WebhookGate
        from shared.web.trust.settings import SecureWebhook

        try:
            # By itself: a mistake in a route must not cost an alert.
            settings = load_section(self.config_path, "secure_webhook", SecureWebhook, self._settings)
        except ConfigurationError as error:
            return error
        return None if settings is None else WebhookGate(settings)

    async def admit(self, authorization: str | None) -> None:
        """Let a caller of the secure webhook in by its Authorization header, or not.

        Raises Problem: 401 or 403 for a token that is not accepted, 404 when no secure webhook is configured, 503 when
        keys or configuration are not to be had, so that Azure calls again.
        """
        from shared.core.problem import Problem
        from shared.web.intake import refused_token

        gate = self._gate
        if gate is None:
            raise Problem(
                404, "Not configured", "This bridge has no secure webhook: bridge.yaml has no 'secure_webhook'."
            )
        if isinstance(gate, ConfigurationError):
            record("configuration_invalid", logging.ERROR, problems=gate.problems)
            raise Problem(503, "Configuration invalid", "The app's log says what is wrong.", {"Retry-After": "20"})
        from shared.web.trust.tokens import TokenDenied

        try:
            await gate.admit(authorization)
        except TokenDenied as denied:
            raise refused_token(denied.status) from None

    def count_events(self) -> None:
        """Count what is recorded from now on, for Application Insights; nothing where its setting is empty.

        Imports nothing of OpenTelemetry: that is done later, on a thread of its own.
        """
        connection_string = self._settings.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
        if not connection_string:
            return
        from shared.operations.telemetry import Telemetry

        def start() -> OpenTelemetryMeters:
            from shared.operations.meters import application_insights

            return application_insights(connection_string, self._settings)

        self._telemetry = Telemetry(start)
        listen(self._telemetry.heard)

    def taken_in(self, accepted: Accepted) -> None:
        """Note the beginning of each signal's road; what nobody could read is noted where it ends."""
        from shared.delivery.facts import accepted as note

        for envelope in accepted.envelopes:
            note(envelope)
