"""Commands that do a timer's work now: one for each job, here or in the deployed app, with --dry-run and progress."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from app.container import Container
from app.registry import REGISTRY
from app.timers import all_jobs
from cli.app_client import AppClient, configured_app
from cli.runtime import err, fail, out, run
from shared.core.jobs import JobPart, JobRun
from shared.core.plugins import Job

#: A person who waits may wait longer than a function of the app may run.
MOST_TIME = timedelta(hours=6)

#: Seconds between two looks at how far a run has come.
_LOOK_EVERY = 1.0

_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only count and show samples of what would be done; write nothing anywhere.")
]
_InApp = Annotated[bool, typer.Option("--app", help="Let the deployed app do it, with its own identity and network.")]
_Json = Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")]


def add_job_commands(app: typer.Typer) -> None:
    """Add ``jobs`` and a command for each job: ``full_check`` is ``full-check``, ``poll_scores`` is ``poll scores``."""
    polls = typer.Typer(help="Read from Microsoft's services now, as the timers do.", no_args_is_help=True)
    for job in all_jobs(REGISTRY):
        group = polls if job.name.startswith("poll_") else app
        name = job.name.removeprefix("poll_").replace("_", "-")
        needs = f" Needs {job.needs} in bridge.yaml." if job.needs else ""
        help_text = f"{job.does[:1].upper()}{job.does[1:]} now, as the timer does, whether it is due or not.{needs}"
        group.command(name, help=help_text)(_command(job))
    app.add_typer(polls, name="poll")
    app.command("jobs")(list_jobs)


def _command(job: Job) -> Callable[..., None]:
    def command(dry_run: _DryRun = False, in_app: _InApp = False, as_json: _Json = False) -> None:
        run(lambda services: _in_app(job, dry_run, as_json) if in_app else _here(services, job, dry_run, as_json))

    return command


def list_jobs() -> None:
    """Show every job of the deployed app: who runs it now, and how the last run that was asked for ended."""

    async def work(_: Container) -> None:
        client = configured_app()
        try:
            jobs = (await client.call("GET", "/api/jobs"))["items"]
        finally:
            await client.aclose()
        for job in jobs:
            out.print(f"{job['name']}: {job['does']} ({job['schedule']})", markup=False)
            if job["running"]:
                out.print(f"  run by {job['running']['holder']} since {job['running']['since']}", markup=False)
            if job["run"]:
                asked = job["run"]
                ended = f"{asked['state']} {asked['reason']}".rstrip()
                out.print(f"  asked for at {asked['asked_at']}: {ended}", markup=False)

    run(work)


async def _here(services: Container, job: Job, dry_run: bool, as_json: bool) -> None:
    """Run a job in this process, under its lease."""
    asked = JobRun(dry_run=dry_run, always=True)
    working = asyncio.create_task(services.job_runner.run(job.name, asked, by="bridge.py", for_at_most=MOST_TIME))
    with err.status(f"{job.name} ...") as status:
        while not (await asyncio.wait([working], timeout=_LOOK_EVERY))[0]:
            status.update(f"{job.name}: {_totals(asked.parts())}")
    await working
    _show(job, asked.parts(), asked.samples, dry_run=dry_run, as_json=as_json)


async def _in_app(job: Job, dry_run: bool, as_json: bool) -> None:
    """Let the app run a job, and wait until it ends."""
    client = configured_app()
    try:
        found = await _followed(client, job, dry_run)
    finally:
        await client.aclose()
    parts = [JobPart(**part) for part in found["parts"]]
    if found["state"] == "failed":
        fail(f"{job.name}: {found['reason']}", 1)
    _show(job, parts, found["samples"], dry_run=dry_run, as_json=as_json)


async def _followed(client: AppClient, job: Job, dry_run: bool) -> Mapping[str, Any]:
    """The run that was asked for, once it has ended."""
    asked: Mapping[str, Any] = (await client.call("POST", f"/api/jobs/{job.name}", {"dry_run": dry_run}))["run"]
    with err.status(f"{job.name}: waiting ...") as status:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            found: Mapping[str, Any] = (await client.call("GET", f"/api/jobs/{job.name}"))["run"]
            if found["id"] != asked["id"]:
                fail(f"{job.name}: somebody else asked for another run since", 1)
            if found["state"] in ("done", "failed"):
                return found
            status.update(f"{job.name}: {found['state']} {_totals([JobPart(**part) for part in found['parts']])}")


def _show(job: Job, parts: Any, samples: list[str], *, dry_run: bool, as_json: bool) -> None:
    """Print what a run did. Ends the command with 1 when a part of it broke off, or there was nothing to do."""
    if as_json:
        shown = [
            {"name": part.name, "counts": dict(part.counts), "finished": part.finished, "reason": part.reason}
            for part in parts
        ]
        print(json.dumps({"job": job.name, "dry_run": dry_run, "parts": shown, "samples": samples}, ensure_ascii=False))
    else:
        for part in parts:
            out.print(f"{part.name}: {_counts(part.counts)}", markup=False)
            if part.reason:
                err.print(f"{part.name}: {part.reason}", style="red", markup=False)
        if dry_run and samples:
            out.print("would be done, for example:")
        for sample in samples:
            out.print(f"  {sample}", markup=False)
    if not parts:
        fail(f"{job.name}: nothing to do" + (f"; it needs {job.needs} in bridge.yaml" if job.needs else ""), 1)
    if any(part.reason for part in parts):
        raise typer.Exit(1)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "nothing"


def _totals(parts: Any) -> str:
    """The counts of all parts together."""
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.counts.items():
            totals[name] = totals.get(name, 0) + count
    return _counts(totals)
