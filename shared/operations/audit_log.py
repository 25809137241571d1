"""The log of actions: one table row for each signal that came to its end, for people and for a later export.

Partitions are hours in UTC and rows in them are sorted by time, so that an export reads a span with one query in order
and old hours are deleted as they are, in transactions of a hundred. All of the present is written to one partition:
Table storage takes 2,000 rows a second there ("Scalability and performance targets for Table storage"), far more than
any ticket system takes tickets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.outcome import FOREIGN_MESSAGE, Outcome, OutcomeKind
from shared.core.ticket_json import TicketJson
from shared.core.times import optional_moment, parse_moment, rfc3339
from shared.platform.log import record
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import Operation, submit

if TYPE_CHECKING:
    from shared.core.signal import Signal

TABLE = "actions"

#: How long rows stay.
KEPT_FOR: Final = timedelta(days=90)

#: Rows that one run of the timer deletes: some minutes. What is left over goes the next day.
MOST_PER_RUN: Final = 100_000

#: What is no row: it says nothing that the row of the first event did not say, and Azure sends the same alert as often
#: as it likes. Reading a link and seeing that there is nothing to do would cost twice as much. Metrics count them.
#: ``overtaken`` is the bridge's own reminder that a problem had gone quiet, when it had not.
UNREMARKABLE: Final = frozenset({"duplicate", "stale", "in_progress", "overtaken"})

#: Outcomes that are the end of a signal.
_ENDS: Final = frozenset(
    {OutcomeKind.DELIVERED, OutcomeKind.GROUPED, OutcomeKind.SPLIT, OutcomeKind.DEAD_LETTERED, OutcomeKind.QUARANTINED}
)

#: Seconds that a row may take: a ticket must not wait for its log.
_PATIENCE = 4.0

_LONGEST_TEXT = 2000

#: Of the calls of a dry run; a column holds 32,768 characters.
_LONGEST_RENDERED = 16_000

#: A transaction holds this many operations. Source: "Performing entity group transactions".
_BATCH = 100


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row.

    Attributes:
        time: when the signal came to its end, UTC.
        id: the message's. key, source, kind, state, title: of the signal.
        decision: what was done: a decision of delivery, ``dead_lettered`` or ``quarantined``.
        route, connection: names in the configuration.
        ticket_kind, ticket_number, ticket_id, ticket_url: of the ticket, empty when there is none.
        rule: name of the rule that held, grouped or suppressed it.
        severity: 0 to 4, None when the signal has none.
        calls: to the ticket system, by the last attempt. attempts: deliveries, the last one included.
        seconds: from the webhook to the end.
        alert_rule: name of the rule that made the signal. resource, resource_type, subscription: of its first resource,
            the id in lower case; empty where it names none. fired_at: when its source noticed the problem, UTC.
        reason: why it was refused, could not be read, or made no ticket.
        left_out: references that were not found, and what was looked for; one in a line.
        warnings: what was odd about the payload, and what mapping had to say; one in a line.
        mode: ``dry_run`` when nothing was written outside, else empty. rendered: then, the calls that would have been
            made, as JSON; cut where it is long.
    """

    time: datetime
    id: str
    decision: str
    key: str = ""
    source: str = ""
    kind: str = ""
    state: str = ""
    title: str = ""
    severity: int | None = None
    route: str = ""
    connection: str = ""
    ticket_kind: str = ""
    ticket_number: str = ""
    ticket_id: str = ""
    ticket_url: str = ""
    rule: str = ""
    calls: int = 0
    attempts: int = 0
    seconds: float = 0.0
    alert_rule: str = ""
    resource: str = ""
    resource_type: str = ""
    subscription: str = ""
    fired_at: datetime | None = None
    reason: str = ""
    left_out: str = ""
    warnings: str = ""
    mode: str = ""
    rendered: str = ""

    @property
    def ticket(self) -> TicketJson | None:
        """The ticket; None when there is none, as for one that is only rehearsed."""
        if not self.ticket_id or (self.mode and not self.ticket_number):
            return None
        return TicketJson(
            id=self.ticket_id,
            number=self.ticket_number or None,
            kind=self.ticket_kind,
            connection=self.connection,
            url=self.ticket_url or None,
        )

    @classmethod
    def of(cls, outcome: Outcome, now: datetime) -> AuditEntry:
        """The row of an outcome."""
        about: dict[str, Any] = {"key": outcome.key}
        if outcome.signal is not None:
            about = {name: getattr(outcome.signal, name) for name in ("key", "source", "kind", "title", "severity")}
            about |= {"state": outcome.signal.state.value, **_origin(outcome.signal)}
        if outcome.ticket is not None:
            about |= {
                "ticket_kind": outcome.ticket.kind.value,
                "ticket_number": outcome.ticket.number,
                "ticket_id": outcome.ticket.id,
                "ticket_url": outcome.ticket.url,
            }
        return cls(
            time=outcome.ended_at or now,
            id=outcome.id,
            decision=outcome.decision,
            route=outcome.route,
            connection=outcome.connection,
            rule=outcome.rule,
            calls=outcome.calls,
            attempts=outcome.attempts,
            seconds=outcome.seconds,
            reason=outcome.reason,
            left_out="\n".join(map(str, outcome.left_out)),
            warnings="\n".join((*(outcome.signal.warnings if outcome.signal else ()), *outcome.warnings)),
            mode=outcome.mode,
            rendered=outcome.rendered,
            **about,
        )


