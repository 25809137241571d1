"""The commands ``tickets`` that write nothing: list, show and trace what the bridge knows of its tickets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from app.container import Container
from cli.runtime import fail, out, run
from shared.core.link import Link, LinkStage, link_id
from shared.core.ticket_json import ticket_json, ticket_name
from shared.core.ticket_system import TicketKind
from shared.core.times import rfc3339
from shared.delivery.links import PARTS
from shared.operations.audit_log import AuditEntry
from shared.operations.parked_items import ParkedFilter
from shared.operations.ticket_list import LARGEST_PAGE, ListedTicket, TicketFilter, TicketQuery
from shared.web.tickets import listed_ticket_json

tickets_commands = typer.Typer(
    help="Tickets of the bridge. All but create read its own storage, not the ticket system, and write nothing.",
    no_args_is_help=True,
)

_Id = Annotated[
    str,
    typer.Argument(help="Number, id of the ticket, or key of the signal; the beginning is enough where it is unique."),
]
_Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text for people.")]
_Days = Annotated[int, typer.Option("--days", min=1, max=90, help="How many days to look back.")]

#: Shorter beginnings fit too much.
_SHORTEST = 4


@tickets_commands.command("list")
def list_tickets(
    source: Annotated[str, typer.Option("--source", help="azure_monitor, defender, secure_score or manual.")] = "",
    kind: Annotated[TicketKind | None, typer.Option("--kind", help="Kind of ticket.")] = None,
    stage: Annotated[LinkStage | None, typer.Option("--stage", help="Stage of the ticket.")] = None,
    connection: Annotated[str, typer.Option("--connection", help="Only tickets of this connection.")] = "",
    state: Annotated[str, typer.Option("--state", help="Name of the state, or its stored value.")] = "",
    owner: Annotated[str, typer.Option("--owner", help="Exactly this owner, in any case.")] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="Only open ones whose due date has passed.")] = False,
    contains: Annotated[str, typer.Option("--contains", help="Only tickets whose title contains this text.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=LARGEST_PAGE, help="Show this many.")] = 50,
    as_json: _Json = False,
) -> None:
    """List tickets, the newest first, with the count of all that match."""
    wanted = TicketFilter(
        source=source,
        kind=kind,
        stage=stage,
        connection=connection,
        state=state,
        owner=owner,
        overdue=True if overdue else None,
        title=contains,
    )

    async def work(services: Container) -> None:
        sources = [one.name for one in services.registry.sources]
        if source and source not in sources:
            fail(f"there is no source '{source}': write one of {', '.join(sources)}")
        if connection and connection not in services.config.connections:
            fail(f"there is no connection '{connection}': write one of {', '.join(services.config.connections)}")
        page = await services.ticket_list.page(TicketQuery(wanted, limit=limit))
        if as_json:
            for row in page.items:
                print(json.dumps(listed_ticket_json(row), ensure_ascii=False))
            return
        if not page.items:
            out.print("none")
            return
        _print(page.items)
        more = f", {limit} of them shown; --limit shows more" if page.next else ""
        out.print(f"{page.counts.total} in all, {page.counts.overdue} overdue{more}")

    run(work)


def _print(rows: tuple[ListedTicket, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("ticket", no_wrap=True)  # what is copied stays in one piece, however narrow the window is
    for column in ("state", "opened at", "title"):
        table.add_column(column, overflow="fold")
    for row in rows:
        opened = row.opened_at.isoformat(timespec="minutes")[:16] if row.opened_at else ""
        table.add_row(row.number or row.id[:12], escape(row.state or row.stage.value), opened, escape(row.title))
    out.print(table)


@tickets_commands.command()
def show(ticket: _Id) -> None:
    """Show what the bridge knows of one ticket, as JSON."""

    async def work(services: Container) -> dict[str, Any]:
        link = await _one(services, ticket)
        state = services.state_name(link.connection, link.kind, link.state) if link.state else ""
        shown = {name: _plain(value) for name, value in asdict(link).items()}
        made = None if link.ticket is None else ticket_json(link.ticket, link.connection)
        return {"id": link_id(link.key), "state_name": state, **shown, "ticket": made}

    print(json.dumps(run(work), indent=2, ensure_ascii=False))


@tickets_commands.command()
def trace(ticket: _Id, days: _Days = 7, as_json: _Json = False) -> None:
    """Show what happened to a ticket: every signal of its key, what was decided, and what was refused."""

    async def work(services: Container) -> None:
        link = await _one(services, ticket)
        now = services.now()
        events = [event async for event in _events(services, link.key, now - timedelta(days=days), now)]
        events.sort(key=lambda event: str(event["time"]))
        if as_json:
            for event in events:
                print(json.dumps(event, ensure_ascii=False))
            return
        number = link.ticket.number or link.ticket.id if link.ticket is not None else "no ticket"
        out.print(f"{number} ({link.stage.value}): {link.title}", style="bold", markup=False)
        out.print(f"key {link.key}, route {link.route or '-'}, connection {link.connection or '-'}", markup=False)
        for event in events:
            said = f"{str(event['time'])[:19]}  {event['state'] or '-'}: {event['decision']}"
            reason = f": {event['reason']}" if event["reason"] else ""
            out.print(f"{said} {ticket_name(event['ticket'])}".rstrip() + reason, markup=False)
        if not events:
            out.print(f"nothing was logged in the last {days} days; --days looks back up to 90")

    run(work)


@tickets_commands.command()
def incomplete(
    days: _Days = 7,
    as_json: _Json = False,
    no_ticket: Annotated[
        bool, typer.Option("--no-ticket", help="Also signals whose route says 'ticket: none', one by one.")
    ] = False,
) -> None:
    """List signals that matched no route, and tickets that were written without a reference that was not found.

    Signals whose route says 'ticket: none' are counted by route.
    """

    async def work(services: Container) -> None:
        now, counts, by_route = services.now(), {"no_route": 0, "left_out": 0}, Counter[str]()
        async for entry in services.audit_log.read(now - timedelta(days=days), now + timedelta(minutes=1)):
            if entry.decision == "no_ticket":
                by_route[entry.route] += 1
            if not (entry.left_out or entry.decision == "no_route" or (no_ticket and entry.decision == "no_ticket")):
                continue
            if entry.decision != "no_ticket":
                counts["left_out" if entry.left_out else "no_route"] += 1
            _print_incomplete(entry, as_json)
        if as_json:
            return
        for route, count in by_route.most_common():
            out.print(f"{count} without a ticket by the route '{route}'", markup=False)
        out.print(f"{counts['no_route']} without a route, {counts['left_out']} without a reference, in {days} days")

    run(work)


def _print_incomplete(entry: AuditEntry, as_json: bool) -> None:
    what = entry.left_out.splitlines() or [entry.reason or "no route matches"]
    if as_json:
        shown = {"time": rfc3339(entry.time), "key": entry.key, "ticket": entry.ticket, "missing": what, "id": entry.id}
        shown |= {"decision": entry.decision, "route": entry.route, "title": entry.title}
        print(json.dumps(shown, ensure_ascii=False))
        return
    out.print(
        f"{str(rfc3339(entry.time))[:19]}  {ticket_name(entry.ticket) or 'no ticket'}: {entry.title}", markup=False
    )
    route = f" (route '{entry.route}')" if entry.decision == "no_ticket" else ""
    out.print(f"  {'; '.join(what)}{route}", markup=False)
    out.print(f"  key {entry.key}", markup=False)


async def _events(services: Container, key: str, since: datetime, until: datetime) -> AsyncIterator[dict[str, Any]]:
    """Entries of the audit log of a key, and its parked items."""
    async for entry in services.audit_log.read(since, until + timedelta(minutes=1)):
        if entry.key == key:
            yield {
                "time": rfc3339(entry.time),
                "state": entry.state,
                "decision": f"dry run: {entry.decision}" if entry.mode else entry.decision,
                "ticket": entry.ticket,
                "reason": entry.reason or entry.left_out.replace("\n", "; ") or entry.rule,
                "id": entry.id,
            }
    page = await services.parked_items.page("dead-letter", ParkedFilter(text=key), newest=False)
    for item in page.items:
        if item.key == key:
            reason = f"{item.reason} (bridge.py dead-letters show {item.id[:12]})"
            yield {
                "time": item.parked_at,
                "state": "",
                "decision": "waits as a dead letter",
                "ticket": None,
                "reason": reason,
                "id": item.id,
            }


async def _one(services: Container, text: str) -> Link:
    """The link that a text names. Ends the command when there is none, or more than one."""
    wanted = text.strip().casefold()
    exact: list[Link] = []
    begun: list[Link] = []
    async for link in services.links.tickets(range(PARTS)):
        ticket = link.ticket
        names = [link.key, link_id(link.key), *link.earlier]
        names += [ticket.number, ticket.id] if ticket is not None else []
        folded = [name.casefold() for name in names if name]
        if wanted in folded:
            exact.append(link)
        elif len(wanted) >= _SHORTEST and any(name.startswith(wanted) for name in folded):
            begun.append(link)
    found = exact or begun
    if not found:
        fail(f"no ticket is called '{text}': bridge.py tickets list shows them", 1)
    if len(found) > 1:
        named = [one.ticket.number or one.ticket.id if one.ticket else one.key for one in found[:5]]
        fail(f"'{text}' fits {len(found)} tickets: {', '.join(named)}. Write more of it", 1)
    return found[0]


def _plain(value: Any) -> Any:
    """A value as JSON takes it."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
