"""The section ``report_itself`` of bridge.yaml. Its docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from connectors.bridge.payloads.problem import REASONS, ReasonName
from shared.core.settings import Duration, SettingsModel


def _distinct(values: tuple[ReasonName, ...]) -> tuple[ReasonName, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a reason is given twice. Fix: name each once")
    return values


class ReportItself(SettingsModel):
    """Makes tickets of the bridge's own problems: signals of the source ``bridge``, whose kind is the reason. Routes
    with ``when: {source: bridge}`` take them. A problem of a connection needs a route to another connection."""

    reasons: Annotated[tuple[ReasonName, ...], Field(min_length=1), AfterValidator(_distinct)] = REASONS
    """Reasons of the health report that are reported; docs/operations.md lists them. Left out: all of them."""
    after: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = timedelta(minutes=15)
    """How long a reason must persist. Credentials that end are reported at once, with a note for each further step."""
    severity: dict[ReasonName, Annotated[int, Field(ge=0, le=4)]] = Field(default_factory=dict)
    """Severities that differ, 0 (critical) to 4. Left out: 1 for ``connection_failing``, ``function_not_called`` and
    ``message_waits``; 3 for ``quarantine_grow`` and ``export_lags``; for ``credential_ends`` 3, 2 from 7 days and 1
    from one day before the end; else 2."""
    most_per_day: Annotated[int, Field(ge=1, le=200)] = 20
    """Most signals that begin or repeat a problem, per day (UTC). What comes on top waits until the next day. Ends are
    always sent."""
