"""Rows that an alert does not bring: in the ticket when they come in time, else one note, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from shared.core.messages import ReadRows, decode
from shared.core.signal import Signal, SignalState
from tests.delivery.hostile import PICK, SETTINGS, Hostile
from tests.delivery.world import START, World, signal
from tests.splitting.alerts import rows_of

HEADING = "Rows that the query returned:"


def queried(state: SignalState = SignalState.FIRED, minute: float = 0) -> Signal:
    found = signal(state, timedelta(minutes=minute), key="alert:1:one")
    return replace(found, kind="log", rows_from="disks" if state is SignalState.FIRED else "")


def world(**options: object) -> World:
    made = World(**options)  # type: ignore[arg-type]
    made.reader.known["disks"] = rows_of("web-01", "web-02")
    return made


def goes_on(one: World, tell: Callable[[str], str] = lambda _place: "ok", minutes: float = 30) -> None:
    """Everything is worked off until then; ``tell`` says what happens at each stop."""
    until = START + timedelta(minutes=minutes)
    for _ in range(400):
        ready = one.visible()
        if not ready:
            due = min((m.visible_at for m in one.queue.messages.values()), default=until)
            if due >= until:
                return
            one.now = due
            continue
        number = one.start(ready[0])
        while number in one.running:
            one.resume(number, tell(one.running[number].place))
    raise AssertionError("the queue does not come to rest")


def notes(one: World) -> list[str]:
    return [note for row in one.desk.rows.values() for note in row.notes if HEADING in note]


def description(one: World) -> str:
    return str(one.desk.drafts[0].fields["description"])


def test_rows_that_come_in_time_are_in_the_ticket_and_cost_no_note() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    goes_on(one)
    assert "web-01 | 0\nweb-02 | 1" in description(one)
    assert (notes(one), one.desk.calls, one.reader.reads) == ([], ["create"], 1)


def test_the_ticket_comes_first_and_slow_rows_follow_as_one_note() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    goes_on(one, lambda place: "slow" if place == "rows" else "ok")
    assert HEADING not in description(one)
    (note,) = notes(one)
    assert "web-01 | 0\nweb-02 | 1" in note
    assert one.desk.calls == ["create", "find", "comment"]


def test_rows_are_tried_a_few_times_and_then_the_log_says_why_there_are_none() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    goes_on(one, lambda place: "slow" if place.startswith("rows") else "ok")
    assert notes(one) == []
    assert one.reader.reads == 7
    last = one.listener.outcomes[-1]
    assert (last.decision, last.reason) == ("rows_unavailable", "no rows within 3 seconds")
    assert not one.queue.messages
    assert not one.kept.kept


def test_rows_that_may_not_be_read_delay_nothing_and_are_not_tried_again() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    goes_on(one, lambda place: "refused" if place.startswith("rows") else "ok")
    assert (one.desk.calls, one.reader.reads) == (["create"], 1)


def test_the_same_alert_again_brings_no_second_note() -> None:
    one = world()
    for number in range(3):
        one.post(queried(), f"{number:032x}")
    goes_on(one, lambda place: "slow" if place == "rows" else "ok")
    assert len(notes(one)) == 1


def test_a_worker_that_dies_before_it_orders_the_note_is_made_up_for() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    number = one.start(one.visible()[0])
    while one.running[number].place != "send":
        one.resume(number, "slow" if one.running[number].place == "rows" else "ok")
    one.kill(number)
    goes_on(one, lambda place: "slow" if place == "rows" else "ok")
    assert len(notes(one)) == 1


def test_a_note_that_the_ticket_system_does_not_take_is_tried_again_without_another_query() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    refused = iter(["throttled", "lost"])
    goes_on(one, lambda place: "slow" if place == "rows" else next(refused, "ok") if place == "comment" else "ok")
    assert len(notes(one)) == 1
    assert one.reader.reads == 2


def test_an_alert_that_ended_meanwhile_gets_no_note() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    one.post(queried(SignalState.RESOLVED, 0), f"{2:032x}")
    goes_on(one, lambda place: "slow" if place == "rows" else "ok")
    assert notes(one) == []
    assert [row.phase.value for row in one.desk.rows.values()] == ["resolved"]


def test_a_ticket_of_a_group_reads_no_rows() -> None:
    one = world(route="group: {by: rule}")
    one.post(queried(), f"{1:032x}")
    goes_on(one)
    assert one.reader.reads == 0


def test_the_order_to_read_rows_survives_its_way_through_the_queue() -> None:
    one = world()
    one.post(queried(), f"{1:032x}")
    number = one.start(one.visible()[0])
    while number in one.running:
        one.resume(number, "slow" if one.running[number].place == "rows" else "ok")
    (message,) = one.queue.messages.values()
    assert isinstance(decode(message.text), ReadRows)


class Notes(Hostile):
    """The rows of one alert under every fault: one ticket, and the note at most once."""

    @initialize(indices=st.lists(st.booleans(), min_size=1, max_size=3))
    def begin(self, indices: list[bool]) -> None:
        self.world = world(workers=2)
        self.posted = 0
        for _ in indices:
            self.it_comes()

    @rule()
    def it_comes(self) -> None:
        self.posted += 1
        self.world.post(queried(), f"{self.posted:032x}")

    @rule(pick=PICK, told=st.sampled_from(["slow", "ok"]))
    def rows_are_read(self, pick: int, told: str) -> None:
        at = [number for number, run in self.world.running.items() if run.place.startswith("rows")]
        if at:
            self.world.resume(at[pick % len(at)], told)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        assert not self.world.kept.kept
        assert len(self.world.desk.rows) == 1
        assert len(notes(self.world)) <= 1
        assert notes(self.world) or HEADING in description(self.world), "the rows are in the ticket, one way or another"


TestNotes = Notes.TestCase
TestNotes.settings = SETTINGS


@pytest.mark.parametrize("resolve", ["resolve", "comment"])
def test_a_route_without_updates_gets_rows_in_time_or_not_at_all(resolve: str) -> None:
    one = world(route="updates: nothing", resolve=resolve)
    one.post(queried(), f"{1:032x}")
    goes_on(one, lambda place: "slow" if place == "rows" else "ok")
    assert notes(one) == []
