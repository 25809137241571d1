"""One way to read a request: every mistake is named in plain words, whatever somebody sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.defender.assignments.requests import AssignmentRequest, WithdrawRequest
from connectors.secure_score.request_body import ScoreTicketRequest
from shared.core.http import Request
from shared.core.problem import Problem
from shared.web.parked_requests import ParkedAction, ParkedDrop, ParkedListQuery
from shared.web.requests import MOST_MISTAKES, NoParameters, RequestModel, read_body, read_query
from shared.web.tickets import TicketListQuery

RESOURCE = "/subscriptions/a/resourceGroups/b/providers/Microsoft.Compute/virtualMachines/c"
BODIES: list[tuple[type[RequestModel], dict[str, Any]]] = [
    (
        AssignmentRequest,
        {"recommendation": "x", "resources": [RESOURCE], "assigned_to": "ada", "remediation_days": 7},
    ),
    (WithdrawRequest, {"keys": ["recommendation:1:/a/b"], "reason": "moved", "by": "Grace"}),
    (ScoreTicketRequest, {"requested_by": "abel.tuter"}),
    (ParkedAction, {"ids": ["a"]}),
    (ParkedAction, {"filter": {}, "at_most": 1}),
    (ParkedDrop, {"filter": {"error": "refused"}, "at_most": 1, "confirm": True}),
]
QUERIES: list[type[RequestModel]] = [TicketListQuery, ParkedListQuery, NoParameters]
RUDE: list[Any] = [
    *(None, True, 0, -1, 10**30, 10**4000, 1.5, 7.0, "", " ", "x" * 100_000, "a\x00b", "a\nb", "\u202e", "²"),
    *([], [[]], [None], ["a"] * 2000, {}, {"a": {}}, {"x" * 500: 1}, {"\x00": "\x00"}),
    *("9999-12-31", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-02-30", "20260131T100000Z"),
]

#: Words of pydantic's own texts.
PYDANTIC = ("Input should", "valid integer", "Field required", "Extra inputs", "Value error", "pydantic")


def post(body: Any) -> Request:
    return Request("POST", body=body if isinstance(body, bytes) else json.dumps(body).encode())


def refusal(request: Request, model: type[RequestModel]) -> dict[str, Any]:
    """The problem of a request that cannot be read."""
    reading = read_query if request.method == "GET" else read_body
    with pytest.raises(Problem) as caught:
        reading(request, model)
    return checked(caught.value)


def checked(problem: Problem) -> dict[str, Any]:
    """A problem that people can read: 400, each mistake a sentence that also stands in the detail."""
    body = problem.body()
    assert (body["status"], body["title"]) == (400, "Invalid request")
    for one in body["errors"]:
        assert one["message"].endswith((".", "?")), one
        assert one["message"] in body["detail"]
        assert not any(words in one["message"] for words in PYDANTIC), one
    json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    return body


def read_rudely(request: Request, model: type[RequestModel]) -> None:
    """Read; what cannot be read is a problem, and no other exception is raised."""
    try:
        (read_query if request.method == "GET" else read_body)(request, model)
    except Problem as problem:
        checked(problem)


@pytest.mark.parametrize(("model", "right"), BODIES)
def test_a_right_body_is_read_and_with_any_rude_value_it_is_a_problem_or_fine(
    model: type[RequestModel], right: dict[str, Any]
) -> None:
    assert isinstance(read_body(post(right), model), model)
    for name in (*model.model_fields, "unknown", "x" * 1000):
        for value in RUDE:
            read_rudely(post({**right, name: value}), model)
    if "filter" in right:
        for name in ("error", "since", "replayed", "unknown"):
            for value in RUDE:
                read_rudely(post({**right, "filter": {name: value}}), model)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.data())
def test_any_json_is_read_or_refused(data: st.DataObject) -> None:
    model, right = data.draw(st.sampled_from(BODIES))
    name = data.draw(st.sampled_from([*model.model_fields]) | st.text())
    read_rudely(post({**right, name: data.draw(JSON)}), model)


@pytest.mark.parametrize("model", QUERIES)
def test_any_query_is_read_or_refused(model: type[RequestModel]) -> None:
    for name in (*model.model_fields, "unknown", "x" * 1000, ""):
        for value in RUDE:
            if isinstance(value, str):
                read_rudely(Request("GET", query={name: value}), model)


@pytest.mark.parametrize("text", ['{"requested_by": "\\ud800"}', '{"\\udfff": 1}', '{"requested_by": ["\\ud800"]}'])
def test_half_a_character_is_refused(text: str) -> None:
    assert "surrogate" in refusal(post(text.encode()), ScoreTicketRequest)["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    body = f'{{"requested_by": "a", "priority": {number}}}'.encode()
    assert "A number is NaN, infinite or too large" in refusal(post(body), ScoreTicketRequest)["detail"]


@pytest.mark.parametrize("body", [[], [{}], "text", None, 7, True])
def test_only_an_object_is_a_body(body: Any) -> None:
    (mistake,) = refusal(post(body), ScoreTicketRequest)["errors"]
    assert mistake == {"field": "", "message": "Expected: one JSON object, Content-Type application/json."}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"", "application/json", 400, "one JSON object"),
        (b"{", "application/json", 400, "one JSON object"),
        (b"1" * 5000, "application/json", 400, "cannot be read"),
        (b"[" * 5000, "application/json", 400, "one JSON object"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "application/json", 400, "nested"),
        (b"{}", "text/plain", 415, "one JSON object"),
        (b"{}" + b" " * 1024 * 1024, "application/json", 413, "1,048,576"),
    ],
)
def test_what_is_no_json_of_the_right_size_is_refused(body: bytes, content_type: str, status: int, words: str) -> None:
    with pytest.raises(Problem) as caught:
        read_body(Request("POST", headers={"content-type": content_type}, body=body), ScoreTicketRequest)
    assert (caught.value.status, words in caught.value.detail) == (status, True), caught.value.detail
    assert "alert" not in caught.value.detail.lower()


def test_every_mistake_is_listed_with_what_may_have_been_meant() -> None:
    problem = refusal(post({"resurces": [RESOURCE], "assigned_to": 7, "remediation_days": 8}), AssignmentRequest)
    assert problem["errors"] == [
        {"field": "recommendation", "message": "It is required."},
        {"field": "resources", "message": "It is required."},
        {"field": "assigned_to", "message": "It must be text."},
        {"field": "remediation_days", "message": "It must be 7, 14, 30 or 90."},
        {
            "field": "resurces",
            "message": "Unknown field. Did you mean resources?",
            "suggestions": ["resources"],
        },
    ]
    assert problem["detail"].startswith("'recommendation': It is required. 'resources': It is required. ")


def test_an_unknown_name_like_no_other_is_answered_with_all_that_are_known() -> None:
    problem = refusal(post({"filter": {"colour": "red"}, "at_most": 1}), ParkedAction)
    message = "Unknown field. Known are: error, connection, text, since, replayed."
    assert problem["errors"] == [{"field": "filter.colour", "message": message}]


def test_a_body_of_mistakes_is_not_answered_with_a_book() -> None:
    problem = refusal(post({f"field{number}": 1 for number in range(60_000)}), ScoreTicketRequest)
    assert len(problem["errors"]) == MOST_MISTAKES + 1
    assert problem["errors"][-1]["message"] == f"There are {60_001 - MOST_MISTAKES:,} more mistakes."


def test_the_parameters_of_the_functions_host_are_ignored_in_any_case() -> None:
    for name in ("code", "Code", "clientId", "CLIENTID"):
        read_query(Request("GET", query={name: "a key"}), NoParameters)
    (mistake,) = refusal(Request("GET", query={"codes": "x"}), NoParameters)["errors"]
    assert mistake == {"field": "codes", "message": "Unknown parameter."}


def test_nobody_sends_code_in_a_body() -> None:
    assert refusal(post({"requested_by": "a", "code": "x"}), ScoreTicketRequest)["errors"][0]["field"] == "code"
