"""Whether the routes of bridge.yaml lead the bridge's own problems to a ticket. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connectors.bridge.payloads.problem import SEVERITIES, OwnProblem
from connectors.bridge.reporter import blocked
from connectors.bridge.settings import ReportItself
from shared.core.ticket_system import CheckLine, CheckStatus
from shared.mapping.mapper import Mapper

_OF_CONNECTION = ("connection_failing", "signals_wait")


def check_routes(
    settings: ReportItself, connections: Sequence[str], mapper: Mapper, now: datetime
) -> tuple[CheckLine, ...]:
    """A line for each reason, and connection that it may be about, that would make no ticket; else one that all do."""
    lines = []
    for reason in settings.reasons:
        severity = settings.severity.get(reason, SEVERITIES.get(reason, 3))
        for name in connections if reason in _OF_CONNECTION else [""]:
            problem = OwnProblem(reason, name, f"{reason} {name}", "", severity, (name,) if name else ())
            why, _, fix = blocked(problem, mapper, frozenset(), now).partition(". Fix: ")
            if why:
                about = f" of connection {name}" if name else ""
                lines.append(CheckLine(reason, CheckStatus.WARNING, f"A problem{about} would wait: {why}", fix))
    return tuple(lines) or (CheckLine("routes", CheckStatus.OK, "every reason has a way to a ticket"),)
