"""Needs to check a connection for, and findings by name."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.ticket_system import CheckLine, CheckStatus, Needs, TicketKind

INCIDENT = frozenset({TicketKind.INCIDENT})
ALL = Needs(frozenset(TicketKind), {})


def needs(**constants: str | None) -> Needs:
    fields = {name: frozenset() if value is None else frozenset({value}) for name, value in constants.items()}
    return Needs(INCIDENT, {TicketKind.INCIDENT: fields})


def lines(findings: Sequence[CheckLine]) -> dict[str, CheckLine]:
    return {finding.name: finding for finding in findings}


def failed(findings: Sequence[CheckLine]) -> list[str]:
    return [finding.name for finding in findings if finding.verdict is CheckStatus.FAILED]
