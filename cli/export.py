"""The commands ``export``: what a back-fill would cost, how the export goes, beginning it anew, stopping it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

import typer

from app.container import Container
from cli.app_client import AppClient, configured_app
from cli.runtime import err, fail, out, run
from shared.config.export import USUAL_DAYS, ExportSettings
from shared.core.errors import BridgeError, JobRunning
from shared.core.jobs import JobRun
from shared.core.settings import format_duration
from shared.core.times import rfc3339

export_commands = typer.Typer(
    help="The export of tickets to the log store.\n\nThe app exports by itself every five minutes where bridge.yaml "
    "has the section of a log store and 'export' of a connection. preview says what the first export would cost; "
    "status shows how far it is; backfill sends the tickets of past days once more; stop pauses a connection and start "
    "goes on where it stood. Rows that are sent twice have the same RecordId, and the saved functions count them once.",
    no_args_is_help=True,
)

#: A back-fill goes on in runs of this length, so that a command that is ended loses little.
_RUN = timedelta(minutes=4)

#: Seconds between two looks, and those to wait when the connection's calls are used up.
_LOOK_EVERY, _PAUSE = 1.0, 30.0

_Connection = Annotated[
    str, typer.Option("--connection", help="Name of the connection; may be left out where only one is exported.")
]
_Json = Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")]
_Days = Annotated[
    int, typer.Option("--days", min=0, max=3650, help="How far back. Left out: 'days' of the configuration.")
]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_InApp = Annotated[
    bool, typer.Option("--app", help="Only order it: the deployed app does it, in its runs every five minutes.")
]


@export_commands.command()
def preview(connection: _Connection = "", days: _Days = 0, as_json: _Json = False) -> None:
    """Count the tickets of a back-fill, and say how many calls and how much time it would take.

    Sends nothing. Takes one call to the ticket system for each kind of ticket.
    """
    run(lambda services: _preview(services, connection, days, as_json))


async def _preview(services: Container, connection: str, days: int, as_json: bool) -> None:
    from shared.export.estimate import estimate

    found = []
    for name, settings in _wanted(services, connection).items():
        budget = services.config.connections[name].budget
        _, allowed = await services.budget(name).usage()
        system = services.opened_systems.real_system(name)
        found.append(
            await estimate(system, settings, days or settings.days, services.now(), allowed or budget.calls, budget.per)
        )
    if as_json:
        shown = [
            asdict(one) | {"rows": one.rows, "calls": one.calls, "time": one.time.total_seconds()} for one in found
        ]
        print(json.dumps(shown, ensure_ascii=False))
        return
    for one in found:
        for kind in one.kinds:
            out.print(f"{one.connection} {kind.kind.value}: {kind.rows} tickets, {kind.calls} calls", markup=False)
        limit = "no limit of calls is known" if one.allowed is None else f"of {one.allowed} that a window allows"
        out.print(
            f"{one.connection}: {one.rows} tickets of {one.days} days take {one.calls} calls ({limit}), at least "
            f"{format_duration(one.time)}. Alerts are delivered first, so it may take longer.",
            markup=False,
        )
        if one.days > USUAL_DAYS:
            err.print(f"{one.days} days are more than the usual {USUAL_DAYS}.", style="yellow", markup=False)


@export_commands.command()
def status(connection: _Connection = "", as_json: _Json = False) -> None:
    """Show how far the export of each connection is, its lag, and its last success and error.

    Reads the bridge's own storage, and calls nobody.
    """
    run(lambda services: _status(services, connection, as_json))


async def _status(services: Container, connection: str, as_json: bool) -> None:
    names = _wanted(services, connection)
    _require_store(services)
    now = services.now()
    found = {name: one.shown(now) for name, one in (await services.exports.statuses()).items() if name in names}
    log = await services.exports.store.log()
    if as_json:
        shown = {"connections": found, "log": {"sent_to": rfc3339(log.sent_to)}}
        print(json.dumps(shown, ensure_ascii=False))
        return
    for name, one in found.items():
        lag = one["lag_seconds"]
        late = "" if lag is None else f", at most {format_duration(timedelta(seconds=lag))} behind"
        out.print(f"{name}: {_STATES[one['state']]}{late}", markup=False)
        for kind, at in one["kinds"].items():
            out.print(f"  {kind}: {_progress(at)}", markup=False)
        if one["last_success"]:
            out.print(f"  last success {one['last_success']}", markup=False)
        if one["last_error"]:
            out.print(f"  last error {one['last_error']['at']}: {one['last_error']['reason']}", markup=False)
    out.print(f"log of the bridge: sent up to {rfc3339(log.sent_to) or 'nothing yet'}", markup=False)


_STATES: Mapping[str, str] = {
    "ok": "changes are exported",
    "backfilling": "a back-fill is under way",
    "failing": "the last run broke off",
    "stopped": "stopped; bridge.py export start goes on",
    "never_ran": "not begun yet; the app's timer begins it",
}


def _progress(at: Mapping[str, Any]) -> str:
    of = f" of about {at['expected']}" if at["backfilling"] and at["expected"] is not None else ""
    text = f"{at['rows']} rows{of} since {at['since'] or 'the beginning'}"
    if at["exported_to"]:
        text += f", exported up to {at['exported_to']}"
    if at["lacking"]:
        text += f"; empty, because the instance lacks or hides them: {', '.join(at['lacking'])}"
    if at["deletions_known"] is False:
        text += "; the instance does not tell of deletions"
    return text


@export_commands.command()
def backfill(connection: _Connection = "", days: _Days = 0, yes: _Yes = False, in_app: _InApp = False) -> None:
    """Export the tickets of past days once more, with progress.

    It is done in this process, with the call budget that the app uses. Ctrl-C ends it, and the app goes on where it
    stood. A connection that was stopped is started by it.
    """
    run(lambda services: _backfill(services, connection, days, yes, in_app))


async def _backfill(services: Container, connection: str, days: int, yes: bool, in_app: bool) -> None:
    name, settings = _one(services, connection)
    _require_store(services)
    client = configured_app() if in_app else None  # before anything is ordered
    days = days or settings.days
    if not yes:
        await _preview(services, name, days, as_json=False)
        typer.confirm(f"Export the tickets of {days} days of {name}?", abort=True, err=True)
    orders = replace(
        await services.exports.store.orders(name),
        stopped_at=None,
        backfill=uuid4().hex,
        days=days,
        asked_at=services.now(),
    )
    await services.exports.store.order(name, orders)
    if client is not None:
        await _start_in_app(client)
        out.print(f"{name}: ordered. bridge.py export status shows how far the app is.", markup=False)
        return
    with err.status(f"{name}: beginning ...") as shown:
        await _until_done(services, name, orders.backfill, shown)
    await _status(services, name, as_json=False)


async def _start_in_app(client: AppClient) -> None:
    try:
        await client.call("POST", "/api/jobs/export_tickets", {"dry_run": False})
    finally:
        await client.aclose()


async def _until_done(services: Container, name: str, order: str, shown: Any) -> None:
    """Run the export of a connection until its back-fill is done; what may pass is waited for."""
    while True:
        work = asyncio.create_task(_one_run(services, name))
        while not (await asyncio.wait([work], timeout=_LOOK_EVERY))[0]:
            shown.update(await _told(services, name, order))
        reason = await work
        status = (await services.exports.statuses())[name]
        if status.orders.backfill != order or status.orders.stopped_at is not None:
            fail(f"{name}: somebody stopped it, or began another back-fill, since", 1)
        if not status.is_backfilling:
            return
        if status.notes.is_failing and not _may_pass(status.notes.code):
            fail(f"{name}: {status.notes.reason}", 1)
        if reason:
            shown.update(f"{await _told(services, name, order)}; waits: {reason}")
            await asyncio.sleep(_PAUSE)


async def _one_run(services: Container, name: str) -> str:
    """One run under the job's lease; why it broke off."""
    try:
        async with services.job_leases.hold("export_tickets", _RUN * 2, holder="bridge.py"):
            results = await services.exports.export_tickets(JobRun(always=True), connection=name, most_time=_RUN)
    except JobRunning as running:
        return str(running)
    return results[0].reason if results else ""


