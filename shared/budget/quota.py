"""How many calls may be made in a window of time. Pure values and arithmetic.

Times are Unix seconds by our own clock; ``skew`` is how many seconds the instance's clock is ahead of it. Windows are
the fixed clock windows in which the instance counts.

A call that leaves near the end of a window may be counted in the next one, because clocks differ and requests travel.
So our window begins ``lead`` after the instance's, and a call that leaves after ``window_closes`` (``lead`` and
``tail`` before the instance's end) is charged to both windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: This share of the reserve stays until the window ends; the rest becomes free in step with the time that passes.
_RESERVE_TO_THE_END = 0.2

#: Share of a window's calls that work in the background leaves to deliveries when the window begins.
_LEFT_TO_DELIVERIES = 0.5

#: Largest lease of calls for urgent work.
_LARGEST_URGENT_LEASE = 4

#: Seconds that a call takes until enough were seen, and the least that is reckoned with.
_USUAL_CALL, _SHORTEST_CALL = 0.3, 0.1

#: Deliveries, or answered calls, of which an average means something. The most calls that a delivery is taken to cost.
_ENOUGH, _MOST_CALLS = 8, 8.0

#: Below this, a part of a delivery is an error of rounding.
_ROUNDING = 1e-6

#: By how much more than calls in flight allow a backlog is called back.
_HASTE = 1.1

#: Seconds of the first cool-down and of the longest one.
_COOL_DOWN_FIRST, _COOL_DOWN_LONGEST = 30.0, 900.0

#: Seconds of difference that two clocks may have unnoticed; HTTP dates have whole seconds.
CLOCK_TOLERANCE = 2.0


@dataclass(frozen=True, slots=True)
class QuotaRules:
    """What the configuration says of a connection.

    Attributes:
        calls: allowed per window; None when only the instance says.
        per: length of a window, seconds.
        reserve: share of the calls that is reserved for urgent work, 0 to 0.5.
        in_flight: most calls at the same time, over all workers.
        longest_call: seconds that an operation may take, from leaving to its answer.
    """

    calls: int | None = None
    per: float = 3600.0
    reserve: float = 0.1
    in_flight: int = 4
    longest_call: float = 120.0

    @property
    def lead(self) -> float:
        """Seconds by which clocks may differ unnoticed."""
        return min(2.0, self.per / 20)

    @property
    def tail(self) -> float:
        """Seconds that a request may travel, connecting included."""
        return min(15.0, self.per / 10)

    @property
    def early(self) -> float:
        """Seconds that a message may come before its time: queues count whole seconds."""
        return min(2.0, self.per / 10)


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls of a connection, counted over all workers.

    Attributes:
        window: number of the window that is counted (Unix seconds divided by its length).
        ordinary, urgent: calls leased in this window, by who leased them.
        carried: calls leased near its end, charged to the next window too.
        limit: calls per window that the instance itself named, None if it named none.
        limit_window: the window in which it named the limit.
        skew: the instance's clock less ours, seconds.
        cool_until: no call before this time. cool_downs: how many in a row the instance gave no time for.
        deliveries, calls: deliveries admitted and calls they made, halved with each window: what a delivery costs.
        waited, waited_calls: the same of deliveries that had waited in the backlog.
        sharing: how many deliveries one call may carry, as the connector said last; 1 for one.
        timed, seconds: calls that were answered and how long they took, halved with each window.
    """

    window: int = 0
    ordinary: int = 0
    urgent: int = 0
    carried: int = 0
    limit: int | None = None
    limit_window: int = 0
    skew: float = 0.0
    cool_until: float = 0.0
    cool_downs: int = 0
    deliveries: float = 0.0
    calls: float = 0.0
    waited: float = 0.0
    waited_calls: float = 0.0
    sharing: int = 1
    timed: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Calls leased to one worker: good in their window, until ``until`` (Unix seconds by our clock).

    ``window`` is -1 for calls of no window, where no limit is known.
    """

    window: int = -1
    calls: int = 0
    until: float = 0.0

    def has(self, calls: int, now: float) -> bool:
        """Whether that many may be spent now."""
        return self.calls >= calls and now < self.until

    def add(self, calls: int) -> Lease:
        """The same lease with so many calls more, or fewer."""
        return replace(self, calls=self.calls + calls)

    def is_same(self, other: Lease) -> bool:
        """Whether calls of the other lease may be put into this one."""
        return (self.window, self.until) == (other.window, other.until)


# Windows


def window_at(rules: QuotaRules, skew: float, now: float) -> int:
    """Number of the window that a call leaving now is charged to."""
    return math.floor((now + skew - rules.lead) / rules.per)


def window_opens(rules: QuotaRules, skew: float, window: int) -> float:
    """When a window begins for us."""
    return window * rules.per + rules.lead - skew


def window_closes(rules: QuotaRules, skew: float, window: int) -> float:
    """From when on a call may fall into the next window."""
    return (window + 1) * rules.per - rules.lead - rules.tail - skew


def roll(quota: Quota, rules: QuotaRules, now: float) -> Quota:
    """Go on to the window of ``now``: it begins with what was charged to it already.

    A window never goes back, whatever clocks do.
    """
    window = max(quota.window, window_at(rules, quota.skew, now))
    if window == quota.window:
        return quota
    carried = quota.carried if window == quota.window + 1 else 0
    return replace(
        quota,
        window=window,
        ordinary=carried,
        urgent=0,
        carried=0,
        deliveries=quota.deliveries / 2,
        calls=quota.calls / 2,
        waited=quota.waited / 2,
        waited_calls=quota.waited_calls / 2,
        timed=quota.timed / 2,
        seconds=quota.seconds / 2,
    )


# What is allowed


def limit_of(quota: Quota, rules: QuotaRules) -> int | None:
    """Calls allowed per window: the lower of what is configured and what the instance named of late; None: any."""
    named = quota.limit if quota.limit is not None and quota.window - quota.limit_window <= 1 else None
    known = [limit for limit in (rules.calls, named) if limit is not None]
    return max(min(known), 1) if known else None


def reserve_of(rules: QuotaRules, limit: int, left: float) -> int:
    """Calls that ordinary work must leave when the share ``left`` (1 to 0) of the window is still to come.

    All of the reserve at first; less as fewer urgent signals can still come, for what is never used would be lost.
    """
    if limit < 2 or not rules.reserve:
        return 0
    whole = max(1, math.ceil(limit * rules.reserve))
    return max(1, math.ceil(whole * _RESERVE_TO_THE_END), math.ceil(whole * left))


def calls_per_delivery(quota: Quota, *, waited: bool = False) -> float:
    """Calls that a delivery takes, as observed; below 1 where deliveries share calls.

    Until enough were seen it is 1, or the least that sharing allows. ``waited``: of deliveries from the backlog.
    """
    least = 1 / max(quota.sharing, 1)
    if waited and quota.waited >= _ENOUGH:
        return min(max(quota.waited_calls / quota.waited, least), _MOST_CALLS)
    if waited and quota.sharing > 1:
        return least
    return min(max(quota.calls / quota.deliveries, least), _MOST_CALLS) if quota.deliveries >= _ENOUGH else least


def deliveries_per_call(quota: Quota, *, waited: bool = False) -> int:
    """Deliveries that are admitted with one call between them, because they will share it."""
    if quota.sharing <= 1:
        return 1
    return max(1, min(quota.sharing, math.floor(1 / calls_per_delivery(quota, waited=waited) + _ROUNDING)))


def deliveries_per_second(quota: Quota, rules: QuotaRules) -> float:
    """How fast a backlog can go: what the calls in flight allow, by what calls took of late.

    A little more than that: what comes too early waits a moment, what comes too late leaves calls unused.
    """
    usual = quota.seconds / quota.timed if quota.timed >= _ENOUGH else _USUAL_CALL
    return _HASTE * rules.in_flight / (max(usual, _SHORTEST_CALL) * calls_per_delivery(quota, waited=True))


def largest_lease(limit: int) -> int:
    """Most calls that a worker leases at once: a worker that is killed loses them."""
    return min(64, max(1, limit // 50))


def available_calls(quota: Quota, rules: QuotaRules, now: float, urgent: bool) -> int | None:
    """Calls that may be leased now, None for any number. Takes a rolled quota."""
    limit = limit_of(quota, rules)
    if limit is None:
        return None
    free = limit - quota.ordinary - quota.urgent
    end = window_opens(rules, quota.skew, quota.window + 1)
    if not urgent:
        # On top of what urgent work has used: the last of it in a busy window must find something left, too.
        free -= reserve_of(rules, limit, min(max((end - now) / rules.per, 0.0), 1.0))
    if now >= window_closes(rules, quota.skew, quota.window):
        free = min(free, limit - quota.carried - (0 if urgent else reserve_of(rules, limit, 1.0)))
    return max(free, 0)


def has_call_for_background(quota: Quota, rules: QuotaRules, now: float) -> bool:
    """Whether a call that nobody waits for may be leased: beside the reserve it leaves half of the window's calls to
    deliveries that may still come, and less as the window passes. Takes a rolled quota."""
    limit, free = limit_of(quota, rules), available_calls(quota, rules, now, urgent=False)
    if limit is None or free is None:
        return True
    end = window_opens(rules, quota.skew, quota.window + 1)
    left = min(max((end - now) / rules.per, 0.0), 1.0)
    return free > limit * _LEFT_TO_DELIVERIES * left


# Leases


def lease_calls(
    quota: Quota, rules: QuotaRules, now: float, *, urgent: bool, calls: int, workers: int
) -> tuple[Quota, Lease | None]:
    """Lease at least ``calls`` calls to one of ``workers`` workers; None when there are not that many.

    Takes a rolled quota with a limit.
    """
    limit, free = limit_of(quota, rules), available_calls(quota, rules, now, urgent)
    if limit is None or free is None or free < calls:
        return quota, None
    largest = _LARGEST_URGENT_LEASE if urgent else largest_lease(limit)
    late = now >= window_closes(rules, quota.skew, quota.window)
    size = calls if late else max(calls, min(free // (3 * workers), largest))
    end = window_opens(rules, quota.skew, quota.window + 1) if late else window_closes(rules, quota.skew, quota.window)
    leased = replace(
        quota,
        ordinary=quota.ordinary + (0 if urgent else size),
        urgent=quota.urgent + (size if urgent else 0),
        carried=quota.carried + (size if late else 0),
    )
    return leased, Lease(quota.window, size, end)


def give_back(quota: Quota, window: int, *, ordinary: int = 0, urgent: int = 0) -> Quota:
    """Take back calls of a lease that were not spent; those of an earlier window are worth nothing."""
    if window != quota.window:
        return quota
    return replace(quota, ordinary=max(quota.ordinary - ordinary, 0), urgent=max(quota.urgent - urgent, 0))


def charge(quota: Quota, window: int, calls: int) -> Quota:
    """Charge calls that left without a lease, when no limit was known."""
    return replace(quota, ordinary=quota.ordinary + calls) if window == quota.window else quota


# What answers teach


def observe_cost(
    quota: Quota, deliveries: float, calls: float, *, waited: float = 0.0, waited_calls: float = 0.0
) -> Quota:
    """Add to what is known of a delivery's cost; ``waited``: those of all deliveries that had waited."""
    return replace(
        quota,
        deliveries=quota.deliveries + deliveries,
        calls=quota.calls + calls,
        waited=quota.waited + waited,
        waited_calls=quota.waited_calls + waited_calls,
    )


