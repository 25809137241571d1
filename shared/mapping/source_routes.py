"""Routes that a source makes from its own sections of bridge.yaml. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.config.model import RouteBody
from shared.core.field_values import FieldValue
from shared.core.fields import FieldRole
from shared.core.signal import Signal
from shared.mapping.groups import CompiledGroup


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """One route of a source.

    Attributes:
        name: begins with what the source's section reserves.
        body: as a route of the file would say it; its fields are columns and go before ``defaults``.
        defaults: fields by role, in place of the engine's.
        closing_prefix: template that stands before the engine's closing note; empty for none.
        group: one ticket for many signals, None for one each.
        made_from: the settings that the route was made from, for the source itself.
        expected: whether the check of a connection tests what this route needs; others are made on demand only.
        reserved_text: characters of the body that the summary leaves to the template around it.
        own_fields: ticket fields that a signal brings, column to value; they go before all others.
    """

    name: str
    body: RouteBody
    defaults: Mapping[FieldRole, FieldValue] = field(default_factory=dict)
    closing_prefix: str = ""
    group: CompiledGroup | None = None
    made_from: object = None
    expected: bool = True
    reserved_text: int = 0
    own_fields: Callable[[Signal], Mapping[str, str]] | None = None


class SourceRoutes(Protocol):
    """The routes of one source, by one configuration."""

    @property
    def routes(self) -> Sequence[SourceRoute]:
        """All of them."""
        ...

    def route_of(self, signal: Signal) -> str | None:
        """Name of the route that a signal of the source takes, None to look at ``routes`` of the file."""
        ...
