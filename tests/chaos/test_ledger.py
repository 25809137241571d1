"""The ledger finds what is lost, doubled and wrong: a chaos that overlooks such things would be worth nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.registry import REGISTRY
from local.chaos.backlog import in_order
from local.chaos.calls import Call, efficiency, per_window
from local.chaos.ledger import Ledger, balance
from local.chaos.sender import Receipt
from local.chaos.stories import Event, Fate, body, one_rule, storm
from local.chaos.truth import Desk, Member, Truth, alert_of
from shared.core.link import Link, LinkStage, correlation
from shared.core.messages import SignalMessage, UnreadableMessage
from shared.core.ticket_system import TicketKind, TicketRef
from shared.web.intake import accept

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GROUP = "group:1:grouped/storm-0"


def alert(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def event(number: int, fate: Fate, minutes: int = 0, *, resolved: bool = False) -> Event:
    return Event(alert(number), fate, "storm-0", 2, NOW + timedelta(minutes=minutes), resolved=resolved)


def ticket(key: str, *, over: bool, number: str = "INC1") -> Desk:
    return Desk("incident", number, key, over)


def reference(key: str) -> TicketRef:
    return TicketRef(kind=TicketKind.INCIDENT, id="0" * 32, correlation=key, number="INC1", url="")


class Case:
    """Everything as it should be; a test then breaks one thing."""

    def __init__(self) -> None:
        self.truth = Truth()
        self.receipts: list[Receipt] = []
        fired, ended = event(1, Fate.TICKET), event(1, Fate.TICKET, 5, resolved=True)
        for one in (fired, ended, ended):
            self.take(one)
        key = f"alert:1:{alert(1)}"
        self.truth.links[alert(1)] = Link(
            key, generation=1, stage=LinkStage.RESOLVED, latest=(ended.at, 2), ticket=reference(key)
        )
        self.truth.tickets.append(ticket(key, over=True))
        for number in (2, 3):
            self.take(event(number, Fate.GROUPED))
            self.truth.members[alert(number)] = [Member("g", alert(number), (NOW, 0), None)]
        self.truth.groups["g"] = Link(GROUP, generation=1, stage=LinkStage.OPEN, ticket=reference(GROUP))
        self.truth.tickets.append(ticket(GROUP, over=False, number="INC2"))
        self.take(event(4, Fate.PATIENT))
        self.truth.links[alert(4)] = Link(
            f"alert:1:{alert(4)}", first_held=(NOW, 0), held_by="only_after", last_held=(NOW, 0)
        )
        self.truth.kept[self.take(event(5, Fate.REFUSED))] = "dead-letter"
        self.truth.kept[self.take(event(6, Fate.UNREADABLE))] = "quarantine"

    def take(self, one: Event) -> str:
        found = f"id{len(self.receipts)}"
        self.receipts.append(Receipt(one, found, 0.0))
        return found

    def ledger(self) -> Ledger:
        return balance(self.receipts, self.truth)

    def change(self, number: int, **changes: Any) -> None:
        self.truth.links[alert(number)] = replace(self.truth.links[alert(number)], **changes)


def test_everything_in_its_place_balances() -> None:
    ledger = Case().ledger()
    assert ledger.findings() == []
    assert ledger.balances
    assert ledger.places == {
        "delivered": 2,
        "duplicate": 1,
        "grouped": 2,
        "suppressed": 1,
        "dead-lettered": 1,
        "quarantined": 1,
    }


def forget_link(case: Case) -> None:
    del case.truth.links[alert(4)]


def forget_resolved(case: Case) -> None:
    case.change(1, latest=(NOW, 0))


def forget_member(case: Case) -> None:
    del case.truth.members[alert(2)]


def forget_second_firing(case: Case) -> None:
    case.take(event(2, Fate.GROUPED, 3))


def forget_kept(case: Case) -> None:
    case.truth.kept.clear()


@pytest.mark.parametrize(
    ("break_it", "lost"),
    [(forget_link, 1), (forget_resolved, 2), (forget_member, 1), (forget_second_firing, 1), (forget_kept, 2)],
)
def test_what_is_nowhere_is_lost(break_it: Callable[[Case], None], lost: int) -> None:
    case = Case()
    break_it(case)
    ledger = case.ledger()
    assert len(ledger.lost) == lost
    assert not ledger.balances


def test_a_held_firing_that_was_never_counted_is_lost() -> None:
    case = Case()
    case.change(4, last_held=(NOW - timedelta(minutes=1), 0))
    assert len(case.ledger().lost) == 1


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (ticket(correlation(f"alert:1:{alert(1)}", 2), over=True, number="INC9"), "has 2 tickets"),
        (ticket("group:1:grouped/other", over=True, number="INC9"), "belongs to no group"),
    ],
)
def test_a_second_ticket_is_found(extra: Desk, says: str) -> None:
    case = Case()
    case.truth.tickets.append(extra)
    ledger = case.ledger()
    assert [text for text in ledger.doubled if says in text]
    assert not ledger.balances


def test_a_ticket_in_the_wrong_state_is_found() -> None:
    case = Case()
    case.truth.tickets[0] = ticket(case.truth.tickets[0].correlation, over=False)
    case.truth.tickets[1] = ticket(GROUP, over=True, number="INC2")
    assert len(case.ledger().wrong) == 2


def test_a_missing_ticket_and_one_that_should_not_be_are_found() -> None:
    case = Case()
    case.truth.tickets[0] = ticket(f"alert:1:{alert(4)}", over=False)
    assert len(case.ledger().wrong) == 2


def test_a_missing_group_ticket_and_a_message_left_behind_are_found() -> None:
    case = Case()
    del case.truth.tickets[1]
    case.truth.queued = 1
    assert len(case.ledger().wrong) == 2


def test_what_the_simulator_found_counts() -> None:
    case = Case()
    case.truth.duplicates, case.truth.closed_writes = 1, 1
    ledger = case.ledger()
    assert (len(ledger.doubled), len(ledger.wrong)) == (1, 1)


def test_a_storm_is_the_same_for_the_same_seed_and_has_every_kind_of_trouble() -> None:
    events = storm(7, 2_000, NOW)
    assert events == storm(7, 2_000, NOW)
    assert events != storm(8, 2_000, NOW)
    assert len(events) == 2_000
    assert {one.fate for one in events} == set(Fate)
    assert len(set(events)) < 2_000, "duplicates"
    first = {one.alert: one for one in reversed(events)}
    assert any(one.resolved for one in first.values()), "a Resolved before its Fired"
    assert any(one.large for one in events)


def test_the_bridge_reads_the_storm_as_it_was_meant() -> None:
    for one in [*storm(7, 300, NOW), *one_rule(7, 3, NOW)]:
        (envelope,) = accept(body(one), NOW, REGISTRY.schemas).messages
        if one.fate is Fate.UNREADABLE:
            assert isinstance(envelope, UnreadableMessage)
            continue
        assert isinstance(envelope, SignalMessage)
        signal = envelope.signal
        assert (signal.occurred_at, signal.state == "resolved", signal.rule) == (one.at, one.resolved, one.rule)
        assert alert_of(signal.key) == one.alert


def test_calls_are_counted_by_the_clock_and_idle_windows_at_the_end_are_nobodys_fault() -> None:
    calls = [Call(at, "POST", "incident", 201, wrote) for at, wrote in [(9, True), (10, True), (19, False), (20, True)]]
    assert per_window(calls, 10) == {0: 1, 1: 2, 2: 1}
    busy = [Call(at, "POST", "incident", 201, True) for at in (10, 11, 12, 20, 21, 30)]
    busy.append(Call(13, "GET", "incident", 200, False))
    assert efficiency(busy, 10, 4, 5.0) == (0.75, 1)
    assert efficiency([], 10, 4, 5.0) == (0.0, 0)


def test_order_is_judged_among_pairs_that_are_far_enough_apart() -> None:
    posted = {"a": 0.0, "b": 1.0, "c": 20.0}
    assert in_order(["b", "a", "c"], posted, {"a", "b", "c"}, 10) == 1.0
    assert in_order(["c", "a", "b"], posted, {"a", "b", "c"}, 10) == 0.0
    assert in_order(["c", "a", "b"], posted, {"a"}, 10) == 1.0
