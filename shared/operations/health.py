"""Is the bridge well, and if not, why: for ``GET /api/health`` and whoever else wants to know.

``ok``: everything that is taken in becomes a ticket soon. ``degraded``: signals are taken in, and something needs a
person. ``unavailable``: signals cannot be taken in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from shared.core.times import rfc3339
from shared.core.version import VERSION
from shared.operations.connection_health import GENERAL, ConnectionHealth
from shared.operations.overdue import DEGRADED_POISON, DEGRADED_WAIT, Look
from shared.platform.storage import storage_errors

if TYPE_CHECKING:
    from shared.delivery.parked import ParkedKind, ParkedStore

Status = Literal["ok", "degraded", "unavailable"]

#: A signal that waits longer for its connection, or for its turn in the call budget, is too late.
WAITING_BOUND = timedelta(minutes=15)

#: Dead letters and quarantine grow when something was parked within this time.
PARKED_WITHIN = timedelta(hours=1)

#: Parked items that are counted at most.
_MOST_COUNTED = 100

#: Seconds for each question to storage: who asks for health must not wait for what is ill.
_PATIENCE = 4.0

_PARKED: Mapping[ParkedKind, tuple[str, str]] = {
    "dead-letter": (
        "dead_letters",
        "See bridge.py dead-letters list: each has its reason and advice; replay them then",
    ),
    "quarantine": ("quarantine", "See bridge.py quarantine list: payloads that could not be read or are not allowed"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the bridge is not well.

    Attributes:
        code: stable name. text: one sentence. since: since when. advice: what to do.
        about: which connection, function or credential; empty where the code says it all.
    """

    code: str
    text: str
    since: datetime | None = None
    advice: str = ""
    about: str = ""

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {"code": self.code, "text": self.text, "since": rfc3339(self.since), "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Health:
    """A report.

    Attributes:
        status: see the module. reasons: why it is not ok. details: everything that was looked at, as JSON.
    """

    status: Status
    reasons: tuple[Reason, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As JSON, for people with a key."""
        return {"status": self.status, "reasons": [reason.shown() for reason in self.reasons], **self.details}


async def count_parked(parked: ParkedStore, now: datetime) -> Mapping[str, int]:
    """How many items of each kind were parked within the last hour and are still there. Raises StorageUnavailable."""
    counts = await asyncio.gather(*(_count(parked, kind, now - PARKED_WITHIN) for kind in _PARKED))
    return {name: count for (name, _), count in zip(_PARKED.values(), counts, strict=True)}


async def _count(parked: ParkedStore, kind: ParkedKind, since: datetime) -> int:
    count = 0
    rows = parked.rows(kind, newest=True, since=since, replayed=False)
    async with storage_errors("counting parked items", within=_PATIENCE), aclosing(rows):
        async for _ in rows:
            count += 1
            if count >= _MOST_COUNTED:
                break
    return count


def reasons_of_configuration(problems: int) -> list[Reason]:
    """Why a wrong configuration is no reason to be calm. Its problems quote the file, so only their number is told."""
    if not problems:
        return []
    text = f"The configuration has {problems} mistakes; signals wait on the queue."
    return [Reason("configuration_invalid", text, advice="Run bridge.py validate, correct bridge.yaml and deploy it")]


def reasons_of_functions(look: Look, advice: str) -> list[Reason]:
    """Functions that Azure does not call, and messages that wait."""
    found = [
        Reason(
            "function_not_called",
            f"Azure has not called the function {one.name}.",
            one.silent_since,
            advice,
            about=one.name,
        )
        for one in look.functions
        if one.silent_since is not None
    ]
    if look.waiting.since is not None and look.at - look.waiting.since > DEGRADED_WAIT:
        text = f"A message has waited on the queue for {_minutes(look.at - look.waiting.since)}."
        found.append(Reason("message_waits", text, look.waiting.since, advice))
    if look.poison_since is not None and look.at - look.poison_since > DEGRADED_POISON:
        text = f"The poison queue was not empty for {_minutes(look.at - look.poison_since)}."
        found.append(Reason("poison_queue", text, look.poison_since, advice))
    return found


def reasons_of_connections(names: Sequence[str], health: Mapping[str, ConnectionHealth], now: datetime) -> list[Reason]:
    """Connections whose calls fail, and signals that wait for long."""
    found = []
    for name in names:
        one = health.get(name, ConnectionHealth())
        if one.is_failing:
            text = f"Calls to connection {name} fail ({one.last_error_code})."
            found.append(Reason("connection_failing", text, one.last_success, f"Run bridge.py check {name}", name))
    for name in (*names, GENERAL):
        since = health.get(name, ConnectionHealth()).waits_since(now)
        if since is not None and now - since > WAITING_BOUND:
            what = f"for connection {name}" if name != GENERAL else "for a secret, storage, or a right configuration"
            found.append(
                Reason(
                    "signals_wait", f"Signals wait {what}.", since, "Nothing is lost: they are tried again", about=name
                )
            )
    return found


def reasons_of_parked(counts: Mapping[str, int]) -> list[Reason]:
    """Dead letters and quarantined items of the last hour."""
    found = []
    for name, advice in _PARKED.values():
        if count := counts[name]:
            number = f"{count} or more" if count >= _MOST_COUNTED else str(count)
            items = "dead letter" if name == "dead_letters" else "quarantined item"
            items += "s" if count != 1 else ""
            found.append(Reason(f"{name}_grow", f"{number} new {items} in the last hour.", advice=advice))
    return found


def _minutes(time: timedelta) -> str:
    return f"{time // timedelta(minutes=1)} minutes"


def functions_shown(look: Look) -> list[dict[str, Any]]:
    """The functions that Azure calls by itself, as JSON."""
    return [
        {
            "name": one.name,
            "last_called": rfc3339(one.sign.called_at),
            "ended": None if one.sign.ended_at is None else one.sign.failure or "ok",
            "next_due": rfc3339(one.due_at),
            "stood_in": rfc3339(one.sign.stood_in_at),
            "overdue_since": rfc3339(one.overdue_since),
        }
        for one in look.functions
    ]


def head(now: datetime) -> dict[str, Any]:
    """What every report begins with."""
    return {"version": VERSION, "time": rfc3339(now)}
