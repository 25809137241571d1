"""Error bodies of Entra's endpoints (docs: "Microsoft Entra authentication and authorization error codes")."""

from __future__ import annotations

import os
import uuid

from local.azure.call import Call, Refusal
from local.azure.times import day_and_hour
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock


def entra_error(
    call: Call, clock: Clock, status: int, error: str, code: int, text: str, *headers: tuple[str, str]
) -> Refusal:
    """A refusal with the AADSTS text and all ids; ``error`` is OAuth's error code."""
    trace, correlation = str(uuid.UUID(bytes=os.urandom(16))), correlation_id(call)
    stamp = day_and_hour(clock.now())
    body = {
        "error": error,
        "error_description": (
            f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
    return Refusal(Answer(status, body, headers=list(headers)))


def correlation_id(call: Call) -> str:
    """The client's id of the request, or a new one."""
    return call.headers.get("client-request-id") or str(uuid.uuid4())
