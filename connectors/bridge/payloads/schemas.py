"""A problem of the bridge as a payload, so that a preview shows which ticket it would become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.signal import Signal, SignalState
from shared.payloads.keys import Unidentified

_NAMES = frozenset({"reason", "about", "text", "advice", "severity", "state", "connection"})


def _is_problem(body: Fields) -> bool:
    return body.keys() == {"bridge_problem"}


def _read_problem(body: Fields, received_at: datetime) -> Signal:
    from connectors.bridge.payloads.problem import REASONS, SEVERITIES, OwnProblem, signal_of

    found = body["bridge_problem"]
    if not isinstance(found, Mapping) or found.keys() - _NAMES:
        raise Unidentified(f"bridge_problem: write an object with members of {', '.join(sorted(_NAMES))}")
    reason = found.get("reason")
    if reason not in REASONS:
        raise Unidentified(f"bridge_problem.reason: write one of {', '.join(REASONS)}")
    texts = {name: str(found.get(name) or "")[:1_000] for name in ("about", "text", "advice", "connection")}
    severity = found.get("severity", SEVERITIES.get(reason, 3))
    if type(severity) is not int or not 0 <= severity <= 4:
        raise Unidentified("bridge_problem.severity: write a number from 0 (critical) to 4 (lowest)")
    if found.get("state", "fired") not in ("fired", "updated", "resolved"):
        raise Unidentified("bridge_problem.state: write fired, updated or resolved")
    connection = texts["connection"] or (texts["about"] if reason in ("connection_failing", "signals_wait") else "")
    problem = OwnProblem(
        reason,
        texts["about"],
        texts["text"] or f"{reason.replace('_', ' ')} {texts['about']}".strip(),
        texts["advice"],
        severity,
        (connection,) if connection else (),
    )
    return signal_of(problem, SignalState(found.get("state", "fired")), received_at)


SCHEMAS: tuple[PayloadSchema, ...] = (PayloadSchema("a problem of the bridge itself", _is_problem, _read_problem),)
