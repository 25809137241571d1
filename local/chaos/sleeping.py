"""Azure stops calling the worker: alerts come on, or only the availability test calls. Is every ticket there in time?

Three scenes one after the other, each with the trigger and all timers asleep: alerts that come at an even pace, some
of them resolved soon; a burst of alerts and then nothing but a health check once a minute; and alerts in whose midst
the trigger wakes up.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from local.chaos.config import config
from local.chaos.figures import Part, at_most, fact, must_be, percentile
from local.chaos.ledger import balance
from local.chaos.sender import Receipt, Sender
from local.chaos.stage import Stage
from local.chaos.stories import Event, backlog
from local.chaos.truth import read, settle

#: Seconds within which every alert has to have its ticket.
IN_TIME = 180.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent.

    Attributes:
        alerts: of the first scene, ``rate`` a second; a share of ``resolved`` is over within the scene.
        pulse: alerts before nothing but a health check comes. waking: alerts during which the trigger wakes up.
        before: seconds for which the trigger sleeps already when the first alert comes.
    """

    alerts: int = 500
    rate: float = 2.0
    resolved: float = 0.4
    pulse: int = 40
    waking: int = 120
    before: float = 90.0
    workers: int = 2


def run(seed: int, size: Size, say: Callable[[str], None]) -> Part:
    """Play the three scenes and balance the books."""
    with Stage(config(calls=100_000, window=3600), size.workers) as stage:
        receipts = list(_send(stage, backlog(seed, 4, datetime.now(UTC)), 4.0))  # whatever is done once is done
        settle(stage, 60)
        stage.sleep("*")
        say(f"the triggers sleep; {size.alerts:,} alerts in {size.before:.0f} s from now on")
        time.sleep(size.before)
        alerts = backlog(seed + 1, size.alerts, datetime.now(UTC))
        first = _send(stage, _with_ends(alerts, seed, size.resolved), size.rate)
        came = _seen(stage, first)
        say("a burst, then nothing but a health check once a minute")
        quiet = _send(stage, backlog(seed + 2, size.pulse, datetime.now(UTC)), None)
        with _Pulse(stage):
            pulsed = _seen(stage, quiet)
        say("the trigger wakes up in the midst of alerts")
        waker = threading.Timer(size.waking / size.rate / 2, stage.sleep)
        waker.start()
        waking = _send(stage, backlog(seed + 3, size.waking, datetime.now(UTC)), size.rate)
        waker.join()
        woken = _seen(stage, waking)
        left = settle(stage, 120)
        receipts += [*first, *quiet, *waking]
        ledger = balance(receipts, asyncio.run(read(stage)))
        stood_in = sum(line["done"] for _, line in stage.log.named("stood_in") if line["function"] == "deliver")
    rows = [
        must_be("lost", len(ledger.lost), 0),
        must_be("tickets too many", len(ledger.doubled), 0),
        must_be("tickets in a wrong state", len(ledger.wrong), 0),
        must_be("messages left", left, 0),
    ]
    for name, times in (("alerts come on", came), ("a burst, then silence", pulsed), ("the trigger wakes up", woken)):
        note = f"of {len(times):,}; median {percentile(times, 0.5):.0f} s"
        rows.append(at_most(f"slowest ticket, {name}: seconds", max(times), IN_TIME, note))
    rows.append(fact("messages that others worked on", f"{stood_in:,}", f"of {len(receipts):,}"))
    raw = {"alerts": came, "pulse": pulsed, "waking": woken, "stood_in": stood_in}
    return Part("sleeping", rows=rows, findings=ledger.findings(), raw=raw)


def _with_ends(events: Sequence[Event], seed: int, share: float) -> list[Event]:
    """Some of the alerts are over 20 seconds later, which is told half a minute later, among alerts that come then."""
    chance = random.Random(seed)
    order = list(events)
    for number, event in enumerate(events):
        if chance.random() < share:
            over = replace(event, at=event.at + timedelta(seconds=20), resolved=True)
            order.insert(min(order.index(event) + 60 + number // 50, len(order)), over)
    return order


def _send(stage: Stage, events: Sequence[Event], rate: float | None) -> list[Receipt]:
    return asyncio.run(Sender(stage.alerts_url, stage.key).send(events, per_second=rate)).receipts


def _seen(stage: Stage, receipts: Sequence[Receipt]) -> list[float]:
    """Seconds from posting to the end of each signal; the bound and more where it did not end in time."""
    wanted = {receipt.id: receipt.posted_at for receipt in receipts}
    deadline = time.monotonic() + IN_TIME + 60
    while True:
        found = {line["id"]: at for at, line in stage.log.named("signal_delivered") if line["id"] in wanted}
        if len(found) == len(wanted) or time.monotonic() > deadline:
            return [round(found.get(one, at + 2 * IN_TIME) - at, 2) for one, at in wanted.items()]
        time.sleep(0.5)


class _Pulse:
    """Asks for the health once a minute, as an availability test does."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> _Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(60.0):
            self._stage.serves()
