"""A backlog under a budget: how much of it is used, and what happens to it after an outage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from local.chaos.calls import CallLog, efficiency, per_window
from local.chaos.config import config
from local.chaos.figures import Part, Row, at_least, at_most, fact, must_be
from local.chaos.ledger import balance
from local.chaos.sender import Sender
from local.chaos.stage import Stage
from local.chaos.stories import backlog
from local.chaos.truth import alert_of, read, settle


@dataclass(frozen=True, slots=True)
class Size:
    """How much waits.

    Attributes:
        calls, window: the budget; in much shorter windows, the whole seconds of queue and budget are what is measured.
        windows: of backlog. outage: windows without an instance. workers: processes.
    """

    calls: int = 300
    window: int = 60
    windows: float = 3.6
    outage: int = 2
    workers: int = 3


def efficient(seed: int, size: Size, say: Callable[[str], None]) -> Part:
    """Share of the allowed calls that made tickets while more alerts waited."""
    events = backlog(seed, int(size.calls * size.windows), datetime.now(UTC))
    with Stage(config(calls=size.calls, window=size.window), size.workers) as stage:
        with CallLog(stage.servicenow["control_url"], stage.servicenow["integration_username"]) as log:
            sender = Sender(stage.alerts_url, stage.key)
            sent = asyncio.run(sender.send(events))
            begin = time.time()
            say(f"{len(sent.receipts):,} wait for {size.calls} calls in {size.window} s")
            left = settle(stage, size.window * size.windows * 3)
        ledger = balance(sent.receipts, asyncio.run(read(stage)))
    share, windows = efficiency(log.calls, size.window, size.calls, begin)
    return Part(
        "efficiency",
        rows=[
            at_least(
                "share of the allowed calls that made tickets",
                share,
                0.95,
                f"{windows} whole windows of {size.window} s with a backlog, {size.workers} workers",
            ),
            *_budget(log, size),
            must_be("lost, doubled or in a wrong state", len(ledger.findings()), 0),
            must_be("messages left on the queues", left, 0),
        ],
        findings=ledger.findings(),
        raw={"calls_per_window": per_window(log.calls, size.window), "share": share},
    )


def recovery(seed: int, size: Size, say: Callable[[str], None]) -> Part:
    """An outage while alerts come in, one in ten of them Sev0; then the instance is back."""
    events = backlog(seed, int(size.calls * size.windows), datetime.now(UTC), urgent=0.1)
    urgent = {event.alert for event in events if event.severity == 0}
    with Stage(config(calls=size.calls, window=size.window), size.workers) as stage:
        with CallLog(stage.servicenow["control_url"], stage.servicenow["integration_username"]) as log:
            outage = stage.control("POST", "/scenarios", json={"type": "maintenance", "status": 503})
            begun = time.time()
            rate = len(events) / (size.outage * size.window) * 1.2
            sent = asyncio.run(Sender(stage.alerts_url, stage.key).send(events, per_second=rate))
            time.sleep(max(begun + size.outage * size.window - time.time(), 0))
            stage.control("DELETE", f"/scenarios/{outage['id']}")
            back = time.time()
            say(f"{len(sent.receipts):,} waited for {back - begun:.0f} s; the instance is back")
            left = settle(stage, size.window * size.windows * 3 + 60)
        ledger = balance(sent.receipts, asyncio.run(read(stage)))
        order = _created(stage)
    wrote = [call for call in log.calls if call.wrote]
    noticed = min(call.at for call in wrote)
    share, windows = efficiency(wrote, size.window, size.calls, noticed)
    tried = sum(call.at < int(back) for call in log.calls)
    return Part(
        "recovery",
        rows=[
            at_least(
                "rate of the drain / the allowed rate",
                share,
                0.9,
                f"{windows} whole windows after an outage of {size.outage} windows",
            ),
            fact(
                "noticed that the instance is back", f"{max(noticed - back, 0):.0f} s", f"{tried} calls in the outage"
            ),
            *_order(order, {receipt.event.alert: receipt.posted_at for receipt in sent.receipts}, urgent, size.window),
            *_budget(log, size),
            must_be("lost, doubled or in a wrong state", len(ledger.findings()), 0),
            must_be("messages left on the queues", left, 0),
        ],
        findings=ledger.findings(),
        raw={"calls_per_window": per_window(log.calls, size.window), "share": share, "noticed": noticed - back},
    )


@dataclass(frozen=True, slots=True)
class Opening:
    """What waits for a window, and how long calls take.

    Attributes:
        calls, window: the budget. alerts: posted at the beginning of a window, more than it has room for.
        latency: seconds of a call, so long that the calls in flight decide and not this machine.
        in_flight: calls at the same time. workers: processes.
    """

    calls: int = 300
    window: int = 60
    alerts: int = 440
    latency: float = 0.6
    in_flight: int = 4
    workers: int = 3


#: Seconds by which the budget lets a window begin later than the clock does (``QuotaRules.lead``).
_LEAD = 2.0


def opening(seed: int, size: Opening, say: Callable[[str], None]) -> Part:
    """How soon what waits has its tickets after a window opens that has room for all of it."""
    events = backlog(seed, size.alerts, datetime.now(UTC))
    with Stage(config(calls=size.calls, window=size.window), size.workers) as stage:
        stage.control("PATCH", "/settings", json={"latency_ms": size.latency * 1000})
        with CallLog(stage.servicenow["control_url"], stage.servicenow["integration_username"]) as log:
            time.sleep(size.window - time.time() % size.window + _LEAD + 1)
            opens = (time.time() // size.window + 1) * size.window + _LEAD
            sent = asyncio.run(Sender(stage.alerts_url, stage.key).send(events))
            say(f"{len(sent.receipts):,} for {size.calls} calls in {size.window} s; the rest waits for the next window")
            left = settle(stage, size.window * 4)
        after = [at - opens for at, _ in stage.log.named("signal_delivered") if at >= opens - _LEAD]
        ledger = balance(sent.receipts, asyncio.run(read(stage)))
        order = _created(stage)
    needed = len(after) * size.latency / size.in_flight
    took = max(after, default=0.0)
    posted = {receipt.event.alert: receipt.posted_at for receipt in sent.receipts}
    return Part(
        "opening",
        rows=[
            at_most(
                "wait after a window opens / what calls in flight need",
                took / needed if needed else 99.0,
                1.2,
                f"{len(after)} tickets in {took:.1f} s; {size.in_flight} calls in flight need {needed:.1f} s",
            ),
            must_be("tickets made in a later window than the one with room", sum(at > size.window for at in after), 0),
            at_least("of two alerts a second apart, the older first", in_order(order, posted, set(order), 1.0), 0.7),
            *_budget(log, Size(calls=size.calls, window=size.window)),
            must_be("lost, doubled or in a wrong state", len(ledger.findings()), 0),
            must_be("messages left on the queues", left, 0),
        ],
        findings=ledger.findings(),
        raw={"calls_per_window": per_window(log.calls, size.window), "after": sorted(round(at, 2) for at in after)},
    )


def _budget(log: CallLog, size: Size) -> Sequence[Row]:
    counts = per_window(log.calls, size.window)
    above = sum(count > size.calls for count in counts.values())
    return [
        must_be("requests of the simulator's log that were missed", 0 if log.complete else 1, 0),
        must_be("windows above the budget", above, 0, f"at most {max(counts.values())} of {size.calls}"),
    ]


def _created(stage: Stage) -> list[str]:
    """Alerts in the order in which their tickets were made."""
    entries = stage.control("GET", "/journal", params={"table": "incident", "limit": "100000"})["journal"]
    made = [entry for entry in entries if entry["operation"] == "insert" and alert_of(entry["correlation_id"])]
    return [alert_of(entry["correlation_id"]) for entry in made]


def _order(order: Sequence[str], posted: Mapping[str, float], urgent: set[str], window: int) -> Sequence[Row]:
    """Do urgent ones come first, and within each kind the oldest?"""
    places = [place for place, alert in enumerate(order) if alert in urgent]
    passed = sum(alert not in urgent for alert in order[: max(places, default=-1) + 1])
    ordinary = max(len(order) - len(urgent), 1)
    others = set(order) - urgent
    return [
        at_most(
            "share of other tickets made before the last Sev0 had its own",
            passed / ordinary,
            0.2,
            f"{len(places)} Sev0 among {len(order):,}",
        ),
        at_least("of two Sev0 a window apart, the older first", in_order(order, posted, urgent, window), 0.9),
        at_least("of two others a window apart, the older first", in_order(order, posted, others, window), 0.9),
    ]


def in_order(order: Sequence[str], posted: Mapping[str, float], of: set[str], apart: float) -> float:
    """Of all pairs out of ``of`` that were posted at least ``apart`` seconds after each other: the share that stands in
    ``order`` with the older one first. 1 where there is no such pair."""
    times = [posted[alert] for alert in order if alert in of and alert in posted]
    pairs = [(a, b) for index, a in enumerate(times) for b in times[index + 1 :] if abs(a - b) >= apart]
    return sum(a < b for a, b in pairs) / len(pairs) if pairs else 1.0
