"""Compares Azure's own list of alerts with what the bridge knows, and puts on the queue what is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from connectors.azure_monitor.reconcile.comparison import AlertList, Comparison, ReconcileResult, ReconcileRules
from connectors.azure_monitor.reconcile.state import ReconcileState
from connectors.azure_monitor.settings import ReconcileSettings
from shared.core.jobs import JobRun
from shared.core.messages import QueueSender
from shared.core.signal import Signal
from shared.delivery.links import LinkStore
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import Mapper
from shared.platform.log import record

#: Alerts that are fetched one by one in one run and subscription.
MOST_FETCHED = 1_000

#: All subscriptions together; the app's functions may take ten minutes (host.json).
MOST_TIME = timedelta(minutes=7)

#: The timer is never exactly on time.
_SLACK = timedelta(minutes=2)


def rules_of(mapper: Mapper) -> ReconcileRules:
    """The rules of a configuration."""

    def counted(signal: Signal) -> bool:
        route = mapper.route(signal)
        grouped = route is not None and (route.shares_tickets or route.split is not None)
        return grouped or any(throttle.matches(signal) for throttle in mapper.throttles)

    return ReconcileRules(
        routed=lambda signal: mapper.may_route(signal) and not_allowed(signal, mapper.accept_only) is None,
        counted=counted,
    )


class Reconciler:
    """Compares the subscriptions of a configuration."""

    def __init__(
        self,
        settings: ReconcileSettings,
        source: Callable[[str], AlertList],
        links: LinkStore,
        ledger: ReconcileState,
        queue: QueueSender,
        rules: ReconcileRules,
        *,
        now: Callable[[], datetime],
        most: int = MOST_FETCHED,
    ) -> None:
        """
        Args:
            settings: of the configuration.
            source: the list of a subscription, opened anew; it is closed here.
            links, ledger: what is known.
            queue: takes what is missing.
            rules: of the configuration.
            now: the clock.
            most: alerts of one subscription that one run may fetch.
        """
        self._most = most
        self._settings = settings
        self._source = source
        self._links = links
        self._ledger = ledger
        self._queue = queue
        self._rules = rules
        self._now = now

    async def run(self, run: JobRun | None = None) -> list[ReconcileResult]:
        """Compare every subscription that is due; what goes wrong with one does not stop the others.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises StorageUnavailable when storage fails: then nothing is lost, the next run begins where this one did.
        """
        ids = [subscription.id for subscription in self._settings.subscriptions]
        run, ends = run or JobRun(), self._now() + MOST_TIME
        results = []
        for place, subscription in enumerate(ids):
            share = (ends - self._now()) / (len(ids) - place)  # whoever comes late has as much time as the first
            one = await self._one(subscription, self._now() + share, run)
            if one is not None:
                results.append(one)
        return results

    async def _one(self, subscription: str, ends: datetime, run: JobRun) -> ReconcileResult | None:
        settled, progress = await self._ledger.load(subscription)
        now = self._now()
        recent = progress.ran_at is not None and now - progress.ran_at < self._settings.every - _SLACK
        if recent and progress.position is None and not run.always:
            return None
        alerts = self._source(subscription)
        comparison = Comparison(subscription, alerts, settled, self._settings, self._rules, now, ends, run, self._most)
        run.follow(subscription, comparison.result)
        try:
            await comparison.compare(progress.position, self._links, self._ledger, self._queue, self._now)
        finally:
            await alerts.aclose()
        result = comparison.result
        record(
            "alerts_reconciled",
            logging.WARNING if result.reason else logging.INFO,
            subscription=subscription,
            alerts=result.alerts,
            missed=result.missed,
            resolved=result.resolved,
            left=result.left,
            unreadable=result.unreadable,
            calls=result.calls,
            finished=result.finished,
            reason=result.reason,
            dry_run=run.dry_run or None,
        )
        return result
