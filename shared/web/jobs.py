"""The endpoint ``/api/jobs``: what jobs there are, how far one has come, and run one now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol, TypedDict

from pydantic import StrictBool

from shared.core.errors import JobRunning
from shared.core.http import Request, Response
from shared.core.plugins import Job
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.times import rfc3339
from shared.operations.job_lease import JobLease
from shared.operations.job_runs import JobRunRow
from shared.web.answers import refusals_as_problems
from shared.web.requests import NoParameters, RequestModel, read_body, read_query

#: Seconds after which it makes sense to ask again how far a run has come.
ASK_AGAIN = 2


class JobsPort(Protocol):
    """Runs jobs: see ``app.jobs.JobRunner``."""

    @property
    def jobs(self) -> Sequence[Job]: ...

    async def holder(self, name: str) -> JobLease | None: ...

    async def last(self, name: str) -> JobRunRow | None: ...

    async def ask(self, name: str, *, dry_run: bool) -> JobRunRow:
        """Raises JobRunning."""
        ...


class JobRequest(RequestModel):
    """The body of ``POST /api/jobs/{name}``. ``dry_run``: count and give samples of what would be done."""

    dry_run: StrictBool = False


class JobPartJson(TypedDict):
    """What a run did for one connection, subscription or tenant; ``finished`` is false when the next run goes on."""

    name: str
    counts: Mapping[str, int]
    finished: bool
    reason: str


class JobRunJson(TypedDict):
    """A run that was asked for. ``state`` is waiting, running, done or failed; then ``code`` and ``reason`` say why."""

    id: str
    state: str
    dry_run: bool
    asked_at: str | None
    started_at: str | None
    ended_at: str | None
    parts: list[JobPartJson]
    samples: list[str]
    code: str
    reason: str


class JobJson(TypedDict):
    """A job. ``running``: who runs it and since when, whoever started it; null when nobody does. ``run``: the last run
    that was asked for; null when there was none."""

    name: str
    does: str
    schedule: str
    needs: str
    running: dict[str, str | None] | None
    run: JobRunJson | None


async def jobs(request: Request, port: JobsPort) -> Response:
    """Answer ``GET /api/jobs`` (all jobs), ``GET /api/jobs/{name}`` (one) and ``POST /api/jobs/{name}``: 202, the run
    waits.

    Raises:
        Problem: 400 for a body or query with mistakes, 404 for an unknown job, 409 for one that runs already.
        StorageUnavailable: storage did not answer.
    """
    name = request.path.get("name") or ""
    with refusals_as_problems():
        if request.method != "GET":
            return await _ask(request, port, _known(port, name))
        read_query(request, NoParameters)
        if name:
            return Response(200, await _shown(port, _known(port, name)))
        return Response(200, {"items": [await _shown(port, job) for job in port.jobs]})


async def _ask(request: Request, port: JobsPort, job: Job) -> Response:
    asked = read_body(request, JobRequest) if request.body.strip() else JobRequest()
    try:
        run = await port.ask(job.name, dry_run=asked.dry_run)
    except JobRunning as running:
        raise RequestRefused(
            RefusalReason.CONFLICT, "Already running", [RequestMistake("", str(running))], retry_after=60
        ) from None
    headers = {"Location": f"/api/jobs/{job.name}", "Retry-After": str(ASK_AGAIN)}
    return Response(202, _job_json(job, None, run), headers)


async def _shown(port: JobsPort, job: Job) -> JobJson:
    return _job_json(job, await port.holder(job.name), await port.last(job.name))


def _job_json(job: Job, holder: JobLease | None, run: JobRunRow | None) -> JobJson:
    return {
        "name": job.name,
        "does": job.does,
        "schedule": job.schedule,
        "needs": job.needs,
        "running": None if holder is None else {"holder": holder.holder, "since": rfc3339(holder.since)},
        "run": None if run is None else run_json(run),
    }


def run_json(run: JobRunRow) -> JobRunJson:
    """A run."""
    return {
        "id": run.id,
        "state": run.state,
        "dry_run": run.dry_run,
        "asked_at": rfc3339(run.asked_at),
        "started_at": rfc3339(run.started_at),
        "ended_at": rfc3339(run.ended_at),
        "parts": [
            {"name": one.name, "counts": dict(one.counts), "finished": one.finished, "reason": one.reason}
            for one in run.parts
        ],
        "samples": list(run.samples),
        "code": run.code,
        "reason": run.reason,
    }


def _known(port: JobsPort, name: str) -> Job:
    """A job. Raises RequestRefused for an unknown one."""
    found = {job.name: job for job in port.jobs}
    if name not in found:
        close = tuple(get_close_matches(name[:80], found, n=3, cutoff=0.5))
        detail = f"There is no job '{name[:80]}'. There are: {', '.join(found)}."
        raise RequestRefused(RefusalReason.NOT_FOUND, "Unknown job", [RequestMistake("name", detail, close)])
    return found[name]
