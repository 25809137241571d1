"""The storm: all kinds of alerts while everything around them breaks; in the end, everything has its place."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.chaos import instances, trouble
from local.chaos.calls import CallLog, per_window
from local.chaos.config import config, planned
from local.chaos.figures import Part, fact, listed, must_be
from local.chaos.instances import Killed
from local.chaos.ledger import Ledger, balance
from local.chaos.sender import Sender, Sent
from local.chaos.stage import QUEUE_LEASE, Instance, Stage
from local.chaos.stories import storm
from local.chaos.truth import depth, read, settle

Say = Callable[[str], None]

#: Seconds between two lines about progress.
_TELL_EVERY = 20.0

#: Answers that are right: taken in, or come again.
_RIGHT = frozenset({0, 202, 429, 503})


@dataclass(frozen=True, slots=True)
class Size:
    """How large a storm is.

    Attributes:
        alerts: messages that are posted. workers: processes.
        calls: of the budget, per ``window`` seconds; None for no budget.
        leases: of the queue's listener, in seconds: one more instance for each, killed at its first message.
        faults, kills, restarts: what goes wrong. every: seconds from one trouble to the next.
        maintenance: seconds that the maintenance window still lasts.
        sending: seconds within which everything has to be posted.
        batches: creates may share calls, and calls for several tickets fail in ways of their own.
        patience: seconds within which the queue has to be empty after the last alert was sent; longer by the longest
            lease.
    """

    alerts: int = 10_000
    workers: int = 3
    calls: int | None = 250
    window: int = 10
    leases: tuple[float, ...] = (30.0,)
    faults: tuple[trouble.Trouble, ...] = trouble.FAULTS
    kills: int = 5
    restarts: int = 2
    every: float = 5.0
    maintenance: float = 60.0
    batches: bool = False
    sending: float = 600.0
    patience: float = 300.0


#: What runs with the tests.
SMALL = Size(
    alerts=300,
    workers=2,
    calls=150,
    window=5,
    leases=(6.0, 12.0),
    faults=trouble.FEW_FAULTS,
    kills=1,
    restarts=1,
    every=0.8,
    maintenance=12.0,
    patience=240.0,  # a worker that is killed while it tries an open circuit keeps the others waiting for 150 s
)


def run(seed: int, size: Size, say: Say) -> Part:
    """Make the storm, wait until the queue is empty, balance the books."""
    text = config(calls=size.calls, window=size.window, maintenance=planned(datetime.now(UTC), size.maintenance))
    with Stage(text, size.workers) as stage:
        user = stage.servicenow["integration_username"]
        if size.batches:
            stage.probe_writes()
        stage.control("POST", "/scenarios", json=_REFUSAL)
        with CallLog(stage.servicenow["control_url"], user) as log:
            more = [stage.start_instance(lease) for lease in size.leases]
            begun = time.monotonic()
            sent, done, sending, killed = asyncio.run(_rage(stage, more, seed, size, say))
            say(f"{len(sent.receipts):,} accepted in {sending:.0f} s; waiting for the queue to become empty")
            left = settle(stage, size.patience + max(size.leases, default=0))
            seconds = time.monotonic() - begun
        struck = trouble.struck(stage)
        trouble.end(stage)
        ledger = balance(sent.receipts, asyncio.run(read(stage)))
        postponed = len(stage.log.named("signal_postponed"))
        lease_rows, leases = instances.rows(killed, stage.log)
    part = Part("batches" if size.batches else "storm", _rows(size, sent, ledger, left))
    part.rows += _budget_rows(size, log)
    part.rows += lease_rows
    if size.batches:
        part.rows.append(fact("calls for several tickets", f"{sum(call.batch for call in log.calls):,}"))
    part.rows.append(fact("seconds", f"{seconds:.0f}", f"{sending:.0f} of them to post {size.alerts:,}, {seed=}"))
    part.rows.append(fact("troubles", f"{done.total() + sum(struck.values())}", listed({**done, **struck})))
    part.findings = ledger.findings()
    part.raw = {
        "statuses": dict(sent.statuses),
        "given_up": sent.given_up,
        "places": dict(ledger.places),
        "troubles": dict(done),
        "struck": struck,
        "postponed": postponed,
        "instances_killed": leases,
        "lease_of_workers": QUEUE_LEASE,
        "batches": sum(call.batch for call in log.calls),
        "calls_per_window": per_window(log.calls, size.window),
        "seconds": round(seconds, 1),
    }
    return part


#: Problems are refused always; the simulator cannot tell one incident from another.
_REFUSAL: dict[str, Any] = {
    "type": "business_rule_abort",
    "match": {"table": "problem", "operation": "insert"},
    "rule": "No problems by machines",
}


async def _rage(
    stage: Stage, more: Sequence[Instance], seed: int, size: Size, say: Say
) -> tuple[Sent, Counter[str], float, list[Killed]]:
    sender = Sender(stage.alerts_url, stage.key, waiting=lambda: depth(stage))
    events = storm(seed, size.alerts, datetime.now(UTC))
    faults = trouble.with_batches(size.faults) if size.batches else size.faults
    plan = trouble.plan(seed, faults, size.kills, size.restarts)
    begun = time.monotonic()
    making = asyncio.create_task(trouble.make(stage, plan, size.every, seed, say))
    telling = asyncio.create_task(_tell(sender, say))
    killing = asyncio.gather(*(asyncio.to_thread(instances.kill_at_work, stage, one, say) for one in more))
    sent = await sender.send(events, within=size.sending)
    sending = time.monotonic() - begun
    telling.cancel()
    return sent, await making, sending, await killing


async def _tell(sender: Sender, say: Say) -> None:
    while True:
        await asyncio.sleep(_TELL_EVERY)
        say(f"{len(sender.sent.receipts):,} accepted")


def _rows(size: Size, sent: Sent, ledger: Ledger, left: int) -> list[Any]:
    places = ledger.places
    wrong_answers = sum(number for status, number in sent.statuses.items() if status not in _RIGHT)
    answers = ", ".join(f"{number:,} x {status or 'none'}" for status, number in sorted(sent.statuses.items()))
    again = f"; {sent.given_up:,} given up by Azure's rules and sent once more" if sent.given_up else ""
    return [
        must_be("alerts accepted", ledger.accepted, size.alerts, f"answers: {answers}{again}"),
        must_be("answers that Azure never repeats", wrong_answers, 0),
        must_be("accounted for in storage and tickets", places.total(), ledger.accepted, listed(places)),
        must_be("lost", len(ledger.lost) + len(sent.lost), 0),
        must_be("tickets too many", len(ledger.doubled), 0),
        must_be("tickets in a wrong state", len(ledger.wrong), 0),
        must_be("messages left on the queues", left, 0),
    ]


def _budget_rows(size: Size, log: CallLog) -> list[Any]:
    counts = per_window(log.calls, size.window)
    note = f"{sum(counts.values()):,} calls in {len(counts)} windows of {size.window} s"
    rows = [must_be("requests of the simulator's log that were missed", 0 if log.complete else 1, 0)]
    if size.calls is None:
        return [*rows, fact("calls in the fullest window", f"{max(counts.values(), default=0):,}", note)]
    above = sum(count > size.calls for count in counts.values())
    most = max(counts.values(), default=0)
    return [*rows, must_be("windows above the budget", above, 0, f"at most {most} of {size.calls}; {note}")]
