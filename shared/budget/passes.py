"""What a delivery was let in with. It follows the delivery's task and ends with it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from shared.budget.plan import Lease


@dataclass(slots=True)
class HeldPermits:
    """What a delivery has in its hands.

    Attributes:
        block: the calls; of no window where no limit is known.
        reserved: whether they came out of the reserve.
        probe: names the attempt at an open circuit that it makes, else empty.
    """

    block: Lease
    reserved: bool = False
    probe: str = ""


@dataclass(frozen=True, weakref_slot=True, slots=True, eq=False)
class Permit:
    """Lets one delivery out. What it does not use goes back when its task has ended and with it the pass.

    Attributes:
        connection: whose calls.
        urgent: whether it may use the reserve.
        place: number in the line it came with, None for a new message.
        held: what it has in its hands.
    """

    connection: str
    urgent: bool
    place: int | None
    held: HeldPermits


PASS: ContextVar[Permit | None] = ContextVar("pass", default=None)


def place_text(line_id: str, urgent: bool, number: int) -> str:
    """A place as messages carry it."""
    return f"{line_id}:{'urgent' if urgent else 'ordinary'}:{number}"


def place_number(text: str, line_id: str, urgent: bool) -> int | None:
    """The number of a place in this very line; None for a place elsewhere."""
    line, _, rest = text.partition(":")
    kind, _, number = rest.partition(":")
    own = line == line_id and kind == ("urgent" if urgent else "ordinary")
    if not own or not number.isascii() or not number.isdigit():
        return None
    return int(number)
