"""What the queue carries: one signal (or one unreadable item) with the history of its delivery. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from shared.core.order import Order, order_text, parse_order
from shared.core.signal import Signal, Unreadable, from_dict, to_dict
from shared.core.times import rfc3339

QUEUE = "bridge-signals"
POISON_QUEUE = f"{QUEUE}-poison"

#: A queue message holds 64 KiB of base64, which is 48 KiB of JSON; what is larger goes to a blob (claim check).
MAX_MESSAGE_BYTES = 48 * 1024

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message.

    Attributes:
        id: follows the signal from the webhook to the ticket's work note; 32 hex digits.
        received_at: when the webhook took it in, UTC.
        signal: the signal, None when the item was unreadable or lies in a blob.
        unreadable: what nobody could read, for quarantine.
        claim: name of the blob that holds the content when the message would be too large, else empty.
        attempts: failed deliveries so far. waits: times it made way for another worker on the same key.
        outcome: of the last attempt's call: nothing was called, provably not applied, or unknown.
        replayed: a person sent it again from the dead letters.
        due: not to be worked on before; a queue hides messages for seven days at most.
        since: of a resolve because of quiet: the newest event when it was set; any other has overtaken it.
        ask: such a resolve is only for a resource that is well again, which is to be asked first.
        flush: key of the group that is to be looked at; such a message has no signal.
        tell: key whose source is to be told what became of its ticket; such a message has no signal.
        passed: a throttle has let it through, which holds for later attempts too.
        place: in the line of those that wait for a call of the budget, as the budget named it.
    """

    id: str
    received_at: datetime
    signal: Signal | None = None
    unreadable: Unreadable | None = None
    claim: str = ""
    attempts: int = 0
    waits: int = 0
    outcome: Literal["none", "not_applied", "unknown"] = "none"
    replayed: bool = False
    due: datetime | None = None
    since: Order | None = None
    ask: bool = False
    flush: str = ""
    tell: str = ""
    passed: bool = False
    place: str = ""


class QueueSender(Protocol):
    """Puts envelopes on the queue."""

    async def send(self, envelope: Envelope, delay: timedelta = ...) -> None:
        """Send one, hidden for ``delay``. Raises StorageUnavailable."""
        ...


def content(envelope: Envelope) -> dict[str, Any]:
    """The part that goes to a blob when it is too large for a message."""
    if envelope.signal is not None:
        return {"signal": to_dict(envelope.signal)}
    if envelope.unreadable is not None:
        return {"unreadable": {"reason": envelope.unreadable.reason, "item": envelope.unreadable.item}}
    return {}


def encode(envelope: Envelope) -> str:
    """The message as ASCII JSON. With ``claim`` set, without its content."""
    head: dict[str, Any] = {"v": _VERSION, "id": envelope.id, "received_at": rfc3339(envelope.received_at)}
    for name in ("claim", "attempts", "waits", "replayed", "ask", "flush", "tell", "passed", "place"):
        value = getattr(envelope, name)
        if value:
            head[name] = value
    if envelope.due is not None:
        head["due"] = rfc3339(envelope.due)
    if envelope.since is not None:
        head["since"] = order_text(envelope.since)
    if envelope.outcome != "none":
        head["outcome"] = envelope.outcome
    if not envelope.claim:
        head |= content(envelope)
    return json.dumps(head, separators=(",", ":"))


def decode(text: str | bytes, blob: str | bytes | None = None) -> Envelope:
    """Read a message, and the blob its claim names. Raises ValueError for anything that ``encode`` did not write."""
    try:
        data = json.loads(text)
        if blob is not None:
            data |= json.loads(blob)
        if data["v"] != _VERSION:
            raise ValueError(f"its version {data['v']} is not known to this release")
        unreadable = data.get("unreadable")
        return Envelope(
            id=data["id"],
            received_at=datetime.fromisoformat(data["received_at"]),
            signal=from_dict(data["signal"]) if "signal" in data else None,
            unreadable=Unreadable(unreadable["reason"], unreadable["item"]) if unreadable else None,
            claim=data.get("claim", ""),
            attempts=data.get("attempts", 0),
            waits=data.get("waits", 0),
            outcome=data.get("outcome", "none"),
            replayed=data.get("replayed", False),
            due=datetime.fromisoformat(data["due"]) if "due" in data else None,
            since=parse_order(data.get("since", "")),
            ask=data.get("ask", False),
            flush=data.get("flush", ""),
            tell=data.get("tell", ""),
            passed=data.get("passed", False),
            place=data.get("place", ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message of the bridge: {error!r}") from None
    except ValueError as error:
        raise ValueError(f"not a message of the bridge: {error}") from None
