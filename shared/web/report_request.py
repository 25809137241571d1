"""The endpoint ``GET /api/report``: what became of signals, or would have become of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator

from shared.core.http import Request, Response
from shared.operations.audit_log import AuditLog
from shared.operations.outcome_report import outcome_report
from shared.web.requests import RequestModel, read_query, whole_number


class ReportQuery(RequestModel):
    """The query. ``hours``: how far back. ``mode``: only these. ``samples``: shown for each line."""

    hours: Annotated[int, BeforeValidator(whole_number(1, 168))] = 24
    mode: Literal["live", "dry_run", "all"] = "all"
    samples: Annotated[int, BeforeValidator(whole_number(0, 20))] = 3


async def report(request: Request, audit_log: AuditLog, now: datetime) -> Response:
    """Answer a request. Raises Problem: 400 for a wrong query; StorageUnavailable."""
    asked = read_query(request, ReportQuery)
    since = now - timedelta(hours=asked.hours)
    entries = audit_log.read(since, now + timedelta(minutes=1))
    found = await outcome_report(entries, mode=asked.mode, samples=asked.samples)
    return Response(200, {"hours": asked.hours, **found.shown()})
