"""What happens between an HTTP body and the queue: check, decode, parse, one message per signal.

This is the cold-start path: nothing here imports an SDK, pydantic or a connector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.core.messages import Message, SignalMessage, UnreadableMessage
from shared.core.payload_schema import ForeignReason, PayloadSchema, no_foreign_reason
from shared.core.problem import Problem
from shared.core.signal import Signal, Unreadable, read_json_text
from shared.payloads.keys import Unidentified
from shared.payloads.parse import MOST_ITEMS, TooManyItems, parse

if TYPE_CHECKING:
    from shared.core.payload_schema import Fields, PayloadReader
    from shared.core.plugins import SourcePlugin

#: Azure Monitor sends at most 256 KB; relays bundle. More is refused with 413.
MAX_BODY_BYTES = 1024 * 1024

#: Objects and arrays inside each other. Azure's own alerts stay below 12.
MAX_DEPTH = 64

_EXPECTED = "Expected: a JSON object (one alert) or array of objects, Content-Type application/json."
_SPLIT = "Azure Monitor sends at most 262,144: split what you bundle."


def read_json(body: bytes, content_type: str | None, limit: int = MAX_BODY_BYTES) -> dict[str, Any] | list[Any]:
    """Decode the body of a request that brings signals: an object or an array.

    Args:
        body: as received.
        content_type: value of the header; none at all is taken for JSON.
        limit: largest size in bytes.

    Raises:
        Problem: as :func:`decode_json`, 400 neither object nor array, 413 more items than ``MOST_ITEMS``.
    """
    data = decode_json(body, content_type, limit)
    if not isinstance(data, dict | list):
        raise Problem(400, "Not an alert", f"The body is a JSON {_json_type(data)}. {_EXPECTED}")
    if isinstance(data, list) and len(data) > MOST_ITEMS:
        raise Problem(413, "Too many items", f"The array has {len(data):,} items; the limit is {MOST_ITEMS}.")
    return data


def decode_json(
    body: bytes,
    content_type: str | None,
    limit: int = MAX_BODY_BYTES,
    expected: str = _EXPECTED,
    advice: str = _SPLIT,
    *,
    read: Callable[[bytes], Any] = read_json_text,
) -> object:
    """Decode a request body.

    Args:
        body: as received.
        content_type: value of the header; none at all is taken for JSON.
        limit: largest size in bytes.
        expected: sentence that says what a right body is.
        advice: sentence that says what to do about a body that is too large.
        read: reads JSON. An alert is never refused for a ``NaN``; whoever refuses it reads as Python does.

    Raises:
        Problem: 413 too large, 415 not JSON by its type, 400 empty, not JSON, or nested too deeply.
    """
    if len(body) > limit:
        raise Problem(413, "Body too large", f"The body has {len(body):,} bytes; the limit is {limit:,}. {advice}")
    kind = (content_type or "application/json").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json") and kind != "text/json":
        raise Problem(415, "Not a JSON body", f"Content-Type is '{kind[:100]}'. {expected}")
    if not body.strip():
        raise Problem(400, "Empty body", expected)
    try:
        data = read(body)
    except RecursionError:
        raise Problem(400, "JSON nested too deeply", expected) from None
    except ValueError as error:  # not JSON, not the encoding it claims, or a number of thousands of digits
        raise Problem(400, "Not JSON", f"The body cannot be read: {str(error)[:200]}. {expected}") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper(data, MAX_DEPTH):
        raise Problem(400, "JSON nested too deeply", f"The body is nested more than {MAX_DEPTH} deep. {expected}")
    return data


def _deeper(value: object, limit: int) -> bool:
    """Whether containers are nested more than ``limit`` deep; level by level, so that no depth exhausts the stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        insides = (outer.values() if isinstance(outer, dict) else outer for outer in level)
        level = [inner for inside in insides for inner in inside if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def refused_token(status: int) -> Problem:
    """What a caller is told whose token was not accepted: enough to know that it is the token. The log knows more."""
    if status == 403:
        return Problem(403, "Forbidden", "This caller may not send alerts here. The app's log says why.")
    if status == 503:
        detail = "The token cannot be checked at the moment."
        return Problem(503, "Keys unavailable", detail, {"Retry-After": "5"})
    challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return Problem(
        401, "Unauthorized", "An access token that is valid here is needed. The app's log says more.", challenge
    )


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a body became: one message per signal or unreadable item, in order."""

    messages: tuple[Message, ...]

    def receipt(self) -> dict[str, Any]:
        """The answer to the sender: an id per item, under which it can be followed."""
        items: list[dict[str, str]] = []
        for message in self.messages:
            if isinstance(message, UnreadableMessage):
                items.append({"id": message.id, "status": "quarantined", "reason": message.unreadable.reason})
            elif isinstance(message, SignalMessage):
                items.append({"id": message.id, "status": "accepted", "key": message.signal.key})
        return {"items": items}


def endpoint_schemas(sources: Sequence[SourcePlugin], function: str, setting: str) -> tuple[PayloadSchema, ...]:
    """The payloads that a function takes: those of the source whose trigger it is.

    Each endpoint has a key of its own, which proves nothing about other sources. So their payloads are recognised, and
    go to quarantine with a reason.

    Args:
        sources: all of them, in the order in which their payloads are tried.
        function: name of an intake or of a trigger of an Event Hub.
        setting: application setting that the reason names, with which every endpoint takes every payload.
    """
    found: list[PayloadSchema] = []
    for source in sources:
        names = {intake.name for intake in source.intakes} | {hub.name for hub in source.event_hubs}
        if function in names:
            found += source.schemas
        else:
            routes = [*(one.route for one in source.intakes), *(one.route for one in source.endpoints)]
            elsewhere = f"to /api/{routes[0]}" if routes else "nowhere: the bridge reads them itself"
            refuse = _refused_at(function, elsewhere, setting)
            found += [schema._replace(read=refuse) for schema in source.schemas]
    return tuple(found)


def _refused_at(function: str, elsewhere: str, setting: str) -> PayloadReader:
    def refuse(_body: Fields, _received_at: datetime) -> Signal:
        raise Unidentified(
            f"the endpoint '{function}' does not take it. Send such payloads {elsewhere}, or set {setting} to true"
        )

    return refuse


def accept_events(
    bodies: Iterable[bytes],
    received_at: datetime,
    schemas: Sequence[PayloadSchema],
    foreign: ForeignReason = no_foreign_reason,
) -> Accepted:
    """Turn the events of an Event Hub into messages. Never raises: no sender waits for an answer, so what is no JSON
    goes to quarantine too. Arguments as in ``shared.payloads.parse.parse``."""
    messages: list[Message] = []
    for body in bodies:
        try:
            data = read_json_text(body)
            if _deeper(data, MAX_DEPTH):
                raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        except (ValueError, RecursionError) as error:
            reason = f"This Event Hub message is not JSON: {str(error)[:200]}."
            unreadable = Unreadable(reason, body[:MAX_BODY_BYTES].decode("utf-8", "replace"))
            messages.append(UnreadableMessage(id=uuid4().hex, received_at=received_at, unreadable=unreadable))
            continue
        messages += _messages(parse(data, received_at, schemas, foreign), received_at)
    return Accepted(tuple(messages))


def accept(
    body: object,
    received_at: datetime,
    schemas: Sequence[PayloadSchema],
    foreign: ForeignReason = no_foreign_reason,
) -> Accepted:
    """Turn a decoded body into messages. What cannot be read is a message for quarantine.

    Arguments as in ``shared.payloads.parse.parse``.

    Raises:
        Problem: 413 more items than ``MOST_ITEMS``, counted after unwrapping.
    """
    items = parse(body, received_at, schemas, foreign)
    if items and isinstance(items[0], TooManyItems):
        raise Problem(413, "Too many items", items[0].reason)
    return Accepted(tuple(_messages(items, received_at)))


def _messages(items: Iterable[Signal | Unreadable], received_at: datetime) -> Iterator[Message]:
    for item in items:
        match item:
            case Signal():
                yield SignalMessage(id=uuid4().hex, received_at=received_at, signal=item)
            case Unreadable():
                yield UnreadableMessage(id=uuid4().hex, received_at=received_at, unreadable=item)
