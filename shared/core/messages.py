"""The messages of the bridge's queue: what each asks for, and how it is written as JSON. Pure.

There are seven. All have the head of :class:`Message`; ``type`` in the JSON names the class:

===============  =========================  ===============================================================
type             class                      asks the worker to
===============  =========================  ===============================================================
signal           :class:`SignalMessage`     deliver a signal
end_when_quiet   :class:`EndWhenQuiet`      deliver a Resolved that the bridge made itself, if it still holds
read_rows        :class:`ReadRows`          read the rows of a signal and note them on its ticket
unreadable       :class:`UnreadableMessage` put an item that nobody could read into quarantine
flush_group      :class:`FlushGroup`        count a group's members and update its ticket
push_to_source   :class:`PushToSource`      tell a source the state of its ticket
affected_items   :class:`AddAffectedItems`  list the configuration items that a ticket's alerts affect
===============  =========================  ===============================================================

The webhook imports this module on its cold path: it imports nothing but the signal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol, get_args

from shared.core.signal import Order, Signal, Unreadable, from_dict, order_text, parse_order, read_json_text, to_dict
from shared.core.times import optional_moment, parse_moment, rfc3339

QUEUE = "bridge-signals"
POISON_QUEUE = f"{QUEUE}-poison"

#: The queue of jobs that a person asked for; see ``shared.operations.job_runs``.
JOB_QUEUE = "bridge-jobs"

#: A queue message holds 64 KiB of base64, which is 48 KiB of JSON; what is larger goes to a blob (claim check).
MAX_MESSAGE_BYTES = 48 * 1024

#: Version of the format. A release reads its own version and no other.
VERSION: Final = 1

#: What is known of the last attempt's call: none was made, it provably had no effect, or nobody knows.
LastOutcome = Literal["none", "not_applied", "unknown"]

_ID = re.compile(r"[0-9a-f]{32}")


class NewerVersion(ValueError):
    """The message ``message_id`` was written by a newer release. It waits on the queue until that release runs here."""

    def __init__(self, message_id: str, version: int) -> None:
        super().__init__(f"message {message_id} has version {version}; this release reads version {VERSION}")
        self.message_id = message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What all messages have.

    Attributes:
        id: follows the message from the webhook to the ticket's work note; 32 hex digits.
        received_at: when the bridge took it in, UTC.
        attempts: deliveries that failed so far.
        lock_waits: how often it went back on the queue because another worker held its key.
        last_outcome: of the last attempt's call to the ticket system.
        due: the worker does not work on it before; a queue hides messages for seven days at most.
        hidden_until: the queue hides it until then: what it waits before that, it waits on purpose.
        claim: name of the blob with its content, ``<id>.json``; empty when the message holds its content itself.
        replayed: a person sent it again from the dead letters.
        position: in the backlog of a connection's call budget, as the budget named it; empty when it has none.
        paused: seconds that it waited for a connection that was disabled: they are no part of its age.
    """

    id: str
    received_at: datetime
    attempts: int = 0
    lock_waits: int = 0
    last_outcome: LastOutcome = "none"
    due: datetime | None = None
    hidden_until: datetime | None = None
    claim: str = ""
    replayed: bool = False
    position: str = ""
    paused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalMessage(Message):
    """Deliver ``signal``. ``passed_throttle``: a throttle let it through, which holds for later attempts too."""

    signal: Signal
    passed_throttle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndWhenQuiet(SignalMessage):
    """Deliver a Resolved that the bridge made because a problem may never report its end.

    Attributes:
        since: the newest event of the key when this was ordered. Any other event since then makes it void.
        only_if_healthy: deliver it only when Azure says that the resources are available; ask again later otherwise.
    """

    since: Order
    only_if_healthy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRows(SignalMessage):
    """Read the rows that a signal is about, and note them on its ticket, which was made without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableMessage(Message):
    """Put an item that nobody could read into quarantine."""

    unreadable: Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushGroup(Message):
    """Count the members of the group with key ``group``, and update its ticket if need be. ``id`` names the order."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushToSource(Message):
    """Tell the source of ``key`` the state of its ticket."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAffectedItems(Message):
    """List what is affected on the ticket of ``key``: ``resources`` (ids or names), and those of a group's members
    where the key is a group's. ``own`` is what the ticket names as its own configuration item."""

    key: str
    own: str = ""
    resources: tuple[str, ...] = ()


