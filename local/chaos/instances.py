"""Instances that are killed with messages in work: how soon do these come back, by the lease of the queue's listener?

A lease of 30 seconds stands for the death of the Python process alone: Azure's host sees the failure and shows the
message again after ``visibilityTimeout``. Azure's own lease is 600 seconds: nobody is left to show the messages of an
instance that was killed as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local.chaos.figures import Row, at_least, at_most
from local.chaos.stage import Instance, Log, Stage

#: Seconds for an instance to take its first message.
_PATIENCE = 90.0

#: Seconds above the lease: an idle queue is looked at every two seconds, and storage may just be restarting.
_LATER = 10.0


@dataclass(frozen=True, slots=True)
class Killed:
    """One instance that is gone.

    Attributes:
        lease: seconds. at: when it was killed (Unix seconds). log: what it wrote until then.
    """

    lease: float
    at: float
    log: Log


def kill_at_work(stage: Stage, instance: Instance, say: Callable[[str], None]) -> Killed:
    """Kill an instance right after it took its first message. Raises StageError when it gets none.

    The first message takes longest, because the app loads what it needs: it is still in work.
    """
    stage.wait(lambda: bool(instance.log.deliveries), "an instance to take its first message", _PATIENCE, pause=0.005)
    at = instance.kill()
    say(f"killed an instance with a lease of {instance.lease:g} s")
    return Killed(instance.lease, at, instance.log)


def back_after(killed: Killed, others: Sequence[Log]) -> list[float]:
    """Seconds after the kill at which the messages that it had in work were taken by others, in order."""
    taken = {message for _, message in killed.log.deliveries}
    again: dict[str, float] = {}
    for at, message in sorted(one for log in others for one in log.deliveries):
        if message in taken and at > killed.at:
            again.setdefault(message, at - killed.at)
    return sorted(again.values())


def rows(killed: Sequence[Killed], log: Log) -> tuple[list[Row], list[dict[str, Any]]]:
    """Two lines of the table for each kill, and the numbers behind them.

    Args:
        killed: every instance that was killed.
        log: of the workers that went on.
    """
    found: list[Row] = []
    raw: list[dict[str, Any]] = []
    for one in sorted(killed, key=lambda one: one.lease):
        back = back_after(one, [log, *(other.log for other in killed if other is not one)])
        note = f"{len(back)} messages, the first after {back[0]:.1f} s" if back else ""
        found += [
            at_least(f"messages in work of an instance killed with a lease of {one.lease:g} s", len(back), 1),
            at_most(
                f"seconds until they were all back, lease {one.lease:g} s",
                back[-1] if back else time.time() - one.at,
                one.lease + _LATER,
                note,
            ),
        ]
        raw.append({"lease": one.lease, "back_after": [round(seconds, 1) for seconds in back]})
    return found, raw
