"""Values as JSON and as rows of a table, by the types of their fields.

A field is named once, in its dataclass: its column has the same name in CamelCase, its JSON member the same name. What
is missing in a stored row or object gets the field's default; what cannot be read is a ValueError that names it.

===================  ==============================================================
type                 stored as
===================  ==============================================================
str, int, bool       themselves
float
datetime             text, RFC 3339 in UTC
timedelta            seconds
Order                text, see ``shared.core.signal``
StrEnum, Literal      its value
tuple, mapping       JSON array, JSON object; in a column the text of it (tuples of any, or of a fixed length)
dataclass            JSON object of its fields; in a column the text of it
``X | None``         as X; None is JSON null, in a column an empty text
===================  ==============================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from shared.core.signal import Order, order_text, parse_order
from shared.core.times import parse_moment, rfc3339

T = TypeVar("T")

#: What reading a value of another form raises.
WRONG_FORM = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Coding:
    """How values of one type are stored.

    Attributes:
        write: turns a value into JSON. read: the way back; raises one of ``WRONG_FORM`` for anything else.
        structured: the JSON is an array or object, so that a column holds it as text.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    structured: bool = False

    def to_cell(self, value: Any) -> Any:
        """What the column of a row holds."""
        found = self.write(value)
        if found is None:
            return ""
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False) if self.structured else found

    def from_cell(self, cell: Any, *, optional: bool) -> Any:
        """Read what :meth:`to_cell` wrote."""
        if optional and cell == "":
            return None
        return self.read(json.loads(cell) if self.structured else cell)


def _only(*kinds: type) -> Callable[[Any], Any]:
    def read(raw: Any) -> Any:
        if type(raw) not in kinds:
            raise ValueError(f"{raw!r} is not of type {kinds[0].__name__}")
        return kinds[0](raw)

    return read


def _one_of(values: tuple[Any, ...]) -> Callable[[Any], Any]:
    def read(raw: Any) -> Any:
        if raw not in values:
            raise ValueError(f"{raw!r} is not one of {', '.join(values)}")
        return raw

    return read


def _order(raw: str) -> Order:
    found = parse_order(raw)
    if found is None:
        raise ValueError("the time of an event is missing")
    return found


_PLAIN: Mapping[Any, Coding] = {
    str: Coding(str, _only(str)),
    int: Coding(int, _only(int)),
    bool: Coding(bool, _only(bool)),
    float: Coding(float, _only(float, int)),
    datetime: Coding(rfc3339, parse_moment),
    timedelta: Coding(timedelta.total_seconds, lambda raw: timedelta(seconds=raw)),
    Order: Coding(order_text, _order),
    Any: Coding(lambda value: value, lambda raw: raw, structured=True),
}


@cache
def coding_of(kind: Any) -> Coding:
    """The coding of a type, see the table above. Raises TypeError for a type that it does not name."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_optional(kind):
        inner = coding_of(next(one for one in args if one is not NoneType))
        return Coding(_unless_none(inner.write), _unless_none(inner.read), inner.structured)
    if origin is tuple and args[1:] == (...,):
        inner = coding_of(args[0])
        return Coding(lambda value: [inner.write(one) for one in value], lambda raw: _tuple(inner, raw), True)
    if origin is tuple:
        return _fixed_tuple(tuple(coding_of(one) for one in args))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        inner = coding_of(args[1])
        return Coding(lambda value: _mapped(inner.write, value), lambda raw: _mapped(inner.read, raw), True)
    if origin is Literal:
        return Coding(str, _one_of(args))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return Coding(lambda value: value.value, kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind)
    raise TypeError(f"{kind} has no form in which it is stored")


def is_optional(kind: Any) -> bool:
    """Whether a type is ``X | None``."""
    return get_origin(kind) in (Union, UnionType) and len(get_args(kind)) == 2 and NoneType in get_args(kind)


def codings(kind: Any) -> dict[str, Coding]:
    """The coding of each field of a dataclass."""
    hints = get_type_hints(kind)
    return {one.name: coding_of(hints[one.name]) for one in fields(kind)}


def build(kind: type[T], values: Mapping[str, Callable[[], Any]]) -> T:
    """A dataclass from what reads its fields. Raises ValueError that names a field that is missing or wrong."""
    found: dict[str, Any] = {}
    for one in fields(cast(Any, kind)):
        if one.name not in values:
            if one.default is MISSING and one.default_factory is MISSING:
                raise ValueError(f"{one.name} is missing")
            continue
        try:
            found[one.name] = values[one.name]()
        except WRONG_FORM as error:
            raise ValueError(f"{one.name}: {error}") from error
    return kind(**found)


class RowCodec(Generic[T]):
    """Rows of a dataclass: one column for each field.

    Args:
        kind: the dataclass.
        coded: codings of fields that are not to be stored as their type says, by name.
    """

    def __init__(self, kind: type[T], /, **coded: Coding) -> None:
        self._kind = kind
        self._codings = {**codings(kind), **coded}
        self._optional = {name: is_optional(hint) for name, hint in get_type_hints(kind).items()}

    def columns(self, *names: str) -> list[str]:
        """The columns of fields. Raises KeyError for what is not a field."""
        return [column(one) for one in names if self._codings[one]]

    def to_row(self, value: T) -> dict[str, Any]:
        """All columns of a value."""
        return self.cells(**{name: getattr(value, name) for name in self._codings})

    def cells(self, **values: Any) -> dict[str, Any]:
        """The columns of some fields, for a write that leaves the others as they are."""
        return {column(name): self._codings[name].to_cell(value) for name, value in values.items()}

    def from_row(self, row: Mapping[str, Any]) -> T:
        """Read what :meth:`to_row` wrote. Raises ValueError for anything else."""
        values = {
            name: partial(coding.from_cell, row[column(name)], optional=self._optional[name])
            for name, coding in self._codings.items()
            if row.get(column(name)) is not None
        }
        return build(self._kind, values)


@cache
def column(name: str) -> str:
    """Name of the column of a field: ``ticket_read_at`` is in ``TicketReadAt``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _unless_none(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else work(value)


def _dataclass(kind: type[Any]) -> Coding:
    found = codings(kind)

    def write(value: Any) -> dict[str, Any]:
        return {name: coding.write(getattr(value, name)) for name, coding in found.items()}

    def read(raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"{raw!r} is not an object")
        return build(kind, {name: partial(coding.read, raw[name]) for name, coding in found.items() if name in raw})

    return Coding(write, read, structured=True)


def _tuple(inner: Coding, raw: Any) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"{raw!r} is not an array")
    return tuple(inner.read(one) for one in raw)


def _fixed_tuple(codings: tuple[Coding, ...]) -> Coding:
    def read(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list) or len(raw) != len(codings):
            raise ValueError(f"{raw!r} is not an array of {len(codings)}")
        return tuple(coding.read(one) for coding, one in zip(codings, raw, strict=True))

    return Coding(lambda value: [c.write(one) for c, one in zip(codings, value, strict=True)], read, True)


def _mapped(work: Callable[[Any], Any], values: Any) -> dict[str, Any]:
    return {name: work(value) for name, value in values.items()}
