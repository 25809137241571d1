"""What is wrong with the bridge now, as its health report and the rows of credentials say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from connectors.bridge.payloads.problem import CREDENTIAL, SEVERITIES, SOURCE, OwnProblem, credential_severity
from connectors.bridge.settings import ReportItself
from shared.delivery.parked import ParkedKind, ParkedStore
from shared.operations.connection_health import GENERAL
from shared.operations.credential_watch import KnownCredential
from shared.operations.credentials import days_left, step_of, until
from shared.operations.health import PARKED_WITHIN, Health, Reason

_OF_CONNECTION = ("connection_failing", "signals_wait")
_PARKED: Mapping[str, ParkedKind] = {"dead_letters_grow": "dead-letter", "quarantine_grow": "quarantine"}


def problems_of_health(report: Health, settings: ReportItself) -> list[OwnProblem]:
    """The reasons that are to be reported. Pure."""
    wanted = [one for one in report.reasons if one.code in settings.reasons and one.code != CREDENTIAL]
    return [_problem(one, settings) for one in wanted]


def _problem(reason: Reason, settings: ReportItself) -> OwnProblem:
    given = {str(name): level for name, level in settings.severity.items()}
    severity = given.get(reason.code, SEVERITIES[reason.code])
    about = "" if reason.about == GENERAL else reason.about
    connections = (about,) if reason.code in _OF_CONNECTION and about else ()
    return OwnProblem(reason.code, about, reason.text, reason.advice, severity, connections)


def problems_of_credentials(rows: Sequence[KnownCredential], settings: ReportItself, now: datetime) -> list[OwnProblem]:
    """Credentials that end within 30 days or have ended. Pure."""
    if CREDENTIAL not in settings.reasons:
        return []
    found = []
    for row in rows:
        step = step_of(row.ends, now)
        if step is None or row.ends is None:
            continue
        severity = settings.severity.get(CREDENTIAL, credential_severity(step))
        text = f"The {row.credential.title} {until(row.ends, now)}."
        left = days_left(row.ends, now)
        connections = row.credential.connections
        found.append(OwnProblem(CREDENTIAL, row.id, text, row.advice, severity, connections, step, left))
    return found


async def only_of_others(problems: Sequence[OwnProblem], parked: ParkedStore, now: datetime) -> list[OwnProblem]:
    """The problems without those that the bridge's own signals made: dead letters and quarantined items of theirs.

    Raises StorageUnavailable.
    """
    found = []
    for problem in problems:
        kind = _PARKED.get(problem.reason)
        if kind is None or await _any_of_others(parked, kind, now):
            found.append(problem)
    return found


async def _any_of_others(parked: ParkedStore, kind: ParkedKind, now: datetime) -> bool:
    rows = parked.rows(kind, newest=True, since=now - PARKED_WITHIN, replayed=False)
    async with aclosing(rows):
        async for _, item in rows:
            if item.source != SOURCE:
                return True
    return False
