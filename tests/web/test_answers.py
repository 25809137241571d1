"""Every expected error of a handler becomes problem details with the right status."""

from __future__ import annotations

import pytest

from shared.core.errors import BridgeError, ConfigurationError, SourceRefused, StorageUnavailable
from shared.core.http import Request, Response
from shared.core.problem import Problem
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_json import planned_ticket_json, ticket_json
from shared.core.ticket_system import TicketKind, TicketRef
from shared.web.answers import respond


async def answer(error: Exception) -> Response:
    async def handler(request: Request) -> Response:
        raise error

    return await respond(handler, Request())


@pytest.mark.parametrize(
    ("error", "status", "title", "retry_after"),
    [
        (Problem(418, "Teapot", "No."), 418, "Teapot", None),
        (ConfigurationError(["bridge.yaml: x"]), 503, "Configuration invalid", "20"),
        (StorageUnavailable("no answer"), 503, "Storage unavailable", "5"),
        (SourceRefused("no right"), 503, "Not available", "5"),
        (BridgeError("x"), 503, "Not available", "5"),
    ],
)
async def test_errors_are_problems(error: Exception, status: int, title: str, retry_after: str | None) -> None:
    response = await answer(error)
    assert (response.status, response.body["title"], response.body["status"]) == (status, title, status)
    assert response.headers.get("Retry-After") == retry_after
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (RefusalReason.INVALID, 400),
        (RefusalReason.NOT_ALLOWED, 403),
        (RefusalReason.NOT_FOUND, 404),
        (RefusalReason.CONFLICT, 409),
        (RefusalReason.UNKNOWN_VALUE, 422),
        (RefusalReason.UPSTREAM_REFUSED, 502),
        (RefusalReason.UNAVAILABLE, 503),
    ],
)
async def test_each_reason_of_the_domain_has_a_status(reason: RefusalReason, status: int) -> None:
    mistakes = [RequestMistake("owner", "no such person", ("ada", "beth")), RequestMistake("", "Nothing was written")]
    response = await answer(RequestRefused(reason, "Refused", mistakes, retry_after=30))
    assert (response.status, response.headers["Retry-After"]) == (status, "30")
    assert response.body == {
        "type": "about:blank",
        "title": "Refused",
        "status": status,
        "detail": "'owner': No such person. Did you mean ada, beth? Nothing was written.",
        "errors": [
            {"field": "owner", "message": "No such person. Did you mean ada, beth?", "suggestions": ["ada", "beth"]},
            {"field": "", "message": "Nothing was written."},
        ],
    }


async def test_a_bug_is_not_dressed_up_as_an_answer() -> None:
    with pytest.raises(KeyError):
        await answer(KeyError("x"))


def test_a_ticket_has_one_shape_whether_it_is_made_or_not() -> None:
    made = ticket_json(TicketRef(TicketKind.INCIDENT, "9b1e", "", "INC0010042", "https://x.example/1"), "desk")
    planned = planned_ticket_json(TicketKind.CHANGE_REQUEST, "desk")
    assert list(made) == list(planned) == ["id", "number", "kind", "connection", "url"]
    assert list(made.values()) == ["9b1e", "INC0010042", "incident", "desk", "https://x.example/1"]
    assert list(planned.values()) == [None, None, "change_request", "desk", None]
    event = ticket_json(TicketRef(TicketKind.EVENT, "5", ""), "desk")
    assert (event["number"], event["url"]) == (None, None), "an event has no number"
