"""Does everything that was accepted have its place, and is every ticket what it should be? Pure.

The expectation comes from what was sent, the facts from storage and simulator. What the bridge says of itself (its log,
its log of actions) is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from local.chaos.sender import Receipt
from local.chaos.stories import Event, Fate, last_states
from local.chaos.truth import Desk, Member, Truth, alert_of
from shared.core.link import Link, LinkStage

#: Shown of what is wrong.
_SHOWN = 20


@dataclass
class Ledger:
    """The balance of a storm.

    Attributes:
        accepted: 202s. places: where they are: delivered, grouped, suppressed, dead-lettered, quarantined, duplicate.
        lost, doubled, wrong: what must not be, each with a sentence.
    """

    accepted: int = 0
    places: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def balances(self) -> bool:
        """Whether everything accepted has exactly one place and nothing is wrong."""
        return self.accepted == self.places.total() and not (self.lost or self.doubled or self.wrong)

    def findings(self) -> list[str]:
        """The first sentences of what is wrong."""
        return [*self.lost[:_SHOWN], *self.doubled[:_SHOWN], *self.wrong[:_SHOWN]]


def balance(receipts: Sequence[Receipt], truth: Truth) -> Ledger:
    """Put every accepted item in its place, and compare every ticket with what was sent."""
    ledger = Ledger(accepted=len(receipts))
    seen: set[Event] = set()
    for receipt in receipts:
        event = receipt.event
        place = _place(receipt, truth)
        if not place:
            ledger.lost.append(f"{_words(event)}, accepted as {receipt.id}, is nowhere")
            continue
        again = event in seen and receipt.id not in truth.kept
        ledger.places["duplicate" if again else place] += 1
        seen.add(event)
    _compare(ledger, last_states([receipt.event for receipt in receipts]), truth)
    if truth.duplicates:
        ledger.doubled.append(f"the simulator counts {truth.duplicates} correlations with several tickets")
    if truth.closed_writes:
        ledger.wrong.append(f"{truth.closed_writes} writes on closed tickets")
    if truth.queued or truth.poisoned:
        ledger.wrong.append(f"{truth.queued} messages are left, {truth.poisoned} are poison")
    return ledger


def _words(event: Event) -> str:
    return f"{'Resolved' if event.resolved else 'Fired'} of {event.fate} alert {event.alert}"


def _place(receipt: Receipt, truth: Truth) -> str:
    """Where an accepted item is; empty when it is nowhere."""
    event = receipt.event
    kept = truth.kept.get(receipt.id)
    if kept:
        return "quarantined" if kept == "quarantine" else "dead-lettered"
    if any(_counted(member, event) for member in truth.members.get(event.alert, ())):
        return "grouped"
    link = truth.links.get(event.alert)
    return _applied(link, event) if link is not None else ""


def _counted(member: Member, event: Event) -> bool:
    known = member.over if event.resolved else member.fired
    return known is not None and known[0] >= event.at


def _applied(link: Link, event: Event) -> str:
    """Where an event is by the link of its alert."""
    reached = [order[0] for order in (link.latest, link.resolved_by) if order is not None]
    if link.stage is not LinkStage.NONE:
        return "delivered" if any(at >= event.at for at in reached) else ""
    if link.dead_letter:
        return "dead-lettered" if any(at >= event.at for at in reached) else ""
    if not link.held_by:  # a Resolved that waits for its Fired
        return "delivered" if event.resolved and any(at >= event.at for at in reached) else ""
    held = link.last_held is not None and link.last_held[0] >= event.at
    return "suppressed" if held or any(at >= event.at for at in reached) else ""


def _compare(ledger: Ledger, last: dict[str, Event], truth: Truth) -> None:
    """Tickets against what should be there."""
    by_alert: dict[str, list[Desk]] = {}
    by_text = {ticket.correlation: ticket for ticket in truth.tickets}
    for ticket in truth.tickets:
        alert = alert_of(ticket.correlation)
        if alert:
            by_alert.setdefault(alert, []).append(ticket)
    for alert, event in last.items():
        found = by_alert.pop(alert, [])
        if len(found) > 1:
            ledger.doubled.append(f"{event.fate} alert {alert} has {len(found)} tickets")
        elif problem := _ticket_problem(event, found[0] if found else None):
            ledger.wrong.append(problem)
    ledger.wrong += [f"{found[0].number} is of an alert that was never accepted" for found in by_alert.values()]
    _compare_groups(ledger, last, truth, by_text)


def _ticket_problem(event: Event, ticket: Desk | None) -> str:
    state = "no ticket" if ticket is None else f"{ticket.number}, {'over' if ticket.over else 'open'}"
    match event.fate:
        case Fate.TICKET:
            right = ticket is not None and ticket.over == event.resolved
        case Fate.MAINTENANCE if event.resolved:
            right = ticket is None or ticket.over
        case Fate.MAINTENANCE:
            right = ticket is not None and not ticket.over
        case _:
            right = ticket is None
    return "" if right else f"{_words(event)} is the last that was sent, but there is {state}"


def _compare_groups(ledger: Ledger, last: dict[str, Event], truth: Truth, by_text: dict[str, Desk]) -> None:
    members: dict[str, list[Event]] = {}
    for alert, event in last.items():
        if event.fate is not Fate.GROUPED:
            continue
        counted = truth.members.get(alert, [])
        if len(counted) != 1:
            ledger.wrong.append(f"{event.fate} alert {alert} is counted in {len(counted)} groups")
        for member in counted[:1]:
            members.setdefault(member.group, []).append(event)
    rules = {group: {event.rule for event in events} for group, events in members.items()}
    for group, events in members.items():
        link = truth.groups.get(group)
        correlation = link.ticket.correlation if link is not None and link.ticket is not None else ""
        ticket = by_text.pop(correlation, None)
        on = any(not event.resolved for event in events)
        if ticket is None:
            ledger.wrong.append(f"the group of {', '.join(rules[group])} has no ticket")
        elif ticket.over is on:
            state = "over" if ticket.over else "open"
            ledger.wrong.append(f"{ticket.number} of {', '.join(rules[group])} is {state}, but alerts are on: {on}")
    if len({next(iter(found)) for found in rules.values()}) != len(members):
        ledger.doubled.append(f"{len(members)} groups for {len(set().union(*rules.values()))} rules")
    unknown = [ticket for text, ticket in by_text.items() if not alert_of(text)]
    ledger.doubled += [f"{ticket.number} ({ticket.correlation}) belongs to no group" for ticket in unknown]
