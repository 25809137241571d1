"""The command line for kept items: the same commands for dead letters and for quarantine. Part of bridge.py."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.requests import Services
from shared.delivery.parked import ParkedItem, ParkedKind
from shared.operations.parked_items import LARGEST_PAGE, ParkedFilter

Contains = Annotated[str, typer.Option("--contains", help="Only items whose reason, key or title contains this text.")]
Code = Annotated[str, typer.Option("--code", help="Only items with this code, for example refused or expired.")]
Connection = Annotated[str, typer.Option("--connection", help="Only items of this connection.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only items kept since this time, UTC.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines instead of text for people.")]
Items = Annotated[list[str] | None, typer.Argument(help="Ids; or --all, or a filter such as --code.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]
AtMost = Annotated[int, typer.Option("--at-most", min=1, help="With a filter or --all: the oldest so many.")]
Again = Annotated[bool, typer.Option("--again", help="With a filter or --all: those replayed before, too.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Needed: what is dropped is gone for good.")]
Newest = Annotated[bool, typer.Option("--newest", help="Newest first.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Show this many; 0 for all.")]
Item = Annotated[str, typer.Argument(help="Its id.")]

_SAID = {"replayed": "put back on the queue"}

_REPLAY: dict[ParkedKind, str] = {
    "dead-letter": "Put dead letters back on the queue. Each stays listed until it was delivered.\n\n"
    "A replay never makes a second ticket, and an event that is older than what the ticket knows changes nothing.",
    "quarantine": "Read payloads again with the present parser: what is a signal now goes on the queue, the others "
    "stay.",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the command line gives its commands: services to work with, a way to fail, and where to write."""

    run: Callable[[Callable[[Services], Awaitable[Any]]], Any]
    fail: Callable[..., Any]
    out: Console
    err: Console


def kept_commands(kind: ParkedKind, about: str, desk: Desk) -> typer.Typer:
    """The commands list, show, replay and drop for one kind of kept items."""
    app = typer.Typer(help=about, no_args_is_help=True)

    @app.command("list")
    def list_(
        contains: Contains = "",
        code: Code = "",
        connection: Connection = "",
        since: Since = None,
        newest: Newest = False,
        limit: Limit = 0,
        as_json: AsJson = False,
    ) -> None:
        """List them, oldest first, with counts by code."""
        wanted = _filter(contains, code, connection, since)
        desk.run(lambda services: _list(services, desk, kind, wanted, newest, limit, as_json))

    @app.command()
    def show(item: Item) -> None:
        """Show one: reason, advice and the whole message, as JSON. What may be a secret is hidden."""
        found = desk.run(lambda services: services.kept_items.show(kind, item))
        if found is None:
            desk.fail(f"nothing with id {item}", 1)
        print(json.dumps(found, indent=2, ensure_ascii=False))

    @app.command(help=_REPLAY[kind])
    def replay(
        items: Items = None,
        everything: Everything = False,
        contains: Contains = "",
        code: Code = "",
        connection: Connection = "",
        since: Since = None,
        at_most: AtMost = 1000,
        again: Again = False,
        as_json: AsJson = False,
    ) -> None:
        wanted = _filter(contains, code, connection, since, replayed=None if again else False)
        _act(desk, "replay", kind, items, everything, wanted, at_most, as_json)

    @app.command()
    def drop(
        items: Items = None,
        everything: Everything = False,
        contains: Contains = "",
        code: Code = "",
        connection: Connection = "",
        since: Since = None,
        at_most: AtMost = 1000,
        confirm: Confirm = False,
        as_json: AsJson = False,
    ) -> None:
        """Forget those that nobody will need: they are gone for good."""
        if not confirm:
            desk.fail("what is dropped is gone for good: look at it with list and show, then say --confirm")
        _act(desk, "drop", kind, items, everything, _filter(contains, code, connection, since), at_most, as_json)

    return app


def _filter(
    contains: str, code: str, connection: str, since: datetime | None, replayed: bool | None = None
) -> ParkedFilter:
    moment = since.replace(tzinfo=UTC) if since else None
    return ParkedFilter(code=code, connection=connection, text=contains, since=moment, replayed=replayed)


async def _list(
    services: Services, desk: Desk, kind: ParkedKind, wanted: ParkedFilter, newest: bool, limit: int, as_json: bool
) -> None:
    service, after = services.kept_items, ""
    rows: list[ParkedItem] = []
    while limit == 0 or len(rows) < limit:
        size = min(LARGEST_PAGE, limit - len(rows)) if limit else LARGEST_PAGE
        page = await service.page(kind, wanted, newest=newest, limit=size, after=after)
        rows += page.items
        if page.next is None:
            break
        after = page.next
    if as_json:
        for row in rows:
            print(json.dumps(asdict(row)))
        return
    if not rows:
        desk.out.print("none")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "kept at", "code", "what", "reason"):
        table.add_column(column, overflow="fold")
    for row in rows:
        what = (row.title or row.key) + (" (replayed)" if row.replayed_at else "")
        table.add_row(row.id, row.kept_at[:19], row.code, escape(what), escape(row.reason[:300]))
    desk.out.print(table)
    counts = await service.counts(kind, wanted)
    codes = ", ".join(f"{code} {count}" for code, count in sorted(counts.by_code.items()))
    desk.out.print(f"{counts.total}{'' if counts.complete else ' or more'} in all: {codes}", markup=False)


def _act(
    desk: Desk,
    action: Literal["replay", "drop"],
    kind: ParkedKind,
    items: list[str] | None,
    everything: bool,
    wanted: ParkedFilter,
    at_most: int,
    as_json: bool,
) -> None:
    """Replay or drop: what became of each as it comes, then the sums. Exit code 1 unless all went as asked."""
    filtered = bool(wanted.code or wanted.connection or wanted.text or wanted.since)
    if not (items or everything or filtered):
        desk.fail("say which: ids, a filter such as --contains TEXT, or --all")
    if items and (everything or filtered):
        desk.fail("say ids or a filter, not both")

    async def work(services: Services) -> tuple[Counter[str], bool]:
        service = services.kept_items
        chosen, more = (items, False) if items else await service.choose(kind, wanted, at_most)
        counts: Counter[str] = Counter()
        doing = service.replay(kind, chosen) if action == "replay" else service.drop(kind, chosen)
        with desk.err.status(f"{action}: {len(chosen)} items ...") as status:
            async for result in doing:
                counts[result.outcome] += 1
                status.update(f"{action}: {counts.total()} of {len(chosen)} ...")
                if as_json:
                    print(json.dumps(asdict(result)))
                else:
                    desk.out.print(f"{result.outcome}  {result.id}  {result.detail}".rstrip(), markup=False)
        return counts, more

    counts, more = desk.run(work)
    if not as_json:
        said = ", ".join(f"{count} {_SAID.get(one, one.replace('_', ' '))}" for one, count in counts.items())
        desk.out.print((said or "nothing to do") + ("; there are more that match" if more else ""))
    if any(outcome not in ("replayed", "dropped") for outcome in counts):
        raise typer.Exit(1)
