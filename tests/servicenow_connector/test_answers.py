"""What each answer of ServiceNow proves: the table at the heart of the connector."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.servicenow.answers import interpret
from connectors.servicenow.refusals import DuplicateKey
from connectors.servicenow.wire import LONGEST_WAIT, Purpose, ServiceNowReply, WireCall, retry_after
from shared.core.errors import (
    NotAuthorised,
    OutcomeUnknown,
    Refused,
    Throttled,
    TicketMissing,
    TicketSystemError,
    Unavailable,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
JSON = {"content-type": "application/json;charset=UTF-8"}
HTML = {"content-type": "text/html;charset=UTF-8"}

CALLS = {
    "list": WireCall("GET", "/api/now/table/incident", Purpose.LIST),
    "read": WireCall("GET", "/api/now/table/incident/0", Purpose.RECORD),
    "create": WireCall("POST", "/api/now/table/incident", Purpose.CREATE),
    "update": WireCall("PATCH", "/api/now/table/incident/0", Purpose.UPDATE),
    "delete": WireCall("DELETE", "/api/now/table/incident/0", Purpose.DELETE),
    "event": WireCall("POST", "/api/global/em/jsonv2", Purpose.EVENT),
}
READS = ("list", "read")
WRITES = ("create", "update", "event")
EVERY = (*READS, *WRITES)


def said(status: int, message: str, detail: str | None = None, **headers: str) -> ServiceNowReply:
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return ServiceNowReply(status, {**JSON, **headers}, json.dumps(body).encode())


def page(status: int, text: str = "<html><body>Sorry</body></html>", **headers: str) -> ServiceNowReply:
    return ServiceNowReply(status, {**HTML, **headers}, text.encode())


def raw(status: int, body: str, **headers: str) -> ServiceNowReply:
    return ServiceNowReply(status, {**JSON, **headers}, body.encode())


SLEEPING = page(200, "<html><head><title>Instance Hibernating page</title></head></html>")
ABORTED = (
    "Operation against file 'incident' was aborted by Business Rule 'Caller must be active^0123456789abcdef'. "
    "Business Rule Stack:Caller must be active"
)
STATE_MODEL = (
    "Operation against file 'change_request' was aborted by Business Rule "
    "'Change Model: Check State Transition^0123456789abcdef'. Business Rule Stack:Change Model: Check State Transition"
)
POLICY = "Data Policy Exception: The following fields are mandatory: Resolution code, Resolution notes"
TIME_OUT = "Transaction cancelled: maximum execution time exceeded"
PARTIAL = json.dumps({"result": [{"number": "INC0010001"}], "error": {"message": TIME_OUT}, "status": "failure"})
PARTIAL_ROW = json.dumps({"result": {"number": "INC0010001"}, "error": {"message": TIME_OUT}, "status": "failure"})
NO_RECORD = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")

#: (what it is, calls, answer, the error's type). Type tells retry and applied, see the test below.
TABLE: list[tuple[str, tuple[str, ...], ServiceNowReply, type[TicketSystemError]]] = [
    # 2xx that are no success
    ("hibernating with 200", EVERY, SLEEPING, Unavailable),
    ("HTML with 200", READS, page(200), Unavailable),
    ("HTML with 200", WRITES, page(200), OutcomeUnknown),
    ("HTML with 201", ("create",), page(201), OutcomeUnknown),
    ("JSON under another content type", ("create",), page(201, '{"result": {"sys_id": "0"}}'), OutcomeUnknown),
    ("no body", READS, raw(200, ""), Unavailable),
    ("no body", WRITES, raw(200, ""), OutcomeUnknown),
    ("cut JSON", ("list",), raw(200, '{"result": [{"number": "INC'), Unavailable),
    ("cut JSON", WRITES, raw(201, '{"result": {"number": "INC'), OutcomeUnknown),
    ("a list for an answer", ("create",), raw(201, '[{"result": {}}]'), OutcomeUnknown),
    ("null for an answer", ("read",), raw(200, "null"), Unavailable),
    ("no result", READS, raw(200, '{"records": []}'), Unavailable),
    ("no result", WRITES, raw(200, "{}"), OutcomeUnknown),
    ("result is null", ("create",), raw(201, '{"result": null}'), OutcomeUnknown),
    ("result is a list where a record is wanted", ("create", "update"), raw(200, '{"result": []}'), OutcomeUnknown),
    ("result is a record where a list is wanted", ("list",), raw(200, '{"result": {}}'), Unavailable),
    ("a list of something else", ("list",), raw(200, '{"result": [{}, "x"]}'), Unavailable),
    ("rows and an error at once", ("list",), raw(200, PARTIAL), Unavailable),
    ("record and an error at once", WRITES, raw(200, PARTIAL_ROW), OutcomeUnknown),
    (
        "record and an error, nothing else",
        WRITES,
        raw(200, '{"result": {}, "error": {"message": "x"}}'),
        OutcomeUnknown,
    ),
    ("an OAuth error with 200", ("read",), raw(200, '{"error": "server_error"}'), Unavailable),
    ("failure with 200", ("update",), raw(200, '{"result": {}, "status": "failure"}'), OutcomeUnknown),
    ("202, the queue is full", READS, raw(202, ""), Unavailable),
    ("202, the queue is full", WRITES, raw(202, ""), OutcomeUnknown),
    ("202 with a result", ("create",), raw(202, '{"result": {"sys_id": "0"}}'), OutcomeUnknown),
    ("206 with a result", ("create",), raw(206, '{"result": {"sys_id": "0"}}'), OutcomeUnknown),
    ("204 to a create", ("create",), ServiceNowReply(204), OutcomeUnknown),
    ("deep nesting", ("read",), raw(200, '{"result":' + "[" * 100_000), Unavailable),
    # redirects
    (
        "to the developer site",
        EVERY,
        ServiceNowReply(302, {"location": "https://developer.servicenow.com/dev.do"}),
        Unavailable,
    ),
    ("to a hibernation page", EVERY, ServiceNowReply(302, {"location": "/hibernating.html"}), Unavailable),
    ("moved", EVERY, ServiceNowReply(301, {"location": "https://fabrikam.service-now.com/"}), Unavailable),
    ("moved, method kept", EVERY, ServiceNowReply(308, {"location": "https://fabrikam.service-now.com/"}), Unavailable),
    ("to nowhere", READS, ServiceNowReply(302, {"location": "https://[::1"}), Unavailable),
    ("to nowhere", WRITES, ServiceNowReply(303), OutcomeUnknown),
    ("to the log-in page", READS, ServiceNowReply(302, {"location": "/login.do"}), Unavailable),
    ("to the log-in page", WRITES, ServiceNowReply(302, {"location": "/login.do"}), OutcomeUnknown),
    # credentials
    ("401", EVERY, said(401, "User Not Authenticated", "Required to provide Auth information"), NotAuthorised),
    ("401 without body", EVERY, ServiceNowReply(401), NotAuthorised),
    ("401 of multi-factor authentication", EVERY, ServiceNowReply(401, {"x-mfa_token": "invalid"}), NotAuthorised),
    (
        "401 where only bearer is taken",
        EVERY,
        ServiceNowReply(401, {"www-authenticate": 'BEARER realm="x"'}),
        NotAuthorised,
    ),
    ("407", EVERY, page(407), NotAuthorised),
    # 403 that says why
    ("scope gate", EVERY, said(403, "User Not Authorized", "Access to unscoped api is not allowed"), NotAuthorised),
    ("missing scope", EVERY, said(403, "Missing required api access scope"), NotAuthorised),
    ("REST endpoint ACL", EVERY, said(403, "User Not Authorized", "Failed API level ACL Validation"), NotAuthorised),
    ("no read right", READS, said(403, "Insufficient rights to query records"), NotAuthorised),
    (
        "no right to a field of the query",
        ("list",),
        said(
            403,
            "Insufficient rights to query records",
            "Field(s) present in the query do not have permission to be read",
        ),
        NotAuthorised,
    ),
    (
        "no right to insert",
        ("create",),
        said(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints"),
        Refused,
    ),
    (
        "no right to update",
        ("update",),
        said(403, "Operation Failed", "ACL Exception Update Failed due to security constraints"),
        Refused,
    ),
    ("business rule", ("create", "update"), said(403, "Operation Failed", ABORTED), Refused),
    ("state model", ("update",), said(403, "Operation Failed", STATE_MODEL), Refused),
    ("data policy", ("create", "update"), said(403, "Operation Failed", POLICY), Refused),
    ("HTML from something in front", ("list", "read", "update", "event"), page(403), NotAuthorised),
    # 403 that proves nothing
    ("not readable after create", ("create",), said(403, "Insufficient rights to query records"), OutcomeUnknown),
    ("no reason given", WRITES, said(403, "Operation Failed", None), OutcomeUnknown),
    ("HTML", ("create",), page(403), OutcomeUnknown),
    ("no body", ("create",), ServiceNowReply(403), OutcomeUnknown),
    # duplicates
    (
        "insert refused",
        ("create",),
        said(403, "Operation Failed", "Error during insert of incident (INC1)"),
        DuplicateKey,
    ),
    (
        "insert refused",
        ("create",),
        said(500, "Operation Failed", "Error during insert of incident (INC1)"),
        DuplicateKey,
    ),
    ("unique key", ("create",), said(500, "Unique Key violation detected by database"), DuplicateKey),
    ("duplicate entry", ("create",), said(500, "(conn=7) Duplicate entry 'x' for key 'PRIMARY'"), DuplicateKey),
    ("not of an update", ("update",), said(403, "Operation Failed", "Error during insert of x (y)"), OutcomeUnknown),
    # missing
    ("no such record", ("read", "update", "delete"), said(404, *NO_RECORD), TicketMissing),
    ("404 without the text, still the API's", ("read", "update"), raw(404, "{}"), TicketMissing),
    ("404 page: wrong address", EVERY, page(404), Refused),
    ("no such API", EVERY, said(404, "Requested URI does not represent any resource"), Refused),
    # requests that will never do
    ("invalid table", EVERY, said(400, "Invalid table foo"), Refused),
    ("bad JSON", WRITES, said(400, "Exception while reading request", "The payload is not valid JSON."), Refused),
    ("HTML 400", EVERY, page(400, "<html><body>Request header is too large</body></html>"), Refused),
    ("405", EVERY, said(405, "Method not supported"), Refused),
    ("406", EVERY, said(406, "Supported response media types for this service are: [application/json]"), Refused),
    ("409", EVERY, said(409, "Conflict"), Refused),
    ("413", WRITES, said(413, "Exception while reading request", "Rejected large REST payload"), Refused),
    ("415", WRITES, said(415, "Invalid content-type"), Refused),
    ("422", WRITES, said(422, "Unprocessable"), Refused),
    # not now
    ("rate limit", EVERY, said(429, "Rate limit exceeded", **{"retry-after": "60"}), Throttled),
    ("bare 429", EVERY, ServiceNowReply(429), Throttled),
    ("429 page", EVERY, page(429), Throttled),
    ("408", READS, ServiceNowReply(408), Unavailable),
    ("408", WRITES, ServiceNowReply(408), OutcomeUnknown),
    # the instance failed
    ("ran out of time", READS, said(500, TIME_OUT), Unavailable),
    ("ran out of time", WRITES, said(500, TIME_OUT), OutcomeUnknown),
    ("500 page", READS, page(500), Unavailable),
    ("500 page", WRITES, page(500), OutcomeUnknown),
    ("502", READS, page(502), Unavailable),
    ("502", WRITES, page(502), OutcomeUnknown),
    ("maintenance", READS, page(503, "<title>Maintenance</title>"), Unavailable),
    ("maintenance", WRITES, page(503, "<title>Maintenance</title>"), OutcomeUnknown),
    ("504", READS, page(504), Unavailable),
    ("504", WRITES, page(504), OutcomeUnknown),
    ("hibernating with 503", EVERY, page(503, "<title>Instance Hibernating page</title>"), Unavailable),
    ("an unknown status", READS, ServiceNowReply(600), Unavailable),
    ("an unknown status", WRITES, ServiceNowReply(999), OutcomeUnknown),
]

#: For each type whether trying later helps, and whether the call may have had an effect.
MEANING = {
    Unavailable: (True, False),
    Throttled: (True, False),
    NotAuthorised: (True, False),
    OutcomeUnknown: (True, True),
    DuplicateKey: (True, True),
    Refused: (False, False),
    TicketMissing: (False, False),
}


@pytest.mark.parametrize(
    ("name", "reply", "expected"),
    [
        pytest.param(name, reply, expected, id=f"{name}-{what}-{expected.__name__}")
        for what, names, reply, expected in TABLE
        for name in names
    ],
)
def test_answer_means(name: str, reply: ServiceNowReply, expected: type[TicketSystemError]) -> None:
    with pytest.raises(TicketSystemError) as caught:
        interpret(CALLS[name], reply, connection="contoso", now=NOW)
    error = caught.value
    assert type(error) is expected
    assert (error.retry, error.applied) == MEANING[expected]
    assert error.connection == "contoso"
    assert error.status == reply.status
    assert error.advice.endswith(".")
    assert ".." not in str(error)


_TEXTS = st.sampled_from(
    [
        "",
        "x",
        "ACL Exception Insert Failed",
        "Duplicate entry",
        "aborted by Business Rule ",
        "Data Policy Exception:",
        "<title>",
        "\x00",
    ]
)
_BODIES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | _TEXTS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["result", "error", "message", "detail", "status"]), inner, max_size=4)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
_HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "retry-after", "date", "location", "x-ratelimit-reset", "x-transaction-id"]),
    st.sampled_from(["application/json", "text/html", "5", "Wed, 04 Mar 2026 05:07:07 GMT", "https://[::1", "", "-1"]),
)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(list(CALLS)), st.integers(100, 999), _HEADERS, _BODIES)
def test_whatever_comes_back_is_a_proven_success_or_a_typed_error(
    name: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    call = CALLS[name]
    error = None
    found = None
    try:
        found = interpret(call, ServiceNowReply(status, headers, body), now=NOW)
    except TicketSystemError as caught:
        error = caught
    if error is not None:
        assert call.purpose.writes or not error.applied
        assert error.advice
        return
    assert status in (200, 201, 204) or (status, found) == (404, [])
    assert isinstance(found, list) if call.purpose is Purpose.LIST else found is None or isinstance(found, dict)


def test_nothing_that_proves_nothing_is_ever_taken_for_a_harmless_failure_of_a_write() -> None:
    """Every 5xx to a write may have been carried out, unless the instance says that it is asleep."""
    for status in range(500, 600):
        for name in WRITES:
            with pytest.raises(OutcomeUnknown):
                interpret(CALLS[name], page(status, "<html>oops</html>"), now=NOW)


@pytest.mark.parametrize(
    ("name", "reply", "expected"),
    [
        ("create", raw(201, '{"result": {"sys_id": "0"}}'), {"sys_id": "0"}),
        ("create", raw(200, '{"result": {"sys_id": "0"}}'), {"sys_id": "0"}),
        ("update", raw(200, '{"result": {}, "error": null}'), {}),
        ("list", raw(200, '{"result": []}'), []),
        ("list", said(404, "No Record found", "Records matching query not found."), []),
        ("delete", ServiceNowReply(204), None),
        (
            "event",
            raw(200, '{"result": {"Default Bulk Endpoint": "1 events were inserted"}}'),
            {"Default Bulk Endpoint": "1 events were inserted"},
        ),
    ],
)
def test_success_is_json_with_a_result_and_no_error(name: str, reply: ServiceNowReply, expected: object) -> None:
    assert interpret(CALLS[name], reply, now=NOW) == expected


@pytest.mark.parametrize(
    ("name", "reply", "cause", "fix"),
    [
        (
            "create",
            said(403, "User Not Authorized", "Access to unscoped api is not allowed"),
            "OAuth client",
            "useraccount",
        ),
        ("update", said(403, "Operation Failed", ABORTED), "'Caller must be active'", "Caller must be active"),
        ("update", said(403, "Operation Failed", STATE_MODEL), "'Change Model: Check State Transition'", "states"),
        ("update", said(403, "Operation Failed", POLICY), "data policy", "Resolution code, Resolution notes"),
        (
            "create",
            said(403, "Operation Failed", "Data Policy Exception: Short description is mandatory"),
            "data policy",
            "(Short description)",
        ),
        (
            "update",
            said(403, "Operation Failed", "ACL Exception Update Failed due to security constraints"),
            "may not update",
            "closed",
        ),
        (
            "create",
            said(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints"),
            "insert in incident",
            "sn_incident_write",
        ),
        (
            "event",
            said(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints"),
            "em_event",
            "evt_mgmt_integration",
        ),
        ("list", said(403, "Insufficient rights to query records"), "may not read incident", "itil"),
        ("list", page(403), "not allowed", "IP address"),
        ("read", SLEEPING, "hibernating", "Wake it up"),
        ("create", said(400, "Invalid table u_foo"), "refuses", "plugin"),
        ("create", said(413, "x"), "refuses", "too long"),
        ("read", page(503), "failed", "upgraded"),
        ("update", said(500, TIME_OUT), "failed", "index on correlation_id"),
        (
            "read",
            ServiceNowReply(302, {"location": "https://login.contoso.example/sso?x=1"}),
            "login.contoso.example",
            "'url'",
        ),
    ],
)
def test_errors_say_cause_and_fix(name: str, reply: ServiceNowReply, cause: str, fix: str) -> None:
    with pytest.raises(TicketSystemError) as caught:
        interpret(CALLS[name], reply, connection="contoso", now=NOW)
    assert cause in caught.value.message
    assert fix in caught.value.advice
    assert "x=1" not in str(caught.value)


def test_what_the_instance_says_is_quoted_as_short_plain_text() -> None:
    text = "<html><head><style>p {}</style></head><body><p>Down for&nbsp;<b>upgrade</b> &lt;soon&gt;</p>" + "x" * 5000
    with pytest.raises(Unavailable) as caught:
        interpret(CALLS["read"], page(503, text), now=NOW)
    assert caught.value.upstream.startswith("Down for upgrade <soon>")
    assert len(caught.value.upstream) == 300


def test_control_characters_of_the_instance_do_not_reach_the_log() -> None:
    with pytest.raises(Refused) as caught:
        interpret(CALLS["create"], said(400, "Invalid table\r\n\x1b[31mfoo"), now=NOW)
    assert caught.value.upstream == "Invalid table [31mfoo"


def test_the_transaction_id_goes_into_the_error() -> None:
    with pytest.raises(Unavailable) as caught:
        interpret(CALLS["read"], page(500, **{"x-transaction-id": "a1b2c3d4"}), now=NOW)
    assert caught.value.request_id == "a1b2c3d4"


def test_detail_repeating_the_message_is_not_said_twice() -> None:
    with pytest.raises(Unavailable) as caught:
        interpret(CALLS["read"], said(500, TIME_OUT, TIME_OUT), now=NOW)
    assert caught.value.upstream == TIME_OUT


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Wed, 04 Mar 2026 05:07:07 GMT"}, 60.0),
        ({"retry-after": "Wed, 04 Mar 2026 05:00:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 04 Mar 2026 05:07:07 GMT", "date": "Wed, 04 Mar 2026 05:07:00 GMT"}, 7.0),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 1800)}, 1800.0),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) - 1800)}, 0.0),
        ({"retry-after": "30", "x-ratelimit-reset": str(int(NOW.timestamp()) + 1800)}, 30.0),
        ({"retry-after": "soon", "x-ratelimit-reset": str(int(NOW.timestamp()) + 1800)}, 1800.0),
        ({"retry-after": "999999999"}, LONGEST_WAIT),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"x-ratelimit-reset": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers, NOW) == expected
    with pytest.raises(Throttled) as caught:
        interpret(CALLS["create"], ServiceNowReply(429, headers), now=NOW)
    assert caught.value.retry_after == expected
