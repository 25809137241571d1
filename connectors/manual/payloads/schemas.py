"""A request for a ticket as a payload, so that a preview shows what it would become. The endpoint reads it itself."""

from __future__ import annotations

from datetime import datetime

from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.signal import Signal
from shared.payloads.keys import Unidentified

_NAMES = {"key", "state", "title", "text", "severity", "resources", "details", "record", "link", "requested_by"}


def _is_request(body: Fields) -> bool:
    return "key" in body and ("title" in body or body.get("state") == "resolved") and body.keys() <= _NAMES


def _read_request(body: Fields, received_at: datetime) -> Signal:
    from connectors.manual.payloads.request import ManualRequest, signal_of
    from shared.core.problem import Problem
    from shared.web.requests import read_values

    try:
        return signal_of(read_values(body, ManualRequest), received_at)
    except Problem as problem:
        raise Unidentified(problem.detail) from None


SCHEMAS: tuple[PayloadSchema, ...] = (PayloadSchema("a request for a ticket by hand", _is_request, _read_request),)
