"""Where the value of each ticket field comes from, and what becomes of it for one signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.core.field_values import FieldValue, Lookup
from shared.core.fields import FieldMap, FieldRole
from shared.core.ticket_system import TicketKind
from shared.mapping.lookups import Chain, LookupTable
from shared.mapping.templates import Render, compile_template


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where one field's value comes from: a template, a ``constant``, or the ``chain`` of a look-up."""

    render: Render | None = None
    constant: str | None = None
    chain: Chain | None = None


@dataclass(frozen=True, slots=True)
class MappedFields:
    """Fields by name; what was odd while filling them, one sentence each; and for each field that is looked up, which
    step of its chain gave the value."""

    fields: dict[str, str]
    warnings: tuple[str, ...]
    lookups: Mapping[str, str] = field(default_factory=dict)


class FieldSources:
    """Compiles the values of fields.

    Args:
        tables: of the section ``lookups``.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        self._tables = {name: LookupTable(name, entries) for name, entries in tables.items()}

    def of(self, defaults: Mapping[str, FieldValue], given: Mapping[str, FieldValue]) -> dict[str, FieldSource]:
        """The sources of fields; ``given`` goes before ``defaults``, and its ``None`` takes a default away."""
        merged: dict[str, FieldValue] = {**defaults, **given}
        return {name: self._one(value) for name, value in merged.items() if value is not None}

    def _one(self, value: FieldValue) -> FieldSource:
        if isinstance(value, Lookup):
            return FieldSource(chain=Chain(value, self._tables[value.lookup]))
        text = str(value).lower() if isinstance(value, bool) else str(value)
        dynamic = any(mark in text for mark in ("{{", "{%", "{#"))
        return FieldSource(compile_template(text)) if dynamic else FieldSource(constant=text)


def fill(
    columns: FieldMap,
    kind: TicketKind,
    sources: Mapping[str, FieldSource],
    fallbacks: Mapping[str, FieldSource],
    context: Mapping[str, Any],
) -> MappedFields:
    """The fields of a ticket.

    Args:
        columns, kind: of the ticket.
        sources: where each comes from. fallbacks: where else, when that gives nothing.
        context: values of templates.
    """
    fields: dict[str, str] = {}
    warnings: list[str] = []
    lookups: dict[str, str] = {}
    for name, source in sources.items():
        value = _value(name, source, context, warnings, lookups)
        if value is None and name in fallbacks and fallbacks[name] is not source:
            value = _value(name, fallbacks[name], context, [], {})
        if value:
            fields[name] = cut(columns, kind, name, value, warnings)
    return MappedFields(fields, tuple(dict.fromkeys(warnings)), lookups)


def _value(
    name: str, source: FieldSource, context: Mapping[str, Any], warnings: list[str], lookups: dict[str, str]
) -> str | None:
    """The field's text, or None (with a warning) when there is none: a ticket is never lost for one field."""
    if source.constant is not None:
        return source.constant
    missing: list[str] = []
    text: str | None = None
    try:
        if source.chain is not None:
            found = source.chain.find(context, missing)
            text, lookups[name] = found.value, found.step
        elif source.render is not None:
            text = source.render(context, missing)
    except Exception as error:  # a template can raise anything: arithmetic, types, the sandbox's refusals
        warnings.append(f"{name}: the template failed: {error}; the default is used")
        return None
    if source.chain is not None and text is None:
        warnings.append(f"{name}: {lookups[name]}")
    warnings.extend(f"{name}: the signal has no '{lost}'" for lost in missing)
    return text


def cut(columns: FieldMap, kind: TicketKind, name: str, value: str, warnings: list[str]) -> str:
    """A value as long as its column takes it; titles on one line."""
    limit = columns.limit(name)
    if name in columns.named(kind, FieldRole.TITLE):
        value = " ".join(value.split())
    if len(value) <= limit:
        return value
    warnings.append(f"{name}: cut from {len(value)} to {limit} characters")
    return value[: limit - 1].rstrip() + "…"
