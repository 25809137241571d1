"""A request for a ticket, and the signal that it becomes. Pure.

A record of a log query is read as Azure Monitor reads one: ``_ResourceId``, ``ResourceId``, ``Resource`` and
``Computer`` name what is affected, the first that has a value. Source: Microsoft Learn, "Common alert schema"
(configurationItems).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictStr, model_validator

from connectors.microsoft.azure_resources import ResourceList
from shared.core.signal import Signal, SignalState
from shared.payloads.builder import SignalBuilder, fit
from shared.payloads.keys import make_key
from shared.payloads.values import anything
from shared.web.requests import FieldError, OneLine, RequestModel

SOURCE = "manual"
KIND = "manual"

#: Characters of a request as JSON: it has to fit a column of a table.
LARGEST = 30_000

_MOST_RESOURCES = 50
_MOST_ENTRIES = 100
_RESOURCE_COLUMNS = ("_resourceid", "resourceid", "resource", "computer")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

#: Details with which sources tell the bridge something about a signal itself.
_RESERVED = ("communication", "requested_by", "resolution", "withdrawn")


def _severity(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 4:
        raise ValueError("It must be a number from 0 (critical) to 4 (lowest).")
    return value


def _lines(text: str) -> str:
    if not re.sub(r"[\r\n\t]", "", text).isprintable():
        raise ValueError("Write it without control characters.")
    return text


def _details(found: dict[str, str]) -> dict[str, str]:
    for name in found:
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name[:64]}' is not a name: write letters, digits, '_', '-' and '.', a letter first.")
        if name.lower() in _RESERVED:
            raise ValueError(f"'{name}' has a meaning of its own. Fix: use another name.")
    return found


def _record(found: dict[str, Any]) -> dict[str, Any]:
    long = next((name for name in found if len(name) > 200), "")
    if long:
        raise ValueError(f"The name '{long[:40]}...' has {len(long)} characters; the limit is 200.")
    return found


_Line = Annotated[StrictStr, Field(min_length=1, max_length=255), OneLine]
_Resource = Annotated[StrictStr, Field(min_length=1, max_length=1024), OneLine]
_Value = Annotated[StrictStr, Field(max_length=1_000)]


class ManualRequest(RequestModel):
    """The body of ``POST /api/tickets``.

    Attributes:
        key: identity of the problem, chosen by the caller: one key, one ticket. Case does not matter.
        state: ``resolved`` ends the problem of the key; then only ``text`` goes with it.
        title: one line; required unless resolved.
        text: description; of a resolved request what the closing note says.
        severity: 0 critical to 4 lowest; the ticket's impact and urgency follow from it.
        resources: ARM ids or names of what is affected.
        details: further facts, for conditions of routes and for templates.
        record: a row of a log query: column to value.
        link: web address of a page that shows more.
        requested_by: who asks for the ticket.
    """

    model_config = ConfigDict(str_strip_whitespace=True)

    key: _Line
    state: Literal["fired", "resolved"] = "fired"
    title: _Line | None = None
    text: Annotated[StrictStr, Field(max_length=8_000), AfterValidator(_lines)] = ""
    severity: Annotated[int, BeforeValidator(_severity)] | None = None
    resources: Annotated[list[_Resource], Field(max_length=_MOST_RESOURCES)] = Field(default_factory=list)
    details: Annotated[dict[str, _Value], Field(max_length=50), AfterValidator(_details)] = Field(default_factory=dict)
    record: Annotated[dict[str, Any], Field(max_length=_MOST_ENTRIES), AfterValidator(_record)] = Field(
        default_factory=dict
    )
    link: Annotated[StrictStr, Field(max_length=2_000), OneLine] = ""
    requested_by: Annotated[StrictStr, Field(max_length=100), OneLine] = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.state == "fired" and self.title is None:
            raise FieldError("title", "It is required.")
        if self.state == "resolved":
            extra = sorted(self.model_fields_set - {"key", "state", "text"})
            if extra:
                raise FieldError(extra[0], "It does not go with state 'resolved': only 'key' and 'text' do.")
        if self.link and not self.link.lower().startswith(("http://", "https://")):
            raise FieldError("link", "It must be a web address: https://...")
        size = len(self.canonical)
        if size > LARGEST:
            raise FieldError("", f"It has {size:,} characters; the limit is {LARGEST:,}. Fix: send fewer columns.")
        return self

    @property
    def canonical(self) -> str:
        """The request as JSON, the same for two that ask for the same; at most ``LARGEST`` characters."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def signal_key(self) -> str:
        """Key of the signal."""
        return make_key(KIND, self.key)


def signal_of(request: ManualRequest, at: datetime) -> Signal:
    """The signal of a request that was first made ``at`` (UTC)."""
    builder = SignalBuilder(KIND, at, SOURCE, ResourceList(), untitled="Request")
    builder.key, builder.fired_at = request.signal_key, at
    builder.heading, builder.severity = request.title or "", request.severity
    if request.text:
        builder.prose.append(request.text)
    for resource in request.resources or _resources(request.record):
        builder.resources.add(resource)
    for name, value in request.record.items():
        if text := anything(value):
            builder.dimension(name, text)
    builder.link("portal", request.link)
    builder.detail("requested_by", request.requested_by)
    for name, text in request.details.items():
        builder.detail(name, text)
    signal = builder.finish()
    return signal if request.state == "fired" else ended(signal, request.text, at)


def ended(fired: Signal, text: str, at: datetime) -> Signal:
    """The end of the problem of a signal, with what its closing note says; ``at``: when, UTC."""
    details = {**fired.details, **({"communication": text} if text else {})}
    return fit(
        replace(
            fired,
            state=SignalState.RESOLVED,
            occurred_at=at,
            resolved_at=at,
            opens=False,
            details=details,
            condition="",
        )
    )


def _resources(record: Mapping[str, Any]) -> list[str]:
    """What a record names as affected."""
    folded = {name.lower(): value for name, value in record.items()}
    for column in _RESOURCE_COLUMNS:
        found = folded.get(column)
        if isinstance(found, str) and found.strip():
            return [found]
    return []
