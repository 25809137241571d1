"""The messages of the queue as text, and what becomes of a message that this release cannot read."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.core.messages import (
    VERSION,
    AddAffectedItems,
    EndWhenQuiet,
    FlushGroup,
    Message,
    NewerVersion,
    PushToSource,
    ReadRows,
    SignalMessage,
    UnreadableMessage,
    content,
    decode,
    encode,
    from_fields,
    key_of,
    read_fields,
    signal_of,
)
from shared.core.outcome import OutcomeKind
from shared.core.signal import Resource, Row, Rows, SignalState, Unreadable
from tests.delivery.world import START, World, signal

ID = "0123456789abcdef" * 2
FIRED = signal(SignalState.FIRED, timedelta())
TABLE = Rows(("Computer", "FreeMB"), (Row(("web-01", "5"), Resource("/x", "web-01")), Row(("b", ""))), 9, ("Computer",))
ROWS = replace(FIRED, rows=replace(TABLE, whole=False), rows_from="x", series="log:1:x", part_of="row:1:x")

MESSAGES: list[Message] = [
    SignalMessage(id=ID, received_at=START, signal=FIRED),
    SignalMessage(
        id=ID,
        received_at=START,
        attempts=3,
        lock_waits=2,
        last_outcome="not_applied",
        due=START,
        replayed=True,
        position="line/7",
        paused=900,
        signal=FIRED,
        passed_throttle=True,
    ),
    EndWhenQuiet(id=ID, received_at=START, signal=FIRED, since=FIRED.order, only_if_healthy=True),
    EndWhenQuiet(id=ID, received_at=START, signal=FIRED, since=FIRED.order, passed_throttle=True),
    UnreadableMessage(id=ID, received_at=START, unreadable=Unreadable("no schema", {"x": [1, None]})),
    FlushGroup(id=ID, received_at=START, group="group:1:x", due=START),
    PushToSource(id=ID, received_at=START, key="alert:1:x"),
    AddAffectedItems(id=ID, received_at=START, due=START, key="alert:1:x", own="vm-1", resources=("vm-1", "vm-2")),
    ReadRows(id=ID, received_at=START, due=START, signal=ROWS),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_is_read_as_it_was_written(message: Message) -> None:
    assert decode(encode(message)) == message
    assert json.loads(encode(message))["v"] == VERSION


def test_a_message_tells_its_key_and_its_signal() -> None:
    keys = [FIRED.key, "", "group:1:x", "alert:1:x", "alert:1:x", ROWS.key]
    assert [key_of(message) for message in MESSAGES[3:]] == keys
    assert [signal_of(message) is FIRED for message in MESSAGES] == [*[True] * 4, *[False] * 5]
    assert signal_of(MESSAGES[-1]) is ROWS


def test_the_content_of_a_large_message_is_read_from_its_blob() -> None:
    claimed = replace(MESSAGES[4], claim=f"{ID}.json")
    text = encode(claimed)
    assert "unreadable" not in json.loads(text)
    assert from_fields(read_fields(text) | content(claimed)) == claimed
    with pytest.raises(ValueError, match="not a message of the bridge"):
        decode(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "x"},
        {"id": ID.upper()},
        {"id": f"{ID}0"},
        {"id": f"../{ID[3:]}"},
        {"id": 7},
        {"claim": f"{'f' * 32}.json"},
        {"claim": f"../{ID}.json"},
        {"claim": ["x"]},
        {"v": 0},
        {"v": "1"},
        {"v": True},
        {"type": "something"},
        {"type": ["signal"]},
        {"type": None},
        {"received_at": "yesterday"},
        {"received_at": "2026-03-01T12:00:00"},
        {"due": 5},
        {"attempts": "many"},
        {"last_outcome": "splendid"},
        {"signal": None},
        {"signal": {"key": "x"}},
    ],
)
def test_what_the_bridge_did_not_write_is_a_value_error(changes: dict[str, object]) -> None:
    text = json.dumps(json.loads(encode(MESSAGES[0])) | changes)
    with pytest.raises(ValueError, match="not a message of the bridge") as caught:
        decode(text)
    assert not isinstance(caught.value, NewerVersion)


def test_a_newer_version_is_told_apart_from_what_is_foreign() -> None:
    written = json.loads(encode(MESSAGES[0])) | {"v": VERSION + 1, "type": "not known here", "received_at": {}}
    with pytest.raises(NewerVersion) as caught:
        decode(json.dumps(written))
    assert caught.value.message_id == ID
    for foreign in ({"v": VERSION + 1}, {"v": 99, "id": "x"}, {**written, "claim": "elsewhere.json"}):
        with pytest.raises(ValueError, match="not a message of the bridge"):
            decode(json.dumps(foreign))


def newer() -> str:
    return json.dumps({"v": VERSION + 1, "id": ID, "type": "of next year", "x": "ü"})


@pytest.mark.parametrize("text", [newer(), newer().encode()], ids=["text", "bytes"])
@pytest.mark.parametrize("queue", ["signals", "poison"])
def test_a_message_of_a_newer_release_waits_on_the_queue_and_is_never_parked(queue: str, text: str | bytes) -> None:
    world = World()
    worker = world.worker
    work = worker.handle("1", text, 5) if queue == "signals" else worker.handle_poison("1", text)
    run_through(work)
    (waiting,) = world.queue.messages.values()
    assert (waiting.text, waiting.visible_at) == (newer(), START + timedelta(minutes=10))
    assert world.kept.kept == {}
    (outcome,) = world.listener.outcomes
    assert (outcome.kind, outcome.id, outcome.is_queued_again) == (OutcomeKind.WAITS_FOR_RELEASE, ID, True)
    for _ in range(20):  # however long the newer release is away
        world.work_off(world.now + timedelta(minutes=10))
    assert len(world.queue.messages) == 1
    assert world.kept.kept == {}


def test_a_text_that_is_no_message_is_parked_once() -> None:
    world = World()
    run_through(world.worker.handle("message-1", b"\xff hello", 1))
    assert world.queue.messages == {}
    (outcome,) = world.listener.outcomes
    assert (outcome.kind, outcome.code) == (OutcomeKind.DEAD_LETTERED, "foreign_message")
    assert world.kept.texts == {"message-1": "� hello"}


def test_every_end_is_told_to_the_listeners_once_with_what_the_worker_measured() -> None:
    world = World()
    world.post(FIRED, "1" * 32)
    world.now += timedelta(seconds=4)
    world.work_off()
    (outcome,) = world.listener.outcomes
    assert (outcome.kind, outcome.decision, outcome.connection, outcome.route) == (
        OutcomeKind.DELIVERED,
        "created",
        "desk",
        "default",
    )
    assert (outcome.id, outcome.key, outcome.signal) == ("1" * 32, FIRED.key, FIRED)
    assert (outcome.seconds, outcome.attempts, outcome.ended_at) == (4.0, 1, world.now)
    assert outcome.ticket is not None
    assert outcome.ticket.number == "INC0010001"


def run_through(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine of the world to its end; nothing goes wrong on its way."""
    try:
        work.send(None)
        while True:
            work.send("ok")
    except StopIteration:
        return
