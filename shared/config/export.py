"""The part ``export`` of a connection: its tickets go to a log store. Its docstrings go into schema and docs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.core.export import PEOPLE, ExportField, Selection
from shared.core.plugins import Mistake
from shared.core.settings import Duration, SettingsModel
from shared.core.ticket_system import TicketKind

#: Days of a back-fill beyond which the configuration is warned of its calls: what Microsoft's IT Service Management
#: Connector could go back at most. Source: Microsoft's documentation of the connector, connecting an ITSM product (work
#: items of the past days, at most 120).
USUAL_DAYS = 120

#: ``redact``: every field that names a person.
EVERYONE = "people"

Redaction = Literal["hash", "drop"]

_PEOPLE = ", ".join(sorted(PEOPLE))

#: Name of a column, or a path to one of a record that a column refers to.
_Column = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}(\.[A-Za-z][A-Za-z0-9_]{0,79}){0,2}$")]


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("it names nothing. Fix: name one at least, or take it out")
    return _distinct(values)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({str(one) for one in values if values.count(one) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands here twice. Fix: name each once")
    return values


class ExportSettings(SettingsModel):
    """Tickets of this connection go to a log store, where they are joined with logs. Needs the section of a log
    store."""

    kinds: Annotated[tuple[Literal["incident", "change_request", "problem"], ...], AfterValidator(_some)] = (
        "incident",
        "change_request",
        "problem",
    )
    """Kinds of tickets."""
    tickets: Literal["all", "ours"] = "all"
    """``all``: whoever made them. ``ours``: only those that the bridge made."""
    query: Annotated[str, Field(max_length=1000)] = ""
    """Further condition, in the language of the ticket system. It holds for every kind, so its columns must exist in
    all of them. Left out: none."""
    days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How far the first export goes back. More than 120 is possible and costs calls: ``bridge.py export preview`` says
    how many."""
    fields: Annotated[tuple[ExportField, ...], AfterValidator(_some)] = tuple(ExportField)
    """What is exported of a ticket, beside its number, address, phase and times of change. Left out: everything."""
    redact: dict[str, Redaction] = Field(default_factory=dict)
    """Names of people that are not to be stored as they are, by field (``created_by``, ``resolved_by``, ``closed_by``,
    ``assigned_to``, a name of ``more``, or ``people`` for all four). ``hash``: an HMAC-SHA256 takes the place of the
    name, so that tickets of one person can still be counted. ``drop``: the column stays empty."""
    more: Annotated[tuple[_Column, ...], Field(max_length=40), AfterValidator(_distinct)] = ()
    """Further columns by their names in the ticket system, such as ``u_region`` or ``company.name``. They go to the
    column ``Fields``."""
    every: Annotated[Duration, Field(ge=timedelta(minutes=5), le=timedelta(days=1))] = timedelta(minutes=5)
    """How often changes are exported: one call for each kind of ticket. The timer runs every five minutes."""

    @model_validator(mode="after")
    def _redacts_what_there_is(self) -> Self:
        for name in self.redact:
            if name not in (EVERYONE, *PEOPLE, *self.more):
                raise ValueError(
                    f"'{name}' in redact names no person. Fix: write {EVERYONE}, {_PEOPLE}, or a column of 'more'"
                )
            if name in PEOPLE and ExportField(name) not in self.fields:
                raise ValueError(f"'{name}' in redact is not among 'fields'. Fix: take it out, or add it to 'fields'")
        if not self.query.isprintable():
            raise ValueError("'query' has a line break or control character. Fix: write it in one line")
        return self

    @property
    def ticket_kinds(self) -> tuple[TicketKind, ...]:
        """The kinds of tickets."""
        return tuple(map(TicketKind, self.kinds))

    def selection(self, since: datetime) -> Selection:
        """What the ticket system is asked for, of tickets that changed since then (UTC)."""
        return Selection(
            since=since,
            ours=self.tickets == "ours",
            query=self.query,
            fields=frozenset(self.fields),
            more=self.more,
        )

    @property
    def redactions(self) -> Mapping[str, Redaction]:
        """What happens to which field or further column; those that a person is not redacted in are missing."""
        whole = self.redact.get(EVERYONE)
        everyone: dict[str, Redaction] = {} if whole is None else {field.value: whole for field in PEOPLE}
        return everyone | {name: how for name, how in self.redact.items() if name != EVERYONE}


def warn_exports(
    exports: Mapping[str, ExportSettings | None], stores: Sequence[str], data: Mapping[str, Any]
) -> Iterator[Mistake]:
    """What costs more than people expect, or has no effect.

    Args:
        exports: by connection.
        stores: names of the sections of log stores.
        data: the file.
    """
    for name, settings in exports.items():
        path = ("connections", name, "export")
        if settings is not None and all(data.get(store) is None for store in stores):
            add = f"add the section {' or '.join(stores)}, or take 'export' out" if stores else "take 'export' out"
            yield path, f"no log store is configured, so nothing is exported. Fix: {add}"
        if settings is not None and settings.days > USUAL_DAYS:
            fix = "Fix: bridge.py export preview says how many calls it takes; lower this, or leave it as it is"
            text = f"{settings.days} days are more than the usual {USUAL_DAYS} and cost many calls"
            yield (*path, "days"), f"{text}. {fix}"