class QueueSender(Protocol):
    """Puts messages on the queue."""

    async def send(self, message: Message, delay: timedelta = ...) -> None:
        """Send one, hidden for ``delay``. Raises StorageUnavailable."""
        ...


def signal_of(message: Message) -> Signal | None:
    """The signal of a message, None when it has none."""
    return message.signal if isinstance(message, SignalMessage) else None


def key_of(message: Message) -> str:
    """The key that a message is about: of its signal, its group, or what is pushed; empty when it is unreadable."""
    match message:
        case SignalMessage():
            return message.signal.key
        case FlushGroup():
            return message.group
        case PushToSource() | AddAffectedItems():
            return message.key
    return ""


def content(message: Message) -> dict[str, Any]:
    """The part of a message that goes to a blob when it is too large for the queue."""
    match message:
        case SignalMessage():
            return {"signal": to_dict(message.signal)}
        case UnreadableMessage():
            return {"unreadable": {"reason": message.unreadable.reason, "item": message.unreadable.item}}
        case AddAffectedItems():
            return {"own": message.own, "resources": list(message.resources)}
    return {}


def encode(message: Message) -> str:
    """The message as ASCII JSON. With ``claim`` set, without its content."""
    fields: dict[str, Any] = {
        "v": VERSION,
        "type": _TYPES[type(message)],
        "id": message.id,
        "received_at": rfc3339(message.received_at),
    }
    for name in ("attempts", "lock_waits", "claim", "replayed", "position", "paused"):
        if value := getattr(message, name):
            fields[name] = value
    if message.last_outcome != "none":
        fields["last_outcome"] = message.last_outcome
    for name in ("due", "hidden_until"):
        if (moment := getattr(message, name)) is not None:
            fields[name] = rfc3339(moment)
    match message:
        case SignalMessage():
            if message.passed_throttle:
                fields["passed_throttle"] = True
            if isinstance(message, EndWhenQuiet):
                fields |= {"since": order_text(message.since), "only_if_healthy": message.only_if_healthy}
        case FlushGroup():
            fields["group"] = message.group
        case PushToSource() | AddAffectedItems():
            fields["key"] = message.key
    if not message.claim:
        fields |= content(message)
    return json.dumps(fields, separators=(",", ":"))


def read_fields(text: str | bytes) -> dict[str, Any]:
    """The fields of a message's JSON, with version, id and claim checked. The content may lie in the blob ``claim``.

    Raises:
        NewerVersion: written by a newer release.
        ValueError: anything else that :func:`encode` did not write.
    """
    fields = read_object(text)
    version, name, claim = fields.get("v"), fields.get("id"), fields.get("claim", "")
    if type(version) is not int or not (isinstance(name, str) and _ID.fullmatch(name)):
        raise ValueError("not a message of the bridge: it has no version, or no id of 32 hex digits")
    if claim not in ("", f"{name}.json"):
        raise ValueError("not a message of the bridge: its claim is not the name of its own blob")
    if version > VERSION:
        raise NewerVersion(name, version)
    if version != VERSION:
        raise ValueError(f"not a message of the bridge: its version {version} is not known to this release")
    return fields


