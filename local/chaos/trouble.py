"""What goes wrong during a storm, and when: seeded, bounded, in an order that each seed has of its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.chaos.stage import Stage

#: The supervisor replaces five workers in a minute and then gives up; this many seconds lie between two kills.
_BETWEEN_KILLS = 14.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong: a fault of the simulator (an order for its control API), or one of ours.

    ``name`` is ``kill``, ``restart storage``, or the type of the fault.
    """

    name: str
    order: tuple[tuple[str, Any], ...] = ()


def _fault(kind: str, times: int, **parameters: Any) -> Trouble:
    order = {"type": kind, "times": times, "match": {"table": "incident"}, **parameters}
    return Trouble(kind, tuple(order.items()))


KILL = Trouble("kill")
RESTART_STORAGE = Trouble("restart storage")
#: Azure calls no function of a queue or timer for so many seconds.
SLEEP = Trouble("sleep", (("seconds", 8.0),))

#: All that the storm meets, but for kills and restarts of storage.
FAULTS = (
    _fault("slow", 20, seconds=1.0),
    _fault("throttle", 3, retry_after=3),
    _fault("throttle_bare", 2, body="html"),
    _fault("hibernate", 2),
    _fault("maintenance", 4, status=503),
    _fault("slow_quota", 4, seconds=0.5),
    _fault("cut_before_commit", 6),
    _fault("cut_after_commit", 6),
    _fault("timeout_after_commit", 4, seconds=5.0),
    _fault("commit_then_500", 4),
    _fault("commit_then_403", 3),
    _fault("truncated_json", 3),
    _fault("wrong_content_type", 3),
    _fault("late_commit", 3, seconds=2.0),
    SLEEP,
    SLEEP,
)

#: What a minute allows.
FEW_FAULTS = (
    SLEEP,
    _fault("throttle", 2, retry_after=2),
    _fault("hibernate", 1),
    _fault("cut_before_commit", 2),
    _fault("cut_after_commit", 3),
    _fault("timeout_after_commit", 2, seconds=4.0),
    _fault("commit_then_500", 2),
    _fault("truncated_json", 2),
)


#: What only calls for several tickets meet.
OF_BATCHES = (
    Trouble("batch_ends", (("type", "batch_ends"), ("times", 1), ("items", 2), ("then", "cut"))),
    Trouble("batch_ends", (("type", "batch_ends"), ("times", 1), ("items", 2), ("then", "unserviced"))),
    Trouble("batch_ends", (("type", "batch_ends"), ("times", 1), ("items", 1), ("then", "missing"))),
    Trouble("batch_ends", (("type", "batch_ends"), ("times", 1), ("items", 1), ("then", "error"))),
    Trouble("item_fails", (("type", "item_fails"), ("times", 3), ("match", {"operation": "insert"}))),
)


def with_batches(faults: Sequence[Trouble]) -> tuple[Trouble, ...]:
    """The same faults for calls of the Batch API too, and its own."""
    match = {"path": "/(table/incident|batch)(/|$)"}
    wider = [
        replace(one, order=tuple({**dict(one.order), "match": match}.items())) for one in faults if one is not SLEEP
    ]
    return (*wider, *(one for one in faults if one is SLEEP), *OF_BATCHES)


def plan(seed: int, faults: Sequence[Trouble], kills: int, restarts: int) -> list[Trouble]:
    """The order of a seed."""
    found = [*faults, *[KILL] * kills, *[RESTART_STORAGE] * restarts]
    random.Random(seed).shuffle(found)
    return found


async def make(
    stage: Stage, troubles: Sequence[Trouble], every: float, seed: int, say: Callable[[str], None]
) -> Counter[str]:
    """Let the troubles happen, ``every`` so many seconds one; how often each happened or was ordered."""
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    last_kill = -_BETWEEN_KILLS
    for trouble in troubles:
        await asyncio.sleep(every)
        if trouble == KILL:
            await asyncio.sleep(max(last_kill + _BETWEEN_KILLS - loop.time(), 0))
            last_kill = loop.time()
        say(trouble.name)
        if await _happens(stage, trouble, chance):
            done[trouble.name] += 1
    return done


def _happens(stage: Stage, trouble: Trouble, chance: random.Random) -> Awaitable[bool]:
    if trouble == KILL:
        return asyncio.to_thread(stage.kill_worker, chance.randrange(100))
    if trouble == SLEEP:
        return asyncio.to_thread(_sleep, stage, dict(trouble.order)["seconds"])
    if trouble == RESTART_STORAGE:
        return asyncio.to_thread(_restart, stage)
    return asyncio.to_thread(_order, stage, dict(trouble.order))


def _restart(stage: Stage) -> bool:
    stage.restart_storage()
    return True


def _sleep(stage: Stage, seconds: float) -> bool:
    stage.sleep("*")
    time.sleep(seconds)
    stage.sleep()
    return True


def _order(stage: Stage, order: dict[str, Any]) -> bool:
    stage.control("POST", "/scenarios", json=order)
    return True


def struck(stage: Stage) -> dict[str, int]:
    """How often the simulator's faults met a call, by type."""
    counts: Counter[str] = Counter()
    for scenario in stage.control("GET", "/scenarios")["scenarios"]:
        counts[scenario["type"]] += scenario["applied"]
    return {name: number for name, number in counts.items() if number}


def end(stage: Stage) -> None:
    """Switch off the simulator's faults that met no call yet, so that whoever reads the truth meets none of them."""
    stage.control("DELETE", "/scenarios")
