"""Thousands of alerts of one rule in one evaluation, grouped by rule: what does that cost at ServiceNow?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from local.chaos.config import config
from local.chaos.figures import Part, at_most, fact, listed, must_be
from local.chaos.ledger import balance
from local.chaos.sender import Sender
from local.chaos.stage import Stage
from local.chaos.stories import one_rule
from local.chaos.truth import depth, read, settle

#: Calls that others make for each new ticket. Source: their source code (Kibana's ServiceNow connector: create, read,
#: update; FXinnovation's webhook: search, create; robusta's sink: create).
_PEERS = {"Kibana": 3, "alertmanager-webhook-servicenow": 2, "robusta": 1}


def run(
    seed: int, alerts: int, workers: int, say: Callable[[str], None], *, note_every: int = 10, patience: float = 180.0
) -> Part:
    """Fire them all, wait until nothing is left to be said, count the calls.

    Args:
        seed, alerts, workers: which, how many, taken by how many processes.
        say: told of progress.
        note_every: seconds between two work notes of the group.
        patience: seconds that it may take after the last alert was posted.
    """
    with Stage(config(note_every=note_every), workers) as stage:
        stage.control("DELETE", "/requests")
        begun = time.monotonic()
        sender = Sender(stage.alerts_url, stage.key, waiting=lambda: depth(stage))
        sent = asyncio.run(sender.send(one_rule(seed, alerts, datetime.now(UTC))))
        say(f"{len(sent.receipts):,} accepted in {time.monotonic() - begun:.0f} s")
        left = settle(stage, patience)
        seconds = time.monotonic() - begun
        calls = stage.control("GET", "/counters")["total"]
        truth = asyncio.run(read(stage))
        looks = Counter(line["decision"] for _, line in stage.log.named("group_flushed"))
    ledger = balance(sent.receipts, truth)
    others = ", ".join(f"{name} {calls_each * alerts:,}" for name, calls_each in _PEERS.items())
    return Part(
        "grouped",
        rows=[
            at_most(
                f"calls for {alerts:,} alerts of one rule",
                calls,
                20,
                f"in {seconds:.0f} s, a note every {note_every} s",
            ),
            fact("the same with others", f"{alerts * min(_PEERS.values()):,}", others),
            fact("looks at the group", f"{looks.total():,}", listed(looks)),
            must_be("alerts counted in the group", ledger.places["grouped"], alerts),
            must_be("tickets", len(truth.tickets), 1),
            must_be("lost, doubled or in a wrong state", len(ledger.findings()), 0),
            must_be("messages left on the queues", left, 0),
        ],
        findings=ledger.findings(),
        raw={"calls": calls, "seconds": round(seconds, 1), "looks": dict(looks), "statuses": dict(sent.statuses)},
    )
