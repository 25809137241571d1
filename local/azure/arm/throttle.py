"""Limits of Resource Manager and of the alerts API, and the headers that tell what is left.

Source: "Understand how Azure Resource Manager throttles requests" (token buckets per subscription and service
principal: reads 250 and 25 a second, writes and deletes 200 and 10 a second) and "Azure Monitor service limits" (alerts
API: calls per minute and subscription).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from local.azure.arm.errors import arm_error
from local.azure.call import Call
from local.azure.settings import Settings
from local.simulator_kit.clock import Clock

_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Throttle:
    """Buckets and windows by subscription (or tenant) and principal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}
        self._windows: dict[tuple[str, str], tuple[int, int]] = {}

    def reset(self) -> None:
        """Full again."""
        self._buckets.clear()
        self._windows.clear()

    def take(self, call: Call, subscription: str, settings: Settings) -> None:
        """Count a call; a query by POST on Resource Graph has limits of its own and is not counted here.

        Raises:
            Refusal: 429 with Retry-After in whole seconds.
        """
        kind = _KINDS.get(call.method, "writes")
        size, rate = settings.arm_write_bucket, settings.arm_write_rate
        if kind == "reads":
            size, rate = settings.arm_read_bucket, settings.arm_read_rate
        place, where = ("subscription", subscription) if subscription else ("tenant", call.who.tenant)
        now = self._clock.timestamp()
        key = (where, call.who.object_id, kind)
        bucket = self._buckets.setdefault(key, _Bucket(float(size), now))
        # A clock that was set back must not take tokens away.
        bucket.left = min(float(size), bucket.left + max(0.0, now - bucket.at) * rate)
        bucket.at = now
        if settings.arm_throttling and bucket.left < 1:
            wait = max(1, math.ceil((1 - bucket.left) / rate)) if rate > 0 else 60
            code = "SubscriptionRequestsThrottled" if subscription else "TenantRequestsThrottled"
            text = (
                f"Number of '{kind[:-1]}' requests for {place} '{where}' actor '{call.who.object_id}' exceeded. Please "
                f"try again after '{wait}' seconds after additional tokens are available."
            )
            raise arm_error(429, code, text, ("Retry-After", str(wait)))
        bucket.left = max(0.0, bucket.left - 1)
        call.extra_headers.append((f"x-ms-ratelimit-remaining-{place}-{kind}", str(int(bucket.left))))
        call.extra_headers.append(
            (f"x-ms-ratelimit-remaining-{place}-global-{kind}", str(int(bucket.left) + 14 * size))
        )

    def take_alerts(self, subscription: str, is_list: bool, settings: Settings) -> None:
        """Count a call to the alerts API within its clock minute.

        Raises:
            Refusal: 429 with Retry-After.
        """
        self._count(subscription, "calls", settings.alerts_calls_per_minute)
        if is_list:
            self._count(subscription, "list calls", settings.alerts_lists_per_minute)

    def _count(self, subscription: str, what: str, limit: int) -> None:
        now = self._clock.timestamp()
        minute = int(now // 60)
        start, count = self._windows.get((subscription, what), (minute, 0))
        count = count + 1 if start == minute else 1
        self._windows[subscription, what] = (minute, count)
        if count > limit:
            wait = max(1, math.ceil((minute + 1) * 60 - now))
            text = (
                f"Number of alerts API {what} for subscription '{subscription}' exceeded the limit of '{limit}' for "
                f"time interval '00:01:00'. Please try again after '{wait}' seconds."
            )
            raise arm_error(429, "ResourceRequestsThrottled", text, ("Retry-After", str(wait)))
