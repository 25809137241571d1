"""Does Sev0 overtake a backlog? The time from alert to ticket, without a storm and in one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from local.chaos.config import config
from local.chaos.figures import Part, at_most, fact, must_be, percentile
from local.chaos.sender import Receipt, Sender
from local.chaos.stage import Stage
from local.chaos.stories import Event, backlog
from local.chaos.truth import depth

#: Seconds within which a Sev0 has to have its ticket, or it counts as this slow.
_SLOWEST = 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent.

    Attributes:
        urgent: Sev0 alerts, in the quiet and in the storm. rate: of them in a second; two of a hundred calls, which is
            what is left of the budget's reserve at the end of a window.
        burst: Sev0 alerts right behind the burst of Sev3, while that is still taken off the queue.
        waiting: alerts of Sev3 that wait before the first Sev0 is posted. more: further ones a second, meanwhile.
        calls, window: the budget.
    """

    urgent: int = 30
    rate: float = 0.2
    burst: int = 4
    waiting: int = 600
    more: float = 8.0
    calls: int = 200
    window: int = 20
    workers: int = 3


def run(seed: int, size: Size, say: Callable[[str], None]) -> Part:
    """Measure in the quiet, then in a storm."""
    with Stage(config(calls=size.calls, window=size.window), size.workers) as stage:
        _post(stage, _sev0(seed, 5), 2.0)  # whatever is done once is done
        say("in the quiet")
        quiet = _times(stage, _post(stage, _sev0(seed + 1, size.urgent), size.rate))
        say(f"{size.waiting:,} alerts come to wait")
        waiting = _post(stage, backlog(seed + 2, size.waiting, datetime.now(UTC)), None)
        burst = _times(stage, _post(stage, _sev0(seed + 5, size.burst), 2.0))
        _await_taken(stage, waiting)
        before = asyncio.run(depth(stage)) or 0
        say(f"{before:,} wait; Sev0 among {size.more:g} more a second")
        storm = _times(stage, asyncio.run(_in_storm(stage, seed + 3, size)))
        after = asyncio.run(depth(stage)) or 0
    slow, usual = percentile(storm, 0.99), percentile(quiet, 0.99)
    note = (
        f"p99 {slow:.2f} s against {usual:.2f} s; medians {percentile(storm, 0.5):.2f} and {percentile(quiet, 0.5):.2f}"
    )
    return Part(
        "urgent",
        rows=[
            at_most("Sev0, alert to ticket: in a storm / without", slow / usual, 3.0, note),
            at_most(
                "the slowest right behind a burst / without",
                burst[-1] / usual,
                3.0,
                f"{burst[-1]:.2f} s; {size.waiting:,} alerts before it on the queue, which knows no urgency",
            ),
            fact("waiting meanwhile", f"{before:,}", f"{after:,} at the end; budget {size.calls} in {size.window} s"),
            must_be("Sev0 without a ticket", sum(one >= _SLOWEST for one in (*quiet, *burst, *storm)), 0),
        ],
        raw={"quiet": quiet, "burst": burst, "storm": storm, "waiting": [before, after]},
    )


def _sev0(seed: int, count: int) -> list[Event]:
    return backlog(seed, count, datetime.now(UTC), urgent=1.0)


def _post(stage: Stage, events: Sequence[Event], rate: float | None) -> list[Receipt]:
    return asyncio.run(Sender(stage.alerts_url, stage.key).send(events, per_second=rate)).receipts


async def _in_storm(stage: Stage, seed: int, size: Size) -> list[Receipt]:
    more = backlog(seed + 1, int(size.more * size.urgent / size.rate), datetime.now(UTC))
    storm = asyncio.create_task(Sender(stage.alerts_url, stage.key).send(more, per_second=size.more))
    sent = await Sender(stage.alerts_url, stage.key).send(_sev0(seed, size.urgent), per_second=size.rate)
    await storm
    return sent.receipts


def _await_taken(stage: Stage, receipts: Sequence[Receipt]) -> None:
    """Wait until every alert was taken off the queue once: it has its ticket, or it waits for its call."""
    wanted = {receipt.id for receipt in receipts}
    stage.wait(
        lambda: wanted <= {line["id"] for _, line in stage.log.named("signal_delivered", "signal_postponed")},
        "the backlog to be taken off the queue",
        _SLOWEST,
    )


def _times(stage: Stage, receipts: Sequence[Receipt]) -> list[float]:
    """Seconds from posting to the ticket, each; ``_SLOWEST`` where none came in time."""
    wanted = {receipt.id: receipt.posted_at for receipt in receipts}
    deadline = time.monotonic() + _SLOWEST
    while True:
        found = {line["id"]: at for at, line in stage.log.named("signal_delivered") if line["id"] in wanted}
        if len(found) == len(wanted) or time.monotonic() > deadline:
            return sorted(round(found.get(one, at + _SLOWEST) - at, 4) for one, at in wanted.items())
        time.sleep(0.2)
