"""The bridge.yaml of the chaos: short waits, a short window that stands for an hour, and a way for each fate."""

from __future__ import annotations

from datetime import datetime, timedelta

from local.chaos.stories import PROPERTY, Fate

_EXPORTED = "    export: {kinds: [incident, change_request, problem], days: 30}\n"
_LOG_STORE = "log_analytics: {endpoint: '${LOGS_INGESTION_ENDPOINT}', rule: '${LOGS_INGESTION_RULE}'}\n"


def config(
    *,
    calls: int | None = None,
    window: int = 10,
    maintenance: tuple[datetime, datetime] | None = None,
    note_every: int = 10,
    export: bool = False,
) -> str:
    """Text of bridge.yaml.

    Args:
        calls: allowed in each window; None for any number.
        window: seconds that stand for an hour.
        maintenance: beginning and end of the maintenance window, aware; None for none.
        note_every: seconds between two work notes of a group.
        export: all tickets go to Log Analytics.
    """
    budget = "" if calls is None else f"    budget: {{calls: {calls}, per: {window}s}}\n"
    return (
        "version: 1\n"
        "connections:\n"
        "  servicenow:\n"
        "    type: servicenow\n"
        "    url: ${SERVICENOW_URL}\n"
        '    auth: {type: basic, username: "${SERVICENOW_USERNAME}", password: {secret: servicenow-password}}\n'
        "    read_timeout: 3s\n"
        "    total_timeout: 10s\n"
        f"{budget}"
        f"{_EXPORTED if export else ''}"
        "routes:\n"
        f"{_route(Fate.GROUPED, f'group: {{by: rule, note_every: {note_every}s}}')}"
        f"{_route(Fate.PATIENT, 'only_after: {firings: 3}')}"
        f"{_route(Fate.REFUSED, 'ticket: problem')}"
        "default:\n"
        "  connection: servicenow\n"
        "  fields: {category: software}\n"
        f"{_maintenance(maintenance)}"
        "delivery: {first_retry: 1s, longest_retry: 5s, lease: 20s}\n"
        f"{_LOG_STORE if export else ''}"
    )


def _when(fate: Fate) -> str:
    return f"{{custom_properties: {{{PROPERTY}: {fate}}}}}"


def _route(fate: Fate, line: str) -> str:
    return f"  - name: {fate}\n    when: {_when(fate)}\n    connection: servicenow\n    {line}\n"


def _maintenance(window: tuple[datetime, datetime] | None) -> str:
    if window is None:
        return ""
    begin, end = (moment.isoformat(timespec="seconds") for moment in window)
    return f'maintenance:\n  - {{name: planned work, when: {_when(Fate.MAINTENANCE)}, from: "{begin}", to: "{end}"}}\n'


def planned(now: datetime, seconds: float) -> tuple[datetime, datetime]:
    """A maintenance window that has begun and ends in so many seconds."""
    return now - timedelta(hours=2), now + timedelta(seconds=seconds)
