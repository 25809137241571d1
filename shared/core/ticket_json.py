"""The JSON shape of a ticket, in all answers and on the command line: id, number, kind, connection, url.

Lists add columns of their own to it. Pure.
"""

from __future__ import annotations

from typing import TypedDict

from shared.core.ticket_system import TicketKind, TicketRef


class TicketJson(TypedDict):
    """A ticket.

    Attributes:
        id: the ticket system's own identity; null for a ticket that is not made yet.
        number: what people call it; null where it is not made yet, or its kind has no numbers.
        kind: incident, change_request, problem or event.
        connection: name in bridge.yaml.
        url: address for a browser; null where there is none.
    """

    id: str | None
    number: str | None
    kind: str
    connection: str
    url: str | None


def ticket_json(ref: TicketRef, connection: str) -> TicketJson:
    """A ticket that exists."""
    return {
        "id": ref.id,
        "number": ref.number or None,
        "kind": ref.kind.value,
        "connection": connection,
        "url": ref.url or None,
    }


def planned_ticket_json(kind: TicketKind, connection: str) -> TicketJson:
    """A ticket that is not made yet."""
    return {"id": None, "number": None, "kind": kind.value, "connection": connection, "url": None}


def ticket_name(ticket: TicketJson | None) -> str:
    """What people call a ticket: its number, or its id where it has none; empty for none."""
    return "" if ticket is None else ticket["number"] or ticket["id"] or ""
