"""A problem of the bridge itself, and its signals. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, get_args

from connectors.microsoft.azure_resources import ResourceList
from shared.core.signal import Signal, SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import make_key

SOURCE = "bridge"

#: Reasons of the health report that can become signals. The one for a wrong configuration cannot: without a
#: configuration nothing can be delivered.
ReasonName = Literal[
    "connection_failing",
    "signals_wait",
    "dead_letters_grow",
    "quarantine_grow",
    "function_not_called",
    "message_waits",
    "poison_queue",
    "credential_ends",
    "export_lags",
]

REASONS: tuple[ReasonName, ...] = get_args(ReasonName)

CREDENTIAL: ReasonName = "credential_ends"

#: How bad each is, 0 (critical) to 4 (lowest). That of a credential follows from the days that are left.
SEVERITIES: Mapping[str, int] = MappingProxyType(
    {
        "connection_failing": 1,
        "signals_wait": 2,
        "dead_letters_grow": 2,
        "quarantine_grow": 3,
        "function_not_called": 1,
        "message_waits": 1,
        "poison_queue": 2,
        "export_lags": 3,
    }
)

#: Details of these signals.
DETAILS: Mapping[str, str] = MappingProxyType(
    {
        "about": "the connection, function, secret or certificate that it is about",
        "connection": "the connection that it is about; of a secret, the first that logs in with it",
        "days_left": "whole days until a credential ends",
        "advice": "what to do",
    }
)


@dataclass(frozen=True, slots=True)
class OwnProblem:
    """What is wrong with the bridge.

    Attributes:
        reason: code of the health report. about: see ``DETAILS``; empty for what concerns all of it.
        text: one sentence. advice: what to do.
        severity: 0 to 4. connections: those that it is about.
        step: of a credential, the days of its last warning. days_left: of a credential.
    """

    reason: str
    about: str
    text: str
    advice: str
    severity: int
    connections: tuple[str, ...] = ()
    step: int | None = None
    days_left: int | None = None

    @property
    def key(self) -> str:
        """Key of its signals."""
        return make_key(SOURCE, self.reason, self.about)


def credential_severity(step: int) -> int:
    """How bad it is that a credential ends within so many days; 0: it has ended."""
    return 1 if step <= 1 else 2 if step <= 7 else 3


def signal_of(problem: OwnProblem, state: SignalState, at: datetime, fired_at: datetime | None = None) -> Signal:
    """A signal of a problem.

    Args:
        problem: what is wrong, as it was said last.
        state: of the signal.
        at: when it is so, UTC.
        fired_at: when it fired; ``at`` when None.
    """
    builder = SignalBuilder(problem.reason, at, SOURCE, ResourceList(), untitled="Azure ITSM Bridge")
    builder.key, builder.state, builder.severity = problem.key, state, problem.severity
    builder.fired_at = fired_at or at
    builder.event_at = at
    if state is SignalState.RESOLVED:
        builder.resolved_at = at
    builder.heading = f"Azure ITSM Bridge: {problem.text.rstrip('.')}"
    builder.condition = problem.text
    if problem.advice:
        builder.prose.append(f"{problem.advice.rstrip('.')}.")
    builder.detail("about", problem.about)
    builder.detail("connection", problem.connections[0] if problem.connections else "")
    builder.detail("days_left", "" if problem.days_left is None else str(problem.days_left))
    builder.detail("advice", problem.advice)
    return builder.finish()
