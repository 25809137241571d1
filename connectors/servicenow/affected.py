"""The affected configuration items of a ticket: rows of ``task_ci``, each of which joins one task and one item.

Nothing is added twice: the rows that are there are read first, a row's sys_id follows from ticket and item, so that a
repetition hits the primary key, and the table's unique index over task and item stops what people and other
integrations add at the same time. Rows are inserted by the Batch API, or one by one where an instance has none.

Sources: ServiceNow docs, "Associate CIs with an incident" (one primary item, the others in the list of affected CIs),
"Batch API" (items run one after the other and are no transaction; what a limit does not reach was not run).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from itertools import islice

from connectors.servicenow.batch import batch_call, read_items
from connectors.servicenow.client import Client
from connectors.servicenow.references import References
from connectors.servicenow.refusals import DuplicateKey
from connectors.servicenow.tables import CI_FIELD
from connectors.servicenow.wire import SEVERAL, Purpose, WireCall, list_call, selected, shorten, value
from shared.core.errors import NotAuthorised, Refused, TicketSystemError, Unavailable
from shared.core.ticket_system import AffectedItems, LeftOut, TicketKind, TicketRef

TABLE = "task_ci"

#: Kinds whose tickets are tasks.
AFFECTED_KINDS = frozenset({TicketKind.INCIDENT, TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST})

#: Rows of one batch: few, because each of them spends a call of the budget, and all or none of these must be there.
_BATCH = 10

_INSERT = f"/api/now/table/{TABLE}"
_MOST_ROWS = 1000

#: Resources of which it is said that several items fit.
_MOST_AMBIGUOUS = 5

#: Namespace of the ids that new rows get.
_NAMESPACE = uuid.UUID("3f0c6a52-9f0f-4e0e-8b7b-6b2d6c1d9a75")


class TicketItems:
    """Adds affected items to tickets.

    Args:
        client: makes the calls.
        references: finds configuration items.
        most: items that one ticket lists at most.
    """

    def __init__(self, client: Client, references: References, most: int) -> None:
        self._client = client
        self._references = references
        self._most = most
        self._has_batch = True

    async def add(self, ref: TicketRef, own: str, resources: Sequence[str]) -> AffectedItems:
        """See ``ListsAffectedItems.add_affected_items``."""
        found = await self._references.find_items([own, *resources])
        items = [found.get(text.strip()) for text in resources]
        main = found.get(own.strip())
        wanted = list(dict.fromkeys(item for item in items if item not in (None, SEVERAL, main)))
        ambiguous = [text for text, item in zip(resources, items, strict=True) if item == SEVERAL]
        present = await self._present(ref) if wanted else frozenset()
        missing = [item for item in wanted if item and item not in present]
        room = max(self._most - len(present), 0)
        added = await self._insert(ref, missing[:room])
        return AffectedItems(
            added=added,
            present=len(wanted) - len(missing[room:]) - added,
            unknown=sum(item is None for item in items),
            ambiguous=tuple(
                LeftOut(TABLE, shorten(text), CI_FIELD, several=True) for text in ambiguous[:_MOST_AMBIGUOUS]
            ),
            beyond=len(missing[room:]),
        )

    async def _present(self, ref: TicketRef) -> frozenset[str]:
        """Items that the ticket lists. Rows of other tickets show that the condition was ignored."""
        rows = await self._client.call(list_call(TABLE, f"task={ref.id}", ["task", "ci_item"], _MOST_ROWS))
        return frozenset(item for row in rows if value(row, "task") == ref.id and (item := value(row, "ci_item")))

    async def _insert(self, ref: TicketRef, items: Sequence[str]) -> int:
        """Insert rows; how many were not there."""
        added = 0
        for chunk in _chunks(items):
            together = await self._insert_together(ref, chunk) if len(chunk) > 1 and self._has_batch else None
            if together is None:
                for item in chunk:
                    added += await self._insert_one(_call(ref, item))
            else:
                added += together
        return added

    async def _insert_one(self, call: WireCall) -> bool:
        try:
            await self._client.call(call)
        except DuplicateKey:
            return False
        return True

    async def _insert_together(self, ref: TicketRef, items: Sequence[str]) -> int | None:
        """Insert rows by one batch; None where the user may not use this API, or the instance has none. Raises the
        first error of an item once all answers are read."""
        calls = [_call(ref, item) for item in items]
        try:
            answer = await self._client.call(batch_call(calls, weight=len(calls)))
        except (Refused, NotAuthorised) as error:
            if error.status == 401:
                raise
            self._has_batch = False
            return None
        answers, _ = read_items(answer)
        added, failed = 0, []
        for call, reply in [(call, answers[at]) for at, call in enumerate(calls) if at in answers]:
            try:
                self._client.interpret(call, reply)
                added += 1
            except DuplicateKey:
                pass
            except TicketSystemError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        undone = sum(at not in answers for at in range(len(calls)))
        if undone:
            raise Unavailable(
                f"the instance left {undone} of {len(items)} rows of a batch undone",
                connection=self._client.connection,
                advice="It ran out of time; the rest is added later.",
            )
        return added


def _call(ref: TicketRef, item: str) -> WireCall:
    """The call that inserts one row."""
    sys_id = uuid.uuid5(_NAMESPACE, f"{ref.id} {item}".lower()).hex
    params = selected(("sys_id", "task", "ci_item"))
    return WireCall("POST", _INSERT, Purpose.CREATE, params, {"sys_id": sys_id, "task": ref.id, "ci_item": item})


def _chunks(items: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while chunk := list(islice(rest, _BATCH)):
        yield chunk
