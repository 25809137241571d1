"""What Azure forgot to call, judged by signs of life. Pure.

A timer is overdue when it was due some minutes ago; a function of a queue, when a message waits and it was not called.
Then whoever is awake does the work. Only when that lasts is the bridge called degraded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cronsim import CronSim

from shared.delivery.standby import Waiting
from shared.operations.vital_signs import VitalSign

#: A message that nobody postponed may wait so long before it is worked on by whoever is awake. Messages that come while
#: the trigger works wait for seconds.
WAIT_BOUND = timedelta(seconds=45)

#: And the queue's function was not called for so long. Signs of life are written once a minute.
SILENCE_BOUND = timedelta(seconds=90)

#: The bridge is degraded when a message waits for longer, or the poison queue is not empty for longer.
DEGRADED_WAIT = timedelta(minutes=3)
DEGRADED_POISON = timedelta(minutes=15)

#: A queue whose messages somebody else worked on is called asleep for so long; while no message comes, nobody can tell.
_STOOD_IN_COUNTS = timedelta(minutes=15)

#: A timer may be late by half of its interval, within these bounds.
_LEAST_LATE = timedelta(minutes=2)
_MOST_LATE = timedelta(minutes=15)

#: Intervals without a call after which a timer's silence is called a fault.
_MISSED = 3


@dataclass(frozen=True, slots=True)
class Watched:
    """A function that Azure calls by itself.

    Attributes:
        name: of the function.
        schedule: of a timer, NCRONTAB with seconds; empty for the function of a queue.
    """

    name: str
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one function.

    Attributes:
        name: of the function. sign: of its life.
        due_at: when a timer is due again.
        overdue_since: since when its work is not done, so that somebody else has to; None when it is.
        silent_since: since when Azure does not call it although it should, for so long that people have to know.
    """

    name: str
    sign: VitalSign
    due_at: datetime | None = None
    overdue_since: datetime | None = None
    silent_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment.

    Attributes:
        at: when. functions: what was seen of each function. waiting: on the queues.
        poison_since: since when the poison queue is not empty; None when it is.
    """

    at: datetime
    functions: tuple[Seen, ...]
    waiting: Waiting
    poison_since: datetime | None = None

    @property
    def overdue(self) -> tuple[Seen, ...]:
        """Functions whose work somebody else has to do."""
        return tuple(one for one in self.functions if one.overdue_since is not None)


def seen_timer(watched: Watched, sign: VitalSign, now: datetime) -> Seen:
    """What is to be said of a timer."""
    called = sign.alive_at or sign.known_since or now
    done = max(called, sign.stood_in_at or called)
    due_at = next_time(watched.schedule, done)
    late = min(max((next_time(watched.schedule, due_at) - due_at) / 2, _LEAST_LATE), _MOST_LATE)
    expected = called
    for _ in range(_MISSED):
        expected = next_time(watched.schedule, expected)
    return Seen(
        watched.name,
        sign,
        due_at=due_at,
        overdue_since=due_at if now >= due_at + late else None,
        silent_since=called if now >= expected + late else None,
    )


def seen_queue_function(watched: Watched, sign: VitalSign, waits_since: datetime | None, now: datetime) -> Seen:
    """What is to be said of the function of a queue.

    Args:
        watched, sign: the function.
        waits_since: since when the oldest message that nobody postponed waits; None when none does.
        now: present time.
    """
    quiet = sign.alive_at is None or now - sign.alive_at >= SILENCE_BOUND
    overdue = waits_since is not None and quiet and now - waits_since >= WAIT_BOUND
    stood_in = sign.stood_in_at
    asleep = (
        stood_in is not None
        and now - stood_in < _STOOD_IN_COUNTS
        and (sign.alive_at is None or stood_in > sign.alive_at)
    )
    return Seen(
        watched.name,
        sign,
        overdue_since=waits_since if overdue else None,
        silent_since=(sign.alive_at or sign.known_since or stood_in) if asleep else None,
    )


def next_time(schedule: str, after: datetime) -> datetime:
    """The first moment of a schedule (NCRONTAB with seconds, UTC) after ``after``."""
    found: datetime = next(CronSim(schedule, after))
    return found
