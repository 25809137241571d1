"""The commands ``dead-letters`` and ``quarantine``: list, show, replay and drop parked items."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from app.container import Container
from cli.runtime import err, fail, out, run
from shared.delivery.parked import ParkedItem, ParkedKind
from shared.operations.parked_items import LARGEST_PAGE, ParkedFilter

Contains = Annotated[str, typer.Option("--contains", help="Only items whose reason, key or title contains this text.")]
Code = Annotated[str, typer.Option("--code", help="Only items with this code, for example refused or expired.")]
Connection = Annotated[str, typer.Option("--connection", help="Only items of this connection.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only items parked since this time, UTC.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines instead of text for people.")]
Items = Annotated[
    list[str] | None,
    typer.Argument(help="Ids, or their beginnings as list shows them; or --all, or a filter such as --code."),
]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]
AtMost = Annotated[
    int, typer.Option("--at-most", min=1, help="With a filter or --all: only this many, the oldest first.")
]
Again = Annotated[bool, typer.Option("--again", help="With a filter or --all: also items that were replayed before.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Required: dropped items cannot be recovered.")]
Newest = Annotated[bool, typer.Option("--newest", help="Newest first.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Show this many; 0 for all.")]
Item = Annotated[str, typer.Argument(help="Its id, or the beginning as list shows it.")]

#: Characters of an id that lists show at least, and of a whole id.
_SHORTEST = 8
_WHOLE = 32

#: Columns of a window that is wide enough for whole ids.
_WIDE = 120

#: Words for outcomes whose names do not say enough.
_OUTCOMES = {"replayed": "put back on the queue"}

_REPLAY: dict[ParkedKind, str] = {
    "dead-letter": "Put dead letters back on the queue. Each stays listed until it is delivered.\n\n"
    "A replay never creates a second ticket. An event that is older than the state of the ticket changes nothing.",
    "quarantine": "Read payloads again with the current parser. What it recognises goes on the queue, the rest stays.",
}


def parked_commands(kind: ParkedKind, about: str) -> typer.Typer:
    """The commands list, show, replay and drop for one kind of parked items."""
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
        run(lambda services: _list(services, kind, wanted, newest, limit, as_json))

    @app.command()
    def show(item: Item) -> None:
        """Show one: reason, advice and the whole message, as JSON. What may be a secret is hidden."""

        async def work(services: Container) -> dict[str, Any] | None:
            (one,) = await _full_ids(services, kind, [item])
            return await services.parked_items.show(kind, one)

        found = run(work)
        if found is None:
            fail(f"nothing with id {item}", 1)
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
        _act("replay", kind, items, everything, wanted, at_most, as_json)

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
        """Delete items that nobody needs any more. They cannot be recovered."""
        if not confirm:
            fail("dropped items cannot be recovered: look at them with list and show, then add --confirm")
        _act("drop", kind, items, everything, _filter(contains, code, connection, since), at_most, as_json)

    return app


def _filter(
    contains: str, code: str, connection: str, since: datetime | None, replayed: bool | None = None
) -> ParkedFilter:
    moment = since.replace(tzinfo=UTC) if since else None
    return ParkedFilter(code=code, connection=connection, text=contains, since=moment, replayed=replayed)


async def _list(
    services: Container, kind: ParkedKind, wanted: ParkedFilter, newest: bool, limit: int, as_json: bool
) -> None:
    service, after = services.parked_items, ""
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
        out.print("none")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)  # what is copied stays in one piece, however narrow the window is
    for column in ("parked at", "code", "what", "reason"):
        table.add_column(column, overflow="fold")
    # Wide windows have room for whole ids.
    length = _WHOLE * 2 if out.width >= _WIDE else _shown_length([row.id for row in rows])
    for row in rows:
        what = (row.title or row.key) + (" (replayed)" if row.replayed_at else "")
        table.add_row(row.id[:length], row.parked_at[:19], row.code, escape(what), escape(row.reason[:300]))
    out.print(table)
    counts = await service.counts(kind, wanted)
    codes = ", ".join(f"{code} {count}" for code, count in sorted(counts.by_code.items()))
    out.print(f"{counts.total}{'' if counts.complete else ' or more'} in all: {codes}", markup=False)


def _shown_length(ids: list[str]) -> int:
    """Characters of an id that tell it from all others of a list, at least :data:`_SHORTEST`."""
    ordered = sorted(ids)
    length = _SHORTEST
    while any(one[:length] == other[:length] for one, other in pairwise(ordered) if one != other):
        length += 1
    return length


async def _full_ids(services: Container, kind: ParkedKind, given: list[str]) -> list[str]:
    """The ids that begin as given. What fits nothing stays as it is; what fits several ends the command."""
    if all(len(one) >= _WHOLE for one in given):
        return given
    ids: list[str] = []
    after = ""
    while True:
        page = await services.parked_items.page(kind, ParkedFilter(), newest=False, limit=LARGEST_PAGE, after=after)
        ids += [row.id for row in page.items]
        if page.next is None:
            break
        after = page.next
    return [_full_id(one, ids) for one in given]


def _full_id(given: str, ids: list[str]) -> str:
    found = [one for one in ids if one == given] or [one for one in ids if given and one.startswith(given)]
    if len(found) > 1:
        fail(f"'{given}' fits {len(found)} items: {', '.join(found[:5])}. Write more of it")
    return found[0] if found else given


def _act(
    action: Literal["replay", "drop"],
    kind: ParkedKind,
    items: list[str] | None,
    everything: bool,
    wanted: ParkedFilter,
    at_most: int,
    as_json: bool,
) -> None:
    """Replay or drop items: print the outcome of each one when it is known, then the totals.

    Raises:
        typer.Exit: with code 2 when no items are chosen, with code 1 when an item could not be replayed or dropped.
    """
    filtered = bool(wanted.code or wanted.connection or wanted.text or wanted.since)
    if not (items or everything or filtered):
        fail("choose items: ids, a filter such as --contains TEXT, or --all")
    if items and (everything or filtered):
        fail("give ids or a filter, not both")

    async def work(services: Container) -> tuple[Counter[str], bool]:
        service = services.parked_items
        chosen, more = (
            (await _full_ids(services, kind, items), False) if items else await service.choose(kind, wanted, at_most)
        )
        counts: Counter[str] = Counter()
        results = service.replay(kind, chosen) if action == "replay" else service.drop(kind, chosen)
        with err.status(f"{action}: {len(chosen)} items ...") as status:
            async for result in results:
                counts[result.outcome] += 1
                status.update(f"{action}: {counts.total()} of {len(chosen)} ...")
                if as_json:
                    print(json.dumps(asdict(result)))
                else:
                    out.print(f"{result.outcome}  {result.id}  {result.detail}".rstrip(), markup=False)
        return counts, more

    counts, more = run(work)
    if not as_json:
        totals = ", ".join(f"{count} {_OUTCOMES.get(one, one.replace('_', ' '))}" for one, count in counts.items())
        out.print((totals or "nothing to do") + ("; there are more that match" if more else ""))
    if any(outcome not in ("replayed", "dropped") for outcome in counts):
        raise typer.Exit(1)
