"""Exports the tickets of one connection: kind by kind, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.config.export import ExportSettings
from shared.core.errors import BridgeError, CircuitOpen, MustWait, NotAuthorised, OutcomeUnknown, Refused, Unavailable
from shared.core.export import ExportsTickets, LogDestination, RecordPage, Selection, TicketRecord
from shared.core.jobs import JobRun
from shared.core.ticket_system import TicketKind, TicketSystem
from shared.core.times import parse_moment
from shared.export.deletions import GoneTickets
from shared.export.positions import ExportOrders, ExportStore, KindPosition
from shared.export.redaction import NameRedactor
from shared.platform.log import record

#: Tickets that are asked for in one call.
PAGE = 500

#: Tickets that are asked for at least, however slow the instance is.
_SMALLEST_PAGE = 10

#: How often the timer runs; it is never exactly on time.
_TIMER, _SLACK = timedelta(minutes=5), timedelta(minutes=1)

#: How often a ticket system is asked for deletions; and again where it did not tell of them.
_DELETIONS_EVERY, _HIDDEN_EVERY = timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True)
class ExportResult:
    """What came of one connection.

    Attributes:
        rows: of tickets that were sent. deleted: of these, those that say that a ticket was deleted.
        calls: to the ticket system. requests: to the log store.
        finished: False when the rest follows in the next run. reason: why the run broke off.
    """

    connection: str
    rows: int = 0
    deleted: int = 0
    calls: int = 0
    requests: int = 0
    finished: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ExportTools:
    """What the export of every connection uses.

    Attributes:
        destination: where rows go.
        store: how far the export has come.
        gone: tickets of ours that were found to be deleted.
        now: the clock.
        page: tickets that are asked for in one call.
    """

    destination: LogDestination
    store: ExportStore
    gone: GoneTickets
    now: Callable[[], datetime]
    page: int = PAGE


class ConnectionExport:
    """One run of the export of one connection.

    Args:
        name: of the connection.
        settings: what is exported.
        tools: destination, store and clock.
        run: what is asked for. In a dry run nothing is sent.
        result: is filled.
    """

    def __init__(
        self, name: str, settings: ExportSettings, tools: ExportTools, run: JobRun, result: ExportResult
    ) -> None:
        self._name = name
        self._settings = settings
        self._tools = tools
        self._run = run
        self._result = result
        self._redactor = NameRedactor({})

    async def work(self, system: TicketSystem, orders: ExportOrders, ends: datetime) -> BridgeError | None:
        """Export every kind that is due, until a time. What one kind is refused does not stop the others: it is
        returned, with the reasons of all in the result.

        Raises what stops all of them: the budget has no call, a system does not answer, storage fails.
        """
        if not isinstance(system, ExportsTickets):
            raise Refused(
                "its tickets cannot be exported",
                connection=self._name,
                advice=f"Take connections.{self._name}.export out of bridge.yaml",
            )
        self._redactor = await self._made_redactor()
        kinds = [kind for kind in self._settings.ticket_kinds if kind in system.export_kinds]
        failures: list[BridgeError] = []
        for place, kind in enumerate(kinds):
            if place and await self._tools.store.orders(self._name) != orders:
                break  # somebody stopped it, or ordered a back-fill: the next run obeys
            now = self._tools.now()
            try:  # no kind takes the time of the others
                await self._kind(system, kind, orders, now + (ends - now) / (len(kinds) - place))
            except Refused as error:
                failures.append(error)
            except NotAuthorised as error:
                if error.status != 403:  # the credentials are refused, not this table
                    raise
                failures.append(error)
        await self._send_gone()
        self._result.reason = " ".join(dict.fromkeys(map(str, failures)))
        return failures[0] if failures else None

    async def _made_redactor(self) -> NameRedactor:
        redactions = self._settings.redactions
        hashed = "hash" in redactions.values()
        key = await self._tools.store.redaction_key() if hashed and not self._run.dry_run else b"-"
        return NameRedactor(redactions, key)

    async def _kind(self, system: ExportsTickets, kind: TicketKind, orders: ExportOrders, ends: datetime) -> None:
        """Export one kind to the end of its changes, or until a time."""
        began = self._tools.now()
        position = await self._tools.store.position(self._name, kind)
        if position.watermark is None or (orders.backfill and position.order != orders.backfill):
            position = await self._begin(system, kind, orders, position)
        elif not self._run.always and not _is_due(position.ran_at, began, self._settings.every):
            return
        more = True
        while more:
            page = await self._page(system, kind, position)
            position = self._say_lacking(kind, position, page.lacking)
            await self._send(page.records)
            more = page.more
            position = replace(
                position,
                watermark=page.watermark,
                rows=position.rows + len(page.records),
                pages=position.pages + 1,
                limit=position.limit if page.more else 0,
                read_to=max((one.changed_at for one in page.records), default=position.read_to),
                ran_at=position.ran_at if more else began,
                noted_at=self._tools.now(),
            )
            # What was sent and is not noted is sent once more, under the same ids.
            await self._tools.store.note_position(self._name, kind, position)
            if more and (self._tools.now() >= ends or await self._tools.store.orders(self._name) != orders):
                self._result.finished = False
                return
        await self._deletions(system, kind, position)

    async def _page(self, system: ExportsTickets, kind: TicketKind, position: KindPosition) -> RecordPage:
        """The next page. Where the instance does not come to an answer, the next attempt asks for half as many."""
        limit = position.limit or self._tools.page
        self._result.calls += 1
        try:
            return await system.export_page(kind, self._selection(position), position.watermark, limit=limit)
        except (MustWait, CircuitOpen):
            self._result.calls -= 1  # nothing was sent
            raise
        except (OutcomeUnknown, Unavailable):
            smaller = replace(position, limit=max(limit // 2, _SMALLEST_PAGE))
            await self._tools.store.note_position(self._name, kind, smaller)
            raise

    async def _begin(
        self, system: ExportsTickets, kind: TicketKind, orders: ExportOrders, before: KindPosition
    ) -> KindPosition:
        """The position at which a back-fill begins."""
        days = orders.days if orders.backfill else self._settings.days
        since = self._tools.now() - timedelta(days=days)
        position = KindPosition(
            order=orders.backfill,
            since=since,
            limit=before.limit,
            lacking=before.lacking,
            deletions_to=before.deletions_to or since,
            deletions_hidden=before.deletions_hidden,
            deletions_at=before.deletions_at,
        )
        expected = await system.export_count(kind, self._selection(position))
        self._result.calls += 1
        record("export_backfill_began", connection=self._name, kind=kind.value, since=since, expected=expected)
        return replace(position, expected=expected)

    def _selection(self, position: KindPosition) -> Selection:
        since = position.since or self._tools.now() - timedelta(days=self._settings.days)
        return self._settings.selection(since)

    async def _send(self, records: tuple[TicketRecord, ...]) -> None:
        if not records:
            return
        if self._run.dry_run:
            for one in records:
                self._run.sample(
                    f"export {one.kind.value} {one.number} as it was at {one.changed_at:%Y-%m-%d %H:%M:%S}"
                )
        else:
            sent = [self._redactor.redact(one) for one in records]
            self._result.requests += await self._tools.destination.send_tickets(sent)
        self._result.rows += len(records)

    def _say_lacking(self, kind: TicketKind, position: KindPosition, lacking: frozenset[str]) -> KindPosition:
        """Say once which columns stay empty."""
        news = lacking - set(position.lacking)
        if news:
            names = sorted(news)
            record("export_columns_missing", connection=self._name, kind=kind.value, fields=names)
            self._run.sample(f"{kind.value} has no column, or shows none, for {', '.join(names)}: they stay empty")
        return replace(position, lacking=tuple(sorted(lacking | set(position.lacking)))) if news else position

    async def _deletions(self, system: ExportsTickets, kind: TicketKind, position: KindPosition) -> None:
        """Send rows for tickets that were deleted, where the instance tells of them.

        It cannot tell which of them were selected: of ours alone the full check says it, see :class:`GoneTickets`.
        """
        now, every = self._tools.now(), _HIDDEN_EVERY if position.deletions_hidden else _DELETIONS_EVERY
        asked = position.deletions_at
        if self._settings.tickets == "ours" or (asked is not None and now - asked < every - _SLACK):
            return
        since, more, hidden = position.deletions_to or now, True, False
        while more:
            page = await system.export_deleted(kind, since, limit=self._tools.page)
            self._result.calls += 1
            if page is None:
                hidden, more = True, False
                continue
            await self._send(page.records)
            self._result.deleted += len(page.records)
            since, more = parse_moment(page.watermark), page.more
        if hidden and not position.deletions_hidden:
            record("export_deletions_hidden", connection=self._name, kind=kind.value)
        position = replace(position, deletions_to=since, deletions_at=now, deletions_hidden=hidden)
        await self._tools.store.note_position(self._name, kind, position)

    async def _send_gone(self) -> None:
        """Send rows for tickets of ours that the full check found to be deleted."""
        gone = [] if self._run.dry_run else await self._tools.gone.of(self._name)
        if gone:
            await self._send(tuple(one.value.record() for one in gone))
            self._result.deleted += len(gone)
            await self._tools.gone.forget(gone)


def _is_due(ran_at: datetime | None, now: datetime, every: timedelta) -> bool:
    return ran_at is None or every <= _TIMER or now - ran_at >= every - _SLACK
