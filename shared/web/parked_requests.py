"""Endpoints of parked items: ``/api/dead-letters`` and ``/api/quarantine``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictStr, model_validator

from shared.core.http import Request, Response
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.delivery.parked import ParkedKind
from shared.operations.parked_items import LARGEST_PAGE, MOST_AT_ONCE, ParkedFilter, ParkedItems
from shared.web.answers import refusals_as_problems
from shared.web.requests import (
    INVALID,
    FieldError,
    Moment,
    OneLine,
    RequestModel,
    YesNo,
    read_body,
    read_query,
    whole_number,
)

_LONGEST = 200
_Text = Annotated[StrictStr, Field(max_length=_LONGEST), OneLine]
_Id = Annotated[StrictStr, Field(min_length=1)]


class ParkedFilterBody(RequestModel):
    """Which items. ``error`` is an item's code: in a query string, ``code`` is the function key."""

    error: _Text = ""
    connection: _Text = ""
    text: _Text = ""
    since: Moment | None = None
    replayed: YesNo | None = None

    def filter(self) -> ParkedFilter:
        """As the service takes it."""
        return ParkedFilter(self.error, self.connection, self.text, self.since, self.replayed)


class ParkedListQuery(ParkedFilterBody):
    """The query of a list: a filter, the order, and the page (``after`` is the ``next`` of the page before)."""

    order: Literal["newest", "oldest"] = "newest"
    limit: Annotated[int, BeforeValidator(whole_number(1, LARGEST_PAGE))] = 50
    after: str = ""
    counts: YesNo = False


class ParkedAction(RequestModel):
    """The body of an action: some ids, or a filter and the largest number of items."""

    ids: Annotated[list[_Id], Field(min_length=1, max_length=MOST_AT_ONCE)] | None = None
    filter: ParkedFilterBody | None = None
    at_most: Annotated[int, BeforeValidator(whole_number(1, MOST_AT_ONCE))] | None = None
    confirm: StrictBool = False

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise FieldError("ids", "Give either 'ids', or 'filter' with 'at_most'.")
        if self.ids is not None and self.at_most is not None:
            raise FieldError("at_most", "It goes with 'filter' only.")
        if self.filter is not None and self.at_most is None:
            raise FieldError("at_most", "It is required with 'filter'.")
        return self


class ParkedDrop(ParkedAction):
    """The body of a drop, which cannot be undone."""

    @model_validator(mode="after")
    def _confirmed(self) -> Self:
        if self.confirm is not True:
            raise FieldError("confirm", "It must be true: a dropped item cannot be restored.")
        return self


async def parked_items(request: Request, items: ParkedItems, kind: ParkedKind) -> Response:
    """Answer a request for dead letters or quarantined items.

    ``GET`` with an id: the item with its message. ``GET`` without: ``items``, ``next`` (null on the last page), and
    ``counts`` when asked for. ``POST replay`` or ``drop``: ``results`` (id, outcome, detail), ``counts`` by outcome,
    and ``more``: others match the filter. A replay by filter leaves out what was replayed already unless the filter
    says ``"replayed": true``.

    Args:
        request: its path has ``item``: an id, an action, or empty.
        items: the service.
        kind: dead-letter or quarantine.

    Raises:
        Problem: 400 naming the field, 404 for an unknown id or action, 413 and 415 as every body.
        StorageUnavailable, ConfigurationError: storage did not answer, or is not configured.
    """
    item = request.path.get("item") or ""
    with refusals_as_problems():
        if request.method != "GET":
            return Response(200, await _act(request, items, kind, item))
        return Response(200, await _show(items, kind, item) if item else await _list(request, items, kind))


async def _show(items: ParkedItems, kind: ParkedKind, item: str) -> dict[str, Any]:
    found = await items.show(kind, item)
    if found is None:
        called = "dead letter" if kind == "dead-letter" else "quarantined item"
        raise _not_found(f"There is no {called} with the id '{item[:_LONGEST]}'.")
    return found


async def _list(request: Request, items: ParkedItems, kind: ParkedKind) -> dict[str, Any]:
    query = read_query(request, ParkedListQuery)
    wanted = query.filter()
    try:
        page = await items.page(kind, wanted, newest=query.order == "newest", limit=query.limit, after=query.after)
    except ValueError:
        mistake = RequestMistake("after", "It is not the 'next' of a list in this order.")
        raise RequestRefused(RefusalReason.INVALID, INVALID, [mistake]) from None
    answer: dict[str, Any] = {"items": [asdict(row) for row in page.items], "next": page.next}
    if query.counts:
        answer["counts"] = asdict(await items.counts(kind, wanted))
    return answer


async def _act(request: Request, items: ParkedItems, kind: ParkedKind, action: str) -> dict[str, Any]:
    if action not in ("replay", "drop"):
        raise _not_found(f"There is no action '{action[:_LONGEST]}'; known are replay and drop.")
    asked = read_body(request, ParkedDrop if action == "drop" else ParkedAction)
    ids, more = asked.ids or [], False
    if asked.filter is not None and asked.at_most is not None:
        wanted = asked.filter
        if action == "replay" and "replayed" not in wanted.model_fields_set:
            wanted = wanted.model_copy(update={"replayed": False})
        ids, more = await items.choose(kind, wanted.filter(), asked.at_most)
    running = items.replay(kind, ids) if action == "replay" else items.drop(kind, ids)
    results = [{name: value for name, value in asdict(result).items() if value} async for result in running]
    counts = Counter(str(result["outcome"]) for result in results)
    return {"results": results, "counts": dict(counts), "more": more}


def _not_found(detail: str) -> RequestRefused:
    return RequestRefused(RefusalReason.NOT_FOUND, "Not found", [RequestMistake("", detail)])