async def _told(services: Container, name: str, order: str) -> str:
    """How far a back-fill is."""
    try:
        status = (await services.exports.statuses())[name]
    except BridgeError as error:  # the next look may say more
        return f"{name}: {error}"
    begun = [one for one in status.kinds.values() if one.order == order]
    rows, expected = sum(one.rows for one in begun), sum(one.expected or 0 for one in begun)
    return f"{name}: {rows} of about {expected} tickets, {len(begun)} of {len(status.kinds)} kinds begun"


def _may_pass(code: str) -> bool:
    return code in ("throttled", "unavailable", "not_sent", "outcome_unknown", "source_unavailable")


@export_commands.command()
def stop(connection: _Connection = "") -> None:
    """Stop the export of a connection where it stands. The present page is still sent.

    'export start' goes on where it stood, 'export backfill' begins anew.
    """
    run(lambda services: _set_stopped(services, connection, True))


@export_commands.command()
def start(connection: _Connection = "") -> None:
    """Go on with an export that was stopped, where it stood: what changed meanwhile is exported too."""
    run(lambda services: _set_stopped(services, connection, False))


async def _set_stopped(services: Container, connection: str, stopped: bool) -> None:
    name, _ = _one(services, connection)
    orders = await services.exports.store.orders(name)
    if stopped == (orders.stopped_at is not None):
        out.print(f"{name}: it is {'stopped' if stopped else 'not stopped'} already", markup=False)
        return
    await services.exports.store.order(name, replace(orders, stopped_at=services.now() if stopped else None))
    said = "stopped; bridge.py export start goes on" if stopped else "the next run, within five minutes, goes on"
    out.print(f"{name}: {said}", markup=False)


def _require_store(services: Container) -> None:
    """End the command where nothing can be exported."""
    if services.exports.destination is None:
        fail("no log store is configured, so nothing is exported. Fix: add its section to bridge.yaml", 1)
    if services.is_dry_run:
        fail("mode: dry_run exports nothing. Fix: take it out of bridge.yaml", 1)


def _wanted(services: Container, connection: str) -> Mapping[str, ExportSettings]:
    """The connections that are exported, or the one that is meant. Ends the command when there is none."""
    settings = services.exports.settings
    if not settings:
        fail("no connection is exported. Fix: add 'export: {}' to a connection in bridge.yaml", 1)
    if connection and connection not in settings:
        fail(f"'{connection}' is not exported: write one of {', '.join(settings)}")
    return {connection: settings[connection]} if connection else settings


def _one(services: Container, connection: str) -> tuple[str, ExportSettings]:
    wanted = _wanted(services, connection)
    if len(wanted) > 1:
        fail(f"several connections are exported. Fix: add --connection with one of {', '.join(wanted)}")
    return next(iter(wanted.items()))