def read_object(text: str | bytes) -> dict[str, Any]:
    """The members of a JSON object: of a message, or of its content. Raises ValueError for anything else."""
    try:
        fields = read_json_text(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a message of the bridge: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError("not a message of the bridge: no JSON object")
    return fields


def from_fields(fields: Mapping[str, Any]) -> Message:
    """The message with these fields, its content among them. Raises ValueError as :func:`read_fields`."""
    try:
        build = _BUILDERS.get(fields["type"])
        if build is None:
            raise ValueError(f"it has no type that is known: {str(fields['type'])[:40]!r}")
        return build(fields, _head(fields))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message of the bridge: {error!r}") from None
    except ValueError as error:
        raise ValueError(f"not a message of the bridge: {error}") from None


def decode(text: str | bytes) -> Message:
    """Read a message that holds its content itself. Raises as :func:`read_fields`."""
    return from_fields(read_fields(text))


def _head(fields: Mapping[str, Any]) -> dict[str, Any]:
    last_outcome = fields.get("last_outcome", "none")
    if last_outcome not in get_args(LastOutcome):
        raise ValueError(f"its last_outcome is not known: {str(last_outcome)[:40]!r}")
    return {
        "id": fields["id"],
        "received_at": parse_moment(fields["received_at"]),
        "attempts": int(fields.get("attempts", 0)),
        "lock_waits": int(fields.get("lock_waits", 0)),
        "last_outcome": last_outcome,
        "due": optional_moment(fields.get("due")),
        "hidden_until": optional_moment(fields.get("hidden_until")),
        "claim": fields.get("claim", ""),
        "replayed": bool(fields.get("replayed", False)),
        "position": str(fields.get("position", "")),
        "paused": int(fields.get("paused", 0)),
    }


def _signal(fields: Mapping[str, Any], head: Mapping[str, Any]) -> SignalMessage:
    passed = bool(fields.get("passed_throttle", False))
    return SignalMessage(**head, signal=from_dict(fields["signal"]), passed_throttle=passed)


def _read_rows(fields: Mapping[str, Any], head: Mapping[str, Any]) -> ReadRows:
    return ReadRows(**head, signal=from_dict(fields["signal"]))


def _end_when_quiet(fields: Mapping[str, Any], head: Mapping[str, Any]) -> EndWhenQuiet:
    since = parse_order(fields["since"])
    if since is None:
        raise ValueError("it does not say since when")
    return EndWhenQuiet(
        **head,
        signal=from_dict(fields["signal"]),
        passed_throttle=bool(fields.get("passed_throttle", False)),
        since=since,
        only_if_healthy=bool(fields["only_if_healthy"]),
    )


def _unreadable(fields: Mapping[str, Any], head: Mapping[str, Any]) -> UnreadableMessage:
    found = fields["unreadable"]
    return UnreadableMessage(**head, unreadable=Unreadable(found["reason"], found["item"]))


def _flush_group(fields: Mapping[str, Any], head: Mapping[str, Any]) -> FlushGroup:
    return FlushGroup(**head, group=fields["group"])


def _push_to_source(fields: Mapping[str, Any], head: Mapping[str, Any]) -> PushToSource:
    return PushToSource(**head, key=fields["key"])


def _add_affected_items(fields: Mapping[str, Any], head: Mapping[str, Any]) -> AddAffectedItems:
    resources = tuple(map(str, fields["resources"]))
    return AddAffectedItems(**head, key=fields["key"], own=str(fields["own"]), resources=resources)


_TYPES: Final[Mapping[type[Message], str]] = {
    SignalMessage: "signal",
    EndWhenQuiet: "end_when_quiet",
    ReadRows: "read_rows",
    UnreadableMessage: "unreadable",
    FlushGroup: "flush_group",
    PushToSource: "push_to_source",
    AddAffectedItems: "affected_items",
}

_BUILDERS: Final[Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Message]]] = {
    "signal": _signal,
    "end_when_quiet": _end_when_quiet,
    "read_rows": _read_rows,
    "unreadable": _unreadable,
    "flush_group": _flush_group,
    "push_to_source": _push_to_source,
    "affected_items": _add_affected_items,
}