def observe_time(quota: Quota, timed: float, seconds: float) -> Quota:
    """Add to what is known of how long a call takes."""
    return replace(quota, timed=quota.timed + timed, seconds=quota.seconds + seconds)


def is_limit_of_windows(quota: Quota, rules: QuotaRules, now: float, reset: float | None) -> bool:
    """Whether a limit, whose window ends at ``reset`` by the instance's clock, is one of windows as we count them."""
    per = rules.per
    return reset is not None and reset % per == 0 and reset - (now + quota.skew) <= per + CLOCK_TOLERANCE


def learn_limit(quota: Quota, limit: int) -> Quota:
    """The instance named its limit. Takes a rolled quota."""
    return replace(quota, limit=limit, limit_window=quota.window)


def learn_skew(quota: Quota, rules: QuotaRules, now: float, skew: float) -> Quota:
    """The instance's clock differs from ours by so many seconds. Takes a rolled quota.

    What was leased counts in whatever window that makes it: the instance may have counted it there.
    """
    return replace(quota, skew=skew, window=max(quota.window, window_at(rules, skew, now)))


def cool_down(quota: Quota, rules: QuotaRules, now: float, retry_after: float | None, chance: float) -> Quota:
    """The instance refused a call because of a rate limit: every worker pauses.

    For ``retry_after`` seconds when it said so. Otherwise 30 s, growing to 15 minutes; refusals during a pause belong
    to calls that left before it and do not make it grow. ``chance`` (0 to 1) is jitter.
    """
    if retry_after is not None and retry_after > 0:
        return replace(quota, cool_until=max(quota.cool_until, now + retry_after))
    if quota.cool_until > now:
        return quota
    delay = growing_pause(_COOL_DOWN_FIRST, _COOL_DOWN_LONGEST, rules, quota.cool_downs, chance)
    return replace(quota, cool_until=now + delay, cool_downs=quota.cool_downs + 1)


def end_cool_downs(quota: Quota, now: float) -> Quota:
    """A call that left after the last pause was answered: the next pause is a short one again."""
    return replace(quota, cool_downs=0) if quota.cool_downs and now >= quota.cool_until else quota


def growing_pause(first: float, longest: float, rules: QuotaRules, before: int, chance: float) -> float:
    """Seconds of a pause that doubles with each one ``before`` it, from ``first`` to ``longest``, +-10 %.

    Where windows are short, all is quicker: the first is no longer than a tenth of a window, the longest no longer
    than a window.
    """
    doubled = min(first, rules.per / 10) * 2.0 ** min(before, 10)
    return min(doubled, longest, rules.per) * (0.9 + 0.2 * chance)
