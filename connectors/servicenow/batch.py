"""The Batch API: several creates in one request, each with an answer of its own. Pure: calls in, outcomes out.

Items run one after the other with the credentials of the request; they are no transaction. The request is answered 200
whatever the items say. An item that the limits of size or time (30 seconds) did not let run is listed as unserviced.

What is not documented, and how it is understood: an item of which the answer says nothing, or two things, proves
nothing. An unserviced item is believed not to have run; where it did all the same, a repetition meets the sys_id that
the bridge chose.

Sources: ServiceNow docs, "Batch API", "Inbound REST API rate limiting" (the X-RateLimit headers are on every answer
that a rule matches, so items that bear them are counted one by one).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from connectors.servicenow.answers import asleep, call_report
from connectors.servicenow.wire import Purpose, ServiceNowReply, WireCall
from shared.core.rate_gate import CallReport

PATH = "/api/now/v1/batch"

#: Most items of a request: as many messages as a worker has in progress (host.json).
MOST_ITEMS = 24

#: Most bytes of all bodies of a request before they are encoded. ServiceNow's limit is 5 MB for each item.
MOST_BYTES = 1_000_000

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class BatchReply:
    """The answer to a batch.

    Attributes:
        outer: the answer to the request as a whole.
        items: the answer to each item that has one, by its position.
        unserviced: positions of those that were not run.
        readable: whether the request was answered as documented. Otherwise ``outer`` is all that is known.
    """

    outer: ServiceNowReply
    items: Mapping[int, ServiceNowReply]
    unserviced: frozenset[int]
    readable: bool = True

    @property
    def counted_one_by_one(self) -> bool:
        """Whether a rate limit rule of the instance counts the items: they bear its headers, or one was refused."""
        return any(
            reply.status == 429 or any(name.startswith("x-ratelimit-") for name in reply.headers)
            for reply in self.items.values()
        )


def size_of(call: WireCall) -> int:
    """Bytes of a call's body."""
    return len(_body(call))


def batch_call(calls: Sequence[WireCall], *, weight: int = 1) -> WireCall:
    """The request that carries the calls; the id of each item is its position. ``weight``: calls of the budget."""
    items = [
        {
            "id": str(position),
            "method": call.method,
            "url": f"{call.path}?{urlencode(call.params)}" if call.params else call.path,
            "headers": [{"name": name, "value": value} for name, value in _JSON.items()],
            **({"body": base64.b64encode(_body(call)).decode()} if call.body is not None else {}),
        }
        for position, call in enumerate(calls)
    ]
    body = {"batch_request_id": "1", "rest_requests": items}
    return WireCall("POST", PATH, Purpose.BATCH, body=body, weight=weight)


def _body(call: WireCall) -> bytes:
    return b"" if call.body is None else json.dumps(call.body, ensure_ascii=False, allow_nan=False).encode()


def read_batch(reply: ServiceNowReply) -> BatchReply:
    """Take an answer apart."""
    data = reply.json() if reply.status == 200 and reply.is_json and not asleep(reply) else None
    serviced = data.get("serviced_requests") if isinstance(data, dict) and data.get("error") is None else None
    if not isinstance(serviced, list):
        return BatchReply(reply, {}, frozenset(), readable=False)
    items, unserviced = read_items(data if isinstance(data, dict) else {})
    return BatchReply(reply, items, unserviced)


def read_items(data: Mapping[str, Any]) -> tuple[dict[int, ServiceNowReply], frozenset[int]]:
    """The answers to the items by their positions, and the positions of those that were not run; from the JSON of an
    answer. Items that cannot be read, or of which two things are said, are in neither."""
    items: dict[int, ServiceNowReply] = {}
    told = []
    for item in data["serviced_requests"]:
        position = _position(item.get("id")) if isinstance(item, Mapping) else None
        if position is None:
            continue
        told.append(position)
        answer = _item_reply(item)
        if answer is not None:
            items[position] = answer
    listed = data.get("unserviced_requests")
    unserviced = (
        {found for one in listed if (found := _position(one)) is not None} if isinstance(listed, list) else set()
    )
    contradicted = {one for one in told if told.count(one) > 1 or one in unserviced}
    answered = {position: answer for position, answer in items.items() if position not in contradicted}
    return answered, frozenset(unserviced - contradicted)


def _position(raw: Any) -> int | None:
    text = str(raw)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else None


def _item_reply(item: Mapping[str, Any]) -> ServiceNowReply | None:
    status, body, listed = item.get("status_code"), item.get("body"), item.get("headers")
    if not isinstance(status, int) or isinstance(status, bool) or not isinstance(body, str | None):
        return None
    try:
        content = base64.b64decode("".join((body or "").split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    headers = {"content-type": _JSON["Accept"]}  # as it was asked for; an instance may leave headers out
    for header in listed if isinstance(listed, list) else ():
        if isinstance(header, Mapping):
            headers[str(header.get("name", "")).lower()] = str(header.get("value", ""))
    return ServiceNowReply(status, headers, content)


def batch_report(reply: ServiceNowReply, now: datetime) -> CallReport:
    """What an answer tells the call budget: a refused item says what a refused request would."""
    refused = [item for item in read_batch(reply).items.values() if item.status == 429]
    if not refused:
        return call_report(reply, now)
    date = {name: text for name, text in reply.headers.items() if name == "date"}
    return call_report(ServiceNowReply(429, {**date, **refused[0].headers}, refused[0].body), now)
