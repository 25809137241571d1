"""What an answer tells the call budget: how the instance is, its rate limit and its clock. Pure.

Sources: ServiceNow docs, "Inbound REST API rate limiting" (X-RateLimit-Limit, X-RateLimit-Reset in Unix seconds,
Retry-After with 429; there is no header for what remains). A 429 without any of them is the queue of semaphores.
"""

from __future__ import annotations

import re
from datetime import datetime

from connectors.servicenow.answers import asleep
from connectors.servicenow.throttle import moment, retry_after
from connectors.servicenow.wire import ServiceNowReply
from shared.core.rate_gate import CallReport, SystemCondition

#: Answers of what stands before an instance that is down, restarting or being upgraded.
_DOWN = frozenset({502, 503, 504})


def reported(reply: ServiceNowReply, now: datetime) -> CallReport:
    """The report of a reply that came at ``now``."""
    if asleep(reply):
        return CallReport(SystemCondition.ASLEEP)
    if reply.status in _DOWN:
        return CallReport(SystemCondition.UNAVAILABLE, retry_after=retry_after(reply.headers, now))
    refused = reply.status == 429
    sent = moment(reply.headers.get("date", ""))
    reset = _number(reply.headers.get("x-ratelimit-reset", ""))
    return CallReport(
        SystemCondition.THROTTLED if refused else SystemCondition.ANSWERED,
        retry_after=retry_after(reply.headers, now) if refused else None,
        limit=_number(reply.headers.get("x-ratelimit-limit", "")),
        reset=None if reset is None else float(reset),
        date=None if sent is None else sent.timestamp(),
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,11}", text.strip()) else None
