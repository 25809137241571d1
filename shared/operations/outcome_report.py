"""What became of the signals of the last hours, or would have become of them in a dry run: counts with samples.

Read from the audit log, which has a row for every signal that came to its end, but for repetitions of an event.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.core.times import rfc3339
from shared.operations.audit_log import AuditEntry
from shared.operations.redact import redacted

#: Rows that one report reads: of a busy app some hours, in some seconds.
MOST_ROWS: Final = 50_000

#: What was done, or would have been done.
Action = Literal["create", "update", "reopen", "resolve", "grouped", "suppressed", "none", "refused"]

_ACTIONS: Final[dict[str, Action]] = {
    "grouped": "grouped",
    "suppressed": "suppressed",
    "held": "suppressed",
    "flapping": "suppressed",
    "refused": "refused",
    "dead_lettered": "refused",
    "quarantined": "refused",
}


def action_of(decision: str) -> Action:
    """The kind of a decision; ``none`` for what asked nothing of the ticket system."""
    if decision in _ACTIONS:
        return _ACTIONS[decision]
    if decision == "resolved_before_fired":
        return "none"
    done = decision.split("_")
    if "created" in done:
        return "create"
    if "reopened" in done:
        return "reopen"
    if "resolved" in done:
        return "resolve"
    return "update" if "commented" in done or decision.startswith("handed_over") else "none"


@dataclass(slots=True)
class ReportLine:
    """Signals of one mode, route and action. ``mode`` is live or dry_run; ``decisions`` counts the exact words."""

    mode: str
    route: str
    action: Action
    count: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: AuditEntry, samples: int) -> None:
        """Count a row, and show it while there are few."""
        self.count += 1
        self.decisions[entry.decision] = self.decisions.get(entry.decision, 0) + 1
        if len(self.samples) < samples:
            self.samples.append(_sample(entry))


@dataclass(slots=True)
class OutcomeReport:
    """All lines, the most frequent first. ``truncated``: there were more rows than are read."""

    lines: list[ReportLine]
    signals: int = 0
    truncated: bool = False

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        lines = [
            {
                "mode": line.mode,
                "route": line.route,
                "action": line.action,
                "count": line.count,
                "decisions": line.decisions,
                "samples": line.samples,
            }
            for line in self.lines
        ]
        return {"signals": self.signals, "truncated": self.truncated, "lines": lines}


async def outcome_report(
    entries: AsyncIterator[AuditEntry], *, mode: Literal["live", "dry_run", "all"] = "all", samples: int = 3
) -> OutcomeReport:
    """Count rows by mode, route and action.

    Args:
        entries: rows of the audit log, oldest first.
        mode: only these.
        samples: shown for each line.
    """
    lines: dict[tuple[str, str, str], ReportLine] = {}
    report = OutcomeReport([])
    async for entry in entries:
        own = entry.mode or "live"
        if mode not in ("all", own):
            continue
        if report.signals == MOST_ROWS:
            report.truncated = True
            break
        report.signals += 1
        action = action_of(entry.decision)
        line = lines.setdefault((own, entry.route, action), ReportLine(own, entry.route, action))
        line.add(entry, samples)
    report.lines = sorted(lines.values(), key=lambda line: (-line.count, line.mode, line.route, line.action))
    return report


def _sample(entry: AuditEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "time": rfc3339(entry.time),
        "id": entry.id,
        "key": entry.key,
        "state": entry.state,
        "severity": entry.severity,
        "title": entry.title,
        "decision": entry.decision,
        "ticket": entry.ticket,
        "reason": entry.reason or entry.rule or None,
    }
    if entry.rendered:
        try:
            shown["calls"] = redacted(json.loads(entry.rendered))
        except ValueError:  # cut, because it was very long
            shown["calls"] = redacted(entry.rendered)
    return shown