class AuditLog:
    """Writes, reads and forgets rows."""

    def __init__(self, storage: Storage, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._storage = storage
        self._now = now
        #: Table operations so far, for tests of what a delivery costs.
        self.operations = 0
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def ended(self, outcome: Outcome) -> None:
        """Write the row of a message that came to its end. See ``OutcomeListener``."""
        if outcome.kind in _ENDS and outcome.code != FOREIGN_MESSAGE:
            await self.write(AuditEntry.of(outcome, self._now()))

    async def write(self, action: AuditEntry) -> bool:
        """Insert the row of a finished signal; one table operation at most, none for what is UNREMARKABLE.

        Never raises because of storage: the signal has come to its end, and must not be delivered again because its
        row could not be written. The app's log says that it is missing.

        Returns:
            Whether there is a row now.
        """
        if action.decision in UNREMARKABLE:
            return False
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        entity = _entity(action)
        try:
            async with storage_errors("logging an action", within=_PATIENCE):
                try:
                    await self._insert(entity)
                except ResourceNotFoundError:  # the table itself, once in an app's life
                    with contextlib.suppress(ResourceExistsError):
                        await self._storage.table(TABLE).create_table()
                    await self._insert(entity)
        except (StorageUnavailable, ConfigurationError) as error:
            record(
                "audit_entry_not_written", logging.WARNING, id=action.id, decision=action.decision, reason=str(error)
            )
            return False
        return True

    async def _insert(self, entity: dict[str, Any]) -> None:
        """Insert a row, together with those of signals that end meanwhile: while one transaction is on its way, others
        wait for the next, which takes them all. So the busier the app, the less a row costs."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((entity, written))
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = loop.create_task(self._write_waiting())
        await written

    async def _write_waiting(self) -> None:
        while self._waiting:
            partition = self._waiting[0][0]["PartitionKey"]
            batch = [each for each in self._waiting if each[0]["PartitionKey"] == partition][:_BATCH]
            self._waiting = [each for each in self._waiting if each not in batch]
            self.operations += 1
            error: Exception | None = None
            try:
                # A row that is there already was written by an attempt whose answer was lost.
                await submit(self._storage.table(TABLE), [("upsert", entity) for entity, _ in batch])
            except Exception as failed:  # every kind of failure is that of all who wait for it, and raised there
                error = failed
            for _, written in batch:
                if not written.done() and error is None:
                    written.set_result(None)
                elif not written.done() and error is not None:
                    written.set_exception(error)

    async def read(self, since: datetime, until: datetime) -> AsyncGenerator[AuditEntry, None]:
        """Rows from ``since`` on and before ``until``, in order of time; fetched a thousand at a time.

        Rows that cannot be read are left out, and the app's log says so.

        Raises StorageUnavailable.
        """
        from azure.core.exceptions import ResourceNotFoundError

        query = "PartitionKey ge @first and PartitionKey le @last"
        hours = {"first": _hour(since), "last": _hour(until)}
        async with storage_errors("reading the log of actions", within=math.inf):
            try:
                async for entity in self._storage.table(TABLE).query_entities(query, parameters=hours):
                    try:
                        action = _action(entity)
                    except (ValueError, TypeError, KeyError) as error:
                        self._storage.unreadable(TABLE, entity["RowKey"], error)
                        continue
                    if since <= action.time < until:
                        yield action
            except ResourceNotFoundError:
                return

    async def forget_before(self, when: datetime, at_most: int = 5000, *, dry_run: bool = False) -> int:
        """Delete the oldest rows of whole hours that ended before ``when``.

        Args:
            when: the hour it lies in stays.
            at_most: rows that one call deletes; call again while it returns this many.
            dry_run: only count them.

        Returns:
            How many were deleted, or would have been.

        Raises:
            StorageUnavailable: storage did not answer.
        """
        from azure.core.exceptions import ResourceNotFoundError

        deleted = 0
        batch: list[Operation] = []
        async with storage_errors("forgetting old actions"):
            table = self._storage.table(TABLE)

            async def delete() -> None:
                if not dry_run:
                    await submit(table, batch)

            found = table.query_entities(
                "PartitionKey lt @hour", parameters={"hour": _hour(when)}, select=["PartitionKey", "RowKey"]
            )
            # somebody else deleting at the same time, or no table yet
            with contextlib.suppress(ResourceNotFoundError):
                async for entity in found:
                    if batch and (len(batch) == _BATCH or batch[0][1]["PartitionKey"] != entity["PartitionKey"]):
                        await delete()
                        deleted += len(batch)
                        batch = []
                    if deleted + len(batch) == at_most:
                        break
                    batch.append(("delete", {name: entity[name] for name in ("PartitionKey", "RowKey")}))
                if batch:
                    await delete()
                    deleted += len(batch)
        return deleted


def _origin(signal: Signal) -> dict[str, Any]:
    """Where a signal comes from."""
    first = next(iter(signal.resources), None)
    return {
        "alert_rule": signal.rule or "",
        "resource": (first.id or "").lower() if first else "",
        "resource_type": (first.type or "") if first else "",
        "subscription": (first.subscription_id or "") if first else "",
        "fired_at": signal.fired_at,
    }


def _hour(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H}"


def _entity(action: AuditEntry) -> dict[str, Any]:
    moment = action.time.astimezone(UTC)
    values = asdict(action) | {
        "time": rfc3339(moment),
        "severity": -1 if action.severity is None else action.severity,
        "fired_at": rfc3339(action.fired_at) or "",
    }
    shortened = {name: v[: _longest(name)] if isinstance(v, str) else v for name, v in values.items()}
    row_key = f"{moment:%M%S%f}-{action.id}"
    return {"PartitionKey": _hour(moment), "RowKey": row_key, **{_column(n): v for n, v in shortened.items()}}


def _longest(name: str) -> int:
    return _LONGEST_RENDERED if name == "rendered" else _LONGEST_TEXT


def _action(entity: Mapping[str, Any]) -> AuditEntry:
    columns = {field.name: _column(field.name) for field in fields(AuditEntry)}
    # a row of an earlier release lacks columns
    values: dict[str, Any] = {name: entity[column] for name, column in columns.items() if column in entity}
    values["time"] = parse_moment(values["time"])
    values["severity"] = None if values["severity"] == -1 else values["severity"]
    values["fired_at"] = optional_moment(values.get("fired_at"))
    return AuditEntry(**values)


def _column(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
