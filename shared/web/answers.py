"""From a request to its response: calls the handler, and turns every expected error into problem details (RFC 9457).

Imported by every trigger, so nothing here imports pydantic, an SDK or a connector.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from shared.core.errors import BridgeError, ConfigurationError, StorageUnavailable
from shared.core.http import Handler, Request, Response
from shared.core.problem import Problem
from shared.core.refusal import RefusalReason, RequestRefused
from shared.platform.storage import patience

#: Seconds that an operation of storage may take while somebody waits for a list.
READ_PATIENCE = 4.0

_STATUS = {
    RefusalReason.INVALID: 400,
    RefusalReason.NOT_ALLOWED: 403,
    RefusalReason.NOT_FOUND: 404,
    RefusalReason.CONFLICT: 409,
    RefusalReason.UNKNOWN_VALUE: 422,
    RefusalReason.UPSTREAM_REFUSED: 502,
    RefusalReason.UNAVAILABLE: 503,
}


def refusal_problem(refused: RequestRefused) -> Problem:
    """The problem of a refused request. Its extension member ``errors`` lists every mistake: ``field``, ``message``,
    and ``suggestions`` where there are any."""
    errors = [
        {
            "field": one.field,
            "message": one.sentence,
            **({"suggestions": list(one.suggestions)} if one.suggestions else {}),
        }
        for one in refused.mistakes
    ]
    headers = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
    return Problem(_STATUS[refused.reason], refused.title, str(refused), headers, {"errors": errors})


@contextmanager
def refusals_as_problems() -> Iterator[None]:
    """Turn RequestRefused, which the domain raises, into Problem, which a handler raises."""
    try:
        yield
    except RequestRefused as refused:
        raise refusal_problem(refused) from refused


def problem_response(problem: Problem) -> Response:
    """A problem as a response."""
    return Response(problem.status, problem.body(), {**problem.headers, "Content-Type": "application/problem+json"})


async def respond(handler: Handler, request: Request) -> Response:
    """Call a handler. Problems and errors of the tree become responses; any other exception is a bug and passes.

    A GET changes nothing, so it waits a few seconds for storage and not longer.
    """
    try:
        with patience(READ_PATIENCE) if request.method == "GET" else nullcontext():
            return await handler(request)
    except Problem as problem:
        return problem_response(problem)
    except RequestRefused as refused:
        return problem_response(refusal_problem(refused))
    except ConfigurationError as error:
        return problem_response(Problem(503, "Configuration invalid", str(error), {"Retry-After": "20"}))
    except BridgeError as error:
        title = "Storage unavailable" if isinstance(error, StorageUnavailable) else "Not available"
        return problem_response(Problem(503, title, str(error), {"Retry-After": "5"}))
