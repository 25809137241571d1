"""What decisions about a signal depend on, gathered from the configuration and from planned work. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.core.link import Link
from shared.core.signal import Signal, SignalState
from shared.delivery.decision.actions import Flap, Hold, Policy
from shared.mapping.maintenance import ActiveWindow
from shared.mapping.mapper import CompiledRoute, Mapper

#: The planned work that holds a signal at a moment, None when there is none.
PlannedWorkLookup = Callable[[Signal, datetime], ActiveWindow | None]


def no_outages(_signal: Signal, _now: datetime) -> ActiveWindow | None:
    """No planned work is known."""
    return None


class Policies:
    """Gives the policy for a signal.

    Args:
        mapper: the compiled configuration.
        outages: planned work known from elsewhere.
        now: the clock.
    """

    def __init__(self, mapper: Mapper, outages: PlannedWorkLookup, now: Callable[[], datetime]) -> None:
        self._mapper = mapper
        self._outages = outages
        self._now = now

    def of(self, signal: Signal, route: CompiledRoute | None, link: Link, findable: bool) -> Policy:
        """The policy for a signal that takes ``route``, or the one that made its ticket."""
        delivery = self._mapper.delivery
        route = route or self._mapper.named(link.route)
        if route is None:
            return Policy(reopen_window=delivery.reopen_window, recheck_after=delivery.recheck_after, findable=findable)
        return Policy(
            resolve=route.resolve_action,
            comments=route.comments,
            reopen_window=route.reopen_window,
            recheck_after=delivery.recheck_after,
            findable=findable,
            hold=self._hold(signal, route),
            flap=None if route.flapping is None else Flap(route.flapping.changes, route.flapping.within),
        )

    def _hold(self, signal: Signal, route: CompiledRoute) -> Hold | None:
        if signal.state is SignalState.RESOLVED:
            return None
        now = self._now()
        windows = (self._mapper.maintenance(signal, now), self._outages(signal, now))
        on = max((w for w in windows if w is not None), key=lambda w: w.until, default=None)
        # A group has waited for its members to last or repeat before it spoke.
        wanted = None if signal.via else route.only_after
        if on is None and wanted is None:
            return None
        rule = on.rule if on is not None else "only_after"
        until = on.until if on is not None else None
        return Hold(rule, until) if wanted is None else Hold(rule, until, wanted.lasting, wanted.firings)
