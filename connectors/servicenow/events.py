"""Events for Event Management, which makes one alert of all events with the same message_key.

So nothing is looked up here and everything may be repeated: the key is the ticket's identity. Every operation sends
one more event with that key. Fields that are no columns of the table go into additional_info. An event has no notes:
the note of a draft is ignored.

An event changes the alert's severity to its own. ``comment`` sends none: the text is stored with the events of the key
and the alert stays as it is. ``reopen`` needs one and sends Warning; send ``create`` again, or ``update`` with the
severity, where it is known.

Source: ServiceNow docs, "Send events via web service" and "Event field format for event collection".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.tables import clean, journal_text
from connectors.servicenow.wire import Purpose, WireCall, searchable
from shared.core.errors import OutcomeUnknown, Refused
from shared.core.link import DISPLAY
from shared.core.ticket_system import ChangePage, Closure, Draft, Note, Phase, Ticket, TicketKind, TicketRef

#: Columns of em_event that may be sent, and their length in characters; 0 where a value is not text to be cut.
COLUMNS: Mapping[str, int] = {
    "source": 100,
    "event_class": 100,
    "node": 100,
    "resource": 100,
    "metric_name": 100,
    "type": 100,
    "message_key": 1024,
    "severity": 0,
    "description": 4000,
    "additional_info": 0,
    "time_of_event": 0,
    "resolution_state": 0,
    "ci_type": 100,
    "ci_identifier": 0,
}

_PATH = "/api/global/em/jsonv2"
_INSERTED = re.compile(r"\b(\d+) events? (?:were|was) inserted", re.IGNORECASE)

_OPEN = "New"
_CLOSED = "Closing"
_CLEAR = "0"
_WARNING = "4"
_ENDED = "The problem has ended."


class Events:
    """Handles the kind of ticket that is an event. Events cannot be looked up; they are idempotent by their key."""

    findable = False

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create(self, draft: Draft) -> Ticket:
        """Send the event of a new problem, or of one that is sent again."""
        ref = TicketRef(TicketKind.EVENT, draft.id, draft.correlation)
        fields = dict(draft.fields)
        if draft.follows is not None:
            fields["follows"] = draft.follows.number or draft.follows.id
        return await self._send(ref, {"resolution_state": _OPEN, **fields}, Phase.OPEN)

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """Always None."""
        del kind, ticket_id, correlation, marker
        return None

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """Send the note as a further event of the key, without severity."""
        return await self._send(ref, {"resolution_state": _OPEN, "description": journal_text(note.text)}, Phase.OPEN)

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """Send the fields as a further event of the key; the note becomes its description, or joins
        additional_info where the fields have a description of their own."""
        text = {} if note is None else {"note" if "description" in fields else "description": journal_text(note.text)}
        return await self._send(ref, {"resolution_state": _OPEN, **fields, **text}, Phase.OPEN)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """Send the clearing event: severity 0, Closing."""
        defaults = {"description": closure.fields.get("close_notes", _ENDED)}
        fields = {**defaults, **closure.fields, "severity": _CLEAR, "resolution_state": _CLOSED}
        return await self._send(ref, fields, Phase.RESOLVED)

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """Send the key again as a new problem of severity Warning."""
        fields = {"resolution_state": _OPEN, "severity": _WARNING, "description": journal_text(note.text)}
        return await self._send(ref, fields, Phase.OPEN)

    def state_name(self, kind: TicketKind, state: str) -> str:
        """The state itself: resolution states are stored as their names."""
        del kind
        return state

    async def missing_fields(self, kind: TicketKind, fields: Iterable[str]) -> Sequence[str]:
        """None: what is no column goes into additional_info."""
        del kind, fields
        return ()

    async def changes_since(self, kind: TicketKind, watermark: str | None, limit: int) -> ChangePage:
        """An empty page."""
        del kind, limit
        return ChangePage((), watermark or "", more=False)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """All of the ids."""
        del kind
        return frozenset(ids)

    async def _send(self, ref: TicketRef, fields: Mapping[str, str], phase: Phase) -> Ticket:
        if not searchable(ref.correlation) or len(ref.correlation) > COLUMNS["message_key"]:
            raise Refused(
                f"a key of {len(ref.correlation)} characters cannot be a message_key",
                connection=self._client.connection,
                advice=f"A key has 1 to {COLUMNS['message_key']} characters on one line.",
            )
        record = _record(fields, ref.correlation)
        call = WireCall("POST", _PATH, Purpose.EVENT, body={"records": [record]})
        self._verify(call, await self._client.call(call))
        return Ticket(ref=ref, phase=phase, state=record["resolution_state"])

    def _verify(self, call: WireCall, result: Mapping[str, Any]) -> None:
        """The answer counts what was inserted: ``{"Default Bulk Endpoint": "1 events were inserted"}``."""
        counts = [int(found[1]) for text in result.values() if (found := _INSERTED.search(str(text)))]
        if sum(counts) > 0:
            return
        if counts:
            raise Refused(
                "the instance took the event and inserted nothing",
                connection=self._client.connection,
                advice="Look at the fields of the route and at the event's processing notes on the instance.",
            )
        raise OutcomeUnknown(
            f"the answer to {call} does not say whether the event was inserted",
            connection=self._client.connection,
            advice="It is sent again: events with one message_key make one alert.",
        )


def _record(fields: Mapping[str, str], key: str) -> dict[str, str]:
    """The event: columns as they are, everything else in additional_info, whose values must be text."""
    record = {"source": DISPLAY}
    further = _further(fields.get("additional_info", ""))
    for name, raw in fields.items():
        text = clean(raw)
        if name == "additional_info":
            continue
        if name in COLUMNS:
            record[name] = text[: COLUMNS[name]] if COLUMNS[name] else text
        else:
            further[name] = text
    record["message_key"] = key
    if further:
        record["additional_info"] = json.dumps(further, ensure_ascii=False)
    return record


def _further(text: str) -> dict[str, str]:
    """additional_info as the route gives it: a JSON object, or any text."""
    if not text.strip():
        return {}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return {"info": clean(text)}
    return {clean(str(name)): clean(v if isinstance(v, str) else json.dumps(v)) for name, v in given.items()}
