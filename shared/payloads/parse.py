"""A decoded request body becomes signals. What cannot be read becomes Unreadable, never an error."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from shared.core.payload_schema import Fields, ForeignReason, PayloadSchema, no_foreign_reason
from shared.core.signal import Signal, Unreadable
from shared.payloads.keys import Unidentified
from shared.payloads.values import fold, from_json, given

#: Wrappers inside wrappers are followed this deep.
_DEPTH = 5

_KEYS_NAMED = 8

#: One body may hold this many items, in whatever wrappers: each becomes a message of its own.
MOST_ITEMS = 500

#: Keys of a page of a list, as OData services and their like answer.
_PAGE = frozenset({"value", "nextlink", "@odata.context", "@odata.nextlink", "@odata.count"})

#: Keys that an Event Hub adds to a message, as triggers, Capture and the SDKs write them.
_EVENT_HUB = frozenset(
    {"contentdata", "systemproperties", "enqueuedtimeutc", "sequencenumber", "partitionkey", "offset", "messageid"}
)

#: Keys of a request or an answer as triggers and actions of a Logic App show it.
_HTTP_MESSAGE = frozenset(
    {"body", "headers", "statuscode", "queries", "relativepathparameters", "method", "uri", "path", "reasonphrase"}
)

_NESTED = "This is an array inside an array; every alert is an object."
_NO_OBJECT = "This is no JSON object; every alert is one."


def parse(
    body: object,
    received_at: datetime,
    schemas: Sequence[PayloadSchema],
    foreign: ForeignReason = no_foreign_reason,
) -> list[Signal | Unreadable]:
    """Turn a request body into signals.

    Args:
        body: any decoded JSON value; one alert, an array of alerts, or either inside the wrapper of an Automation
            runbook, an envelope with ``records``, a message of an Event Hub or Service Bus, what a Logic App makes of
            a request, or a page of a list (``value``, or ``data`` with ``resultTruncated``).
        received_at: when the body arrived. Without zone it is taken for UTC.
        schemas: the payloads that can be read; the first whose test holds reads.
        foreign: why a body that follows none of them is not taken, where it is known what it is.

    Returns:
        One item per alert in the order of the body, unreadable ones included. An array that stands inside an array is
        one unreadable item. A body of more than :data:`MOST_ITEMS` items is one :class:`TooManyItems`. Never raises,
        whatever the body holds.
    """
    reading = _Reading(_utc(received_at), schemas, foreign, [])
    elements = body if isinstance(body, list) else [body]
    try:
        _check_room(reading, elements)
        for element in elements:
            _add(reading, element, _DEPTH)
    except _Overfull as error:
        return [TooManyItems(str(error), body)]
    return reading.items


class TooManyItems(Unreadable):
    """A body that holds more items than one body may. ``item`` is the whole body."""


class _Overfull(Exception):
    """The body holds more items than one body may."""


class _Reading(NamedTuple):
    """One body: what it is read with, and what came of it so far."""

    received_at: datetime
    schemas: Sequence[PayloadSchema]
    foreign: ForeignReason
    items: list[Signal | Unreadable]


def _utc(received_at: datetime) -> datetime:
    if received_at.tzinfo is UTC:
        return received_at
    return received_at.replace(tzinfo=UTC) if received_at.tzinfo is None else received_at.astimezone(UTC)


def _check_room(reading: _Reading, elements: list[Any]) -> None:
    """Raise _Overfull when these items, each of which is one signal at least, do not fit. Counts before any is read."""
    if len(reading.items) + len(elements) > MOST_ITEMS:
        raise _Overfull(f"The body holds more than {MOST_ITEMS} items; send them in several.")


def _add(reading: _Reading, element: object, depth: int) -> None:
    items = reading.items
    if not isinstance(element, dict):
        items.append(Unreadable(_NESTED if isinstance(element, list) else _NO_OBJECT, element))
        return
    fields = fold(element)
    inner, problem = _unwrap(fields)
    if problem:
        items.append(Unreadable(problem, element))
    elif inner is None:
        items.append(_read(reading, element, fields))
    elif depth == 0:
        items.append(Unreadable(f"The alert is wrapped more than {_DEPTH} times.", element))
    else:
        _check_room(reading, inner)
        for item in inner:
            _add(reading, item, depth - 1)


def _unwrap(fields: Fields) -> tuple[list[Any] | None, str]:
    """What a wrapper holds, or None for no wrapper; and what is wrong with the wrapper, ``""`` for nothing."""
    if "requestbody" in fields and ("webhookname" in fields or "requestheader" in fields):
        return _content(fields["requestbody"], "The RequestBody of this runbook wrapper")
    if ("contentdata" in fields or "body" in fields) and not _EVENT_HUB.isdisjoint(fields):
        return _content(fields.get("contentdata") or fields.get("body"), "This Event Hub message")
    if "body" in fields and fields.keys() <= _HTTP_MESSAGE:
        return _content(fields["body"], "The body of this Logic App envelope")
    if "$content-type" in fields:
        parts = fields.get("$multipart")
        return _content(fields.get("$content") if parts is None else parts, "The content of this Logic App envelope")
    if "outputs" in fields and "body" in (outputs := fold(fields["outputs"])):
        return [outputs], ""  # a trigger or an action of a Logic App as a whole
    for name in ("records", "value"):
        inner = fields.get(name)
        if isinstance(inner, list) and (name == "records" or fields.keys() <= _PAGE):
            return (inner, "") if inner else (None, f"This envelope ({name}) is empty.")
    if "resulttruncated" in fields and isinstance(inner := fields.get("data"), list):
        return (inner, "") if inner else (None, "This answer of Resource Graph is empty.")
    return None, ""


def _content(inner: object, what: str) -> tuple[list[Any] | None, str]:
    """What a message holds: an object, an array, or either as JSON text, plain, in base64, or encoded once more."""
    for _ in range(2):
        if isinstance(inner, str):
            found = from_json(inner)
            inner = from_json(_from_base64(inner)) if found is None else found
    if isinstance(inner, dict):
        return [inner], ""
    if isinstance(inner, list) and inner:
        return inner, ""
    return None, f"{what} holds no JSON object."


def _from_base64(value: str) -> str:
    from binascii import Error, a2b_base64  # few relays do this

    try:
        return a2b_base64(value.encode("ascii", "replace")).decode("utf-8-sig")
    except (Error, ValueError):
        return ""


def _read(reading: _Reading, element: dict[str, Any], fields: Fields) -> Signal | Unreadable:
    try:
        for schema in reading.schemas:
            if schema.test(fields):
                break
        else:
            return Unreadable(reading.foreign(fields) or _no_schema(fields), element)
        try:
            return schema.read(fields, reading.received_at)
        except Unidentified as error:
            return Unreadable(f"This looks like {schema.name}, but {error}.", element)
    except Exception as error:
        # The last line of defence: a payload that fails because of a mistake of ours must be kept and the mistake
        # mended later, since senders do not repeat alerts. Tests assert that no known or mutated payload comes here.
        return Unreadable(f"Reading this payload failed ({type(error).__name__}); it is kept for replay.", element)


def _no_schema(fields: Fields) -> str:
    if not fields:
        return "This is an empty JSON object."
    keys = ", ".join(given(key)[:40] or "''" for key in list(fields)[:_KEYS_NAMED])
    return f"This follows no schema that is known here. Its keys are: {keys}."
