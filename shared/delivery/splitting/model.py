"""What is stored of signals that were split into parts, and what follows from a firing or an end. Pure values.

The parts of a firing are delivered like every other signal, and their links know what happened to each. What is stored
here is only which parts are on, so that an end, which names none, and a firing that a part is missing from end them.

An order of events is never assumed. A firing that is older than one whose list was whole has parts that are over
already: each is told to fire and to end, and its link puts that in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.core.signal import Order, names_one_occurrence
from shared.delivery.decision.clocks import after, is_as_new


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What became of the signals of one key.

    Attributes:
        key: of the signals.
        parent: identity of what its parts belong to; empty while it has none, or when it has a ticket of its own.
        fired, over: the newest firing and the newest end that were seen.
        done: the parts of ``fired`` are on the queue and stored, or it has a ticket of its own.
        alone: a firing without parts had a ticket of its own.
    """

    key: str
    parent: str = ""
    fired: Order | None = None
    over: Order | None = None
    done: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A part that is on: its id, what people call it, and its newest firing."""

    id: str
    name: str
    fired: Order


@dataclass(frozen=True, slots=True)
class OpenParts:
    """The parts that are on of one parent.

    Attributes:
        key: of the parent. route: by which the parts went last.
        parts: in no order.
        listed: the newest firing that listed all parts that were on.
    """

    key: str
    route: str
    parts: tuple[OpenPart, ...] = ()
    listed: Order | None = None


@dataclass(frozen=True, slots=True)
class PartsChange:
    """What follows from an event.

    Attributes:
        after: what is stored then.
        fired: ids of parts whose firing is to be told.
        ended: parts whose end is to be told, each with its order.
    """

    after: OpenParts
    fired: tuple[str, ...] = ()
    ended: tuple[tuple[OpenPart, Order], ...] = ()


def fire(before: OpenParts, order: Order, parts: Sequence[tuple[str, str]], *, whole: bool) -> PartsChange:
    """A firing at ``order`` with these parts (id and name); ``whole``: it lists all that are on."""
    known = {part.id: part for part in before.parts}
    overtaken = before.listed is not None and order < before.listed
    fired: list[str] = []
    ended: list[tuple[OpenPart, Order]] = []
    for part, name in parts:
        stored = known.get(part)
        if stored is not None and stored.fired >= order:
            continue
        fired.append(part)
        known[part] = OpenPart(part, name, order)
        if overtaken and before.listed is not None:
            ended.append((known.pop(part), before.listed))
    listed = before.listed
    if whole and not overtaken:
        named = {part for part, _ in parts}
        gone = [one for one in known.values() if one.id not in named and one.fired < order]
        ended += [(one, order) for one in gone]
        for one in gone:
            del known[one.id]
        listed = order
    return PartsChange(replace(before, parts=tuple(known.values()), listed=listed), tuple(fired), tuple(ended))


def end(before: OpenParts, order: Order, fired: Order) -> PartsChange:
    """An end at ``order`` of what fired at ``fired``, and before. What fired since then has an end of its own."""
    over = [part for part in before.parts if part.fired <= fired]
    kept = tuple(part for part in before.parts if part.fired > fired)
    return PartsChange(replace(before, parts=kept), (), tuple((part, after(order, part.fired)) for part in over))


def end_of(occurrence: Occurrence) -> Order | None:
    """The end of the newest firing of a key, not before that firing; None while it is on."""
    over, fired = occurrence.over, occurrence.fired
    if over is None or fired is None:
        return None
    if names_one_occurrence(occurrence.key) or is_as_new(over, fired):
        return after(over, fired)
    return None
