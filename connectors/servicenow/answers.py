"""What an answer of ServiceNow proves, and what it tells the call budget. Pure: a call and its answer in, the JSON
result or a typed error out.

The rules, strictest first:

* An answer is a success only when it is 200 or 201, JSON, an object with ``result`` of the expected shape and without
  ``error``. Anything else with a 2xx proves nothing: a hibernating instance answers 200 with a page, a query that ran
  out of time answers 200 with rows *and* an error, one whose queue is full answers 202 with nothing.
* A 4xx means that nothing was written, except a 403 that does not say why (see ``refusals``) and 408.
* A 5xx proves nothing about a write: the record may be there although the answer was 500.

Sources: ServiceNow docs, "Table API", "REST API HTTP response codes", "Inbound REST API rate limiting",
"Transaction quotas"; ServiceNow support articles on REST transactions that time out or are queued.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.servicenow.refusals import DuplicateKey, Ruling, duplicate, forbidden
from connectors.servicenow.wire import Purpose, ServiceNowReply, WireCall, http_date, retry_after, shorten
from shared.core.errors import (
    NotAuthorised,
    OutcomeUnknown,
    Refused,
    Throttled,
    TicketMissing,
    TicketSystemError,
    Unavailable,
)
from shared.core.rate_gate import CallReport, SystemCondition

_LOOK_FIRST = "The ticket is looked up before anything is repeated"
_TRY_LATER = "It is tried again later"

#: The Change Management API answers with the one record, or, as its documentation prints it, with a list of one.
_CHANGE_API = "/api/sn_chg_rest/"

#: Client errors that say "not now" instead of "never".
_LATER = frozenset({408, 421, 425})

#: Answers of the load balancer of an instance that is down, restarting or being upgraded.
_DOWN = frozenset({502, 503, 504})


def interpret(
    call: WireCall,
    reply: ServiceNowReply,
    *,
    connection: str = "",
    redact: Callable[[str], str] = str,
    now: datetime | None = None,
) -> Any:
    """Return the ``result`` of a successful answer: a list for LIST and IMPORT, None for DELETE, the whole answer for
    BATCH, else an object.

    Args:
        call, reply: what was asked and what came back.
        connection: name for errors.
        redact: takes secrets out of the instance's error text.
        now: present time, for answers without a Date header.

    Raises:
        Unavailable, OutcomeUnknown, Throttled, NotAuthorised, Refused, TicketMissing: see the module's text.
        DuplicateKey: an insert met an existing row (a kind of OutcomeUnknown).
    """
    error_text = redact(reply.error_text()) if reply.status >= 300 else ""
    ruling = _judge(call, reply, error_text)
    if not isinstance(ruling, Ruling):
        return ruling.result
    raise error(ruling, reply, error_text or redact(reply.error_text()), connection=connection, now=now)


def error(
    ruling: Ruling, reply: ServiceNowReply, error_text: str, *, connection: str = "", now: datetime | None = None
) -> TicketSystemError:
    """The exception that a ruling stands for. ``error_text`` must be free of secrets."""
    wait = None
    if reply.status in (429, 503):
        wait = retry_after(reply.headers, now or datetime.now(UTC))
    return ruling.error(
        ruling.message,
        connection=connection,
        status=reply.status,
        upstream=shorten(error_text),
        advice=ruling.advice + "." if ruling.advice else "",
        request_id=reply.request_id,
        retry_after=wait,
    )


class _Success:
    """A proven success. Not the bare result, which may be any JSON."""

    __slots__ = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result


def asleep(reply: ServiceNowReply) -> bool:
    """Whether the answer is the page of a hibernating instance, which it gives at every URL, mostly with 200."""
    if 300 <= reply.status < 400:
        target = reply.headers.get("location", "").lower()
        return "hibernat" in target or _host(target) == "developer.servicenow.com"
    if 400 <= reply.status < 500 or reply.is_json:
        return False
    return b"instance hibernating" in reply.body[:50_000].lower()


SLEEPING = Ruling(
    Unavailable,
    "the instance is hibernating",
    "Wake it up at developer.servicenow.com; tickets wait until it answers",
)


def _judge(call: WireCall, reply: ServiceNowReply, error_text: str) -> _Success | Ruling:
    status = reply.status
    if asleep(reply):
        return SLEEPING
    if 200 <= status < 300:
        return _judge_success(call, reply)
    if 300 <= status < 400:
        return _judge_redirect(call, reply)
    if status == 401:
        return _unauthenticated(reply)
    if status == 403:
        return forbidden(call, error_text, reply.json() is not None)
    if status == 404:
        return _judge_missing(call, reply, error_text)
    if status == 407:
        return Ruling(NotAuthorised, "a proxy asks for credentials", "Let the app reach the instance directly")
    if status == 429:
        return Ruling(
            Throttled,
            "the instance's rate limit is reached",
            "Calls pause until it allows more. Raise the limit in the instance's rate limit rules if it lasts",
        )
    if 400 <= status < 500 and status not in _LATER:
        return _judge_bad_request(call, status, error_text)
    if call.purpose is Purpose.CREATE and duplicate(error_text):
        return Ruling(DuplicateKey, "the instance could not insert the record", "It is looked up by its id")
    if call.purpose is Purpose.IMPORT and "transform_map=null" in error_text:
        return Ruling(
            Refused,
            "the staging table has no transform map",
            "Make a transform map from the staging table to the table of the ticket, and activate it",
        )
    return _unproven(call, f"the instance failed at {call}", _advice_for_failure(status, error_text))


def _unproven(call: WireCall, message: str, advice: str = "") -> Ruling:
    """An answer that shows neither success nor failure."""
    if call.purpose.writes:
        return Ruling(OutcomeUnknown, message, f"{advice}. {_LOOK_FIRST}" if advice else _LOOK_FIRST)
    return Ruling(Unavailable, message, f"{advice}. {_TRY_LATER}" if advice else _TRY_LATER)


def _judge_success(call: WireCall, reply: ServiceNowReply) -> _Success | Ruling:
    if reply.status == 204 and call.purpose is Purpose.DELETE:
        return _Success(None)
    if reply.status == 202:
        return _unproven(
            call, f"the instance put {call} into a queue and may have dropped it", "Too many calls are waiting there"
        )
    if reply.status not in (200, 201) or not reply.is_json:
        return _unproven(
            call,
            f"{call} was answered by something that is not the API",
            "Check that 'url' is the instance itself and not a portal, a log-in page or a proxy",
        )
    data = reply.json()
    if not isinstance(data, dict):
        return _unproven(call, f"the answer to {call} is cut or no JSON object")
    if data.get("error") is not None or data.get("status") == "failure":
        return _unproven(
            call, f"{call} was answered with success and an error at once", _advice_for_failure(500, reply.error_text())
        )
    result = data if call.purpose is Purpose.BATCH else data.get("result")
    if call.purpose is not Purpose.LIST and call.path.startswith(_CHANGE_API) and isinstance(result, list):
        result = result[0] if len(result) == 1 else None
    if call.purpose in (Purpose.LIST, Purpose.IMPORT):
        usable = isinstance(result, list) and all(isinstance(row, dict) for row in result)
    elif call.purpose is Purpose.BATCH:
        usable = isinstance(data.get("serviced_requests"), list)
    else:
        usable = isinstance(result, dict)
    return _Success(result) if usable else _unproven(call, f"the answer to {call} has no usable result")


def _judge_redirect(call: WireCall, reply: ServiceNowReply) -> Ruling:
    host = _host(reply.headers.get("location", ""))
    where = f" to {shorten(host, 100)}" if host else ""
    message = f"the instance redirects {call}{where}"
    advice = "Set 'url' to the address at which the instance answers itself; redirects are not followed"
    if reply.status in (301, 307, 308):  # the request is to be repeated elsewhere, so nothing was done here
        return Ruling(Unavailable, message, advice)
    return _unproven(call, message, advice)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _unauthenticated(reply: ServiceNowReply) -> Ruling:
    if "x-mfa_token" in reply.headers:
        return Ruling(
            NotAuthorised,
            "the account needs multi-factor authentication",
            "Use an integration user without it, or OAuth client credentials",
        )
    schemes = reply.headers.get("www-authenticate", "").lower()
    if "bearer" in schemes and "basic" not in schemes:
        return Ruling(
            NotAuthorised,
            "the credentials were not accepted",
            "The instance asks for a bearer token: use one of the OAuth types under 'auth'",
        )
    return Ruling(
        NotAuthorised,
        "the credentials were not accepted",
        "Check user name and secrets, that the user is active, not locked out and needs no password reset, and that "
        "the basic authentication restriction allows it (web service access only, or snc_basic_auth_api_access)",
    )


def _judge_missing(call: WireCall, reply: ServiceNowReply, error_text: str) -> _Success | Ruling:
    text = error_text.lower()
    if call.purpose is Purpose.LIST and "no record found" in text:
        return _Success([])  # version 1 of the API says it so
    on_record = call.purpose in (Purpose.RECORD, Purpose.UPDATE, Purpose.DELETE)
    if on_record and reply.json() is not None and "does not represent any resource" not in text:
        return Ruling(
            TicketMissing,
            "the record does not exist (any more), or the user may not see it",
            "If it exists, check the access control rules for the integration user",
        )
    return _judge_bad_request(call, 404, error_text)


def _judge_bad_request(call: WireCall, status: int, error_text: str) -> Ruling:
    text = error_text.lower()
    advice = "See what the instance says"
    if "invalid staging table" in text:
        advice = "Correct 'import_set' of the connection: the table is no staging table of this instance"
    elif "invalid table" in text:
        advice = "The table does not exist on this instance: check the name, and that its plugin is active"
    elif "does not represent any resource" in text or status in (404, 405):
        advice = "Check that 'url' is a ServiceNow instance and that the plugin of this API is active"
    elif "large rest payload" in text or status == 413:
        advice = "The fields are too long for the instance: shorten the templates of the route"
    return Ruling(Refused, f"the instance refuses {call}", advice)


def _advice_for_failure(status: int, error_text: str) -> str:
    if "maximum execution time" in error_text.lower():
        return "It ran out of time: look for slow business rules, or a missing index on correlation_id"
    if status in (502, 503, 504):
        return "It is restarting, being upgraded or out of reach"
    return ""


def call_report(reply: ServiceNowReply, now: datetime) -> CallReport:
    """What a reply that came at ``now`` tells the call budget: the instance's condition, its rate limit and its clock.

    Sources: ServiceNow docs, "Inbound REST API rate limiting" (X-RateLimit-Limit, X-RateLimit-Reset in Unix seconds,
    Retry-After with 429; there is no header for what remains). A 429 without any of them comes from a full queue of
    the instance's semaphores.
    """
    if asleep(reply):
        return CallReport(SystemCondition.ASLEEP)
    if reply.status in _DOWN:
        return CallReport(SystemCondition.UNAVAILABLE, retry_after=retry_after(reply.headers, now))
    refused = reply.status == 429
    sent = http_date(reply.headers.get("date", ""))
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
