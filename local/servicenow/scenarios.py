"""The faults that a test can switch on. What each kind does is in ``faults.py``.

Phases of this simulator: ``handling`` (after sign-in, before the API), ``writing`` (inside a write), ``batch`` (inside
a batch) and ``item`` (before an item of a batch is run).
"""

from __future__ import annotations

from typing import Any

from local.simulator_kit.faults import COMMON_KINDS
from local.simulator_kit.scenarios import Kind


def _needs_field(params: dict[str, Any]) -> str:
    return "" if params["field"] or params.get("fields") else "field: the name of a column"


#: What becomes of the items of a batch that are not run.
BATCH_ENDS = ("cut", "error", "unserviced", "missing")


def _ends_somehow(params: dict[str, Any]) -> str:
    return "" if params["then"] in BATCH_ENDS else f"then: one of {', '.join(BATCH_ENDS)}"


KINDS: dict[str, Kind] = {
    **COMMON_KINDS,
    "expire_tokens": Kind("now", "End issued tokens at once; which: all, access or refresh.", {"which": "all"}),
    "revoke": Kind("now", "Revoke every grant at once, or those of match.user."),
    "throttle": Kind(
        "arrival",
        "429 with X-RateLimit headers and Retry-After (seconds).",
        {"retry_after": 60, "limit": 100},
    ),
    "throttle_bare": Kind("arrival", "429 without rate headers; body: empty, html or json.", {"body": "empty"}),
    "rate_limit": Kind("handling", "Count per user and clock hour; above the limit 429.", {"limit": 100}),
    "hibernate": Kind(
        "arrival", "200 with the HTML page of a sleeping instance; redirect: 302 to it.", {"redirect": False}
    ),
    "maintenance": Kind("arrival", "HTML page of the load balancer; status 502, 503 or 504.", {"status": 503}),
    "slow_quota": Kind(
        "arrival", "Wait, then 500 'maximum execution time exceeded'; nothing is written.", {"seconds": 0.0}
    ),
    "reject_credentials": Kind("arrival", "401, whatever the credentials; on the token endpoint too."),
    "session_queue": Kind("arrival", "202 without a body, as when the session's queue is full."),
    "acl_refuse": Kind("handling", "403 as from an access rule.", {"detail": ""}),
    "business_rule_abort": Kind(
        "handling", "403 as from a business rule that aborts.", {"rule": "Demo abort rule", "message": ""}
    ),
    "data_policy": Kind("handling", "403 as from a data policy; fields: labels.", {"fields": ["Short description"]}),
    "scope_gate": Kind("handling", "403 'Access to unscoped api is not allowed'."),
    "drop_field": Kind(
        "writing", "Silently ignore writes of a field (or several).", {"field": "", "fields": []}, problem=_needs_field
    ),
    "overwrite_field": Kind(
        "writing", "Replace a field after the rules ran.", {"field": "", "value": ""}, problem=_needs_field
    ),
    "batch_ends": Kind(
        "batch",
        "Run so many items only; then: cut (drop the connection), error (500), unserviced (list the others), missing "
        "(say nothing of them).",
        {"items": 1, "then": "cut"},
        problem=_ends_somehow,
    ),
    "item_fails": Kind("item", "Answer an item of a batch with this status; it is not run.", {"status": 503}),
    "late_commit": Kind("writing", "The row becomes visible only later (instance seconds).", {"seconds": 5.0}),
    "node_skew": Kind("writing", "The node's clock is off by so many seconds in time stamps.", {"seconds": -5.0}),
    "unreadable_after_create": Kind(
        "after",
        "Commit, answer 403, and hide the row from non-admins for some seconds (null: until cleared).",
        {"seconds": None},
        needs_commit=True,
    ),
    "partial_result": Kind(
        "after", "200 with some rows and an error; keep: how many rows (null: half).", {"keep": None}
    ),
    "missing_result": Kind("after", "200 JSON without 'result'."),
    "wrong_content_type": Kind("after", "The right body under another content type.", {"content_type": "text/html"}),
    "timeout_after_commit": Kind("after", "Commit, wait, then answer as usual.", {"seconds": 120.0}, needs_commit=True),
    "commit_then_500": Kind("after", "Commit, then 500 'maximum execution time exceeded'.", needs_commit=True),
    "commit_then_403": Kind("after", "Commit, then 403 'Insufficient rights to query records'.", needs_commit=True),
}
#: What a scenario may name of a request beside its path, with help.
TRAITS = {
    "method": "GET or a list",
    "table": "incident or a list",
    "user": "user name",
    "operation": "query, insert, update, delete, or a list",
}
