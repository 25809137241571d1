"""Requests for kept items: what is asked, checked by name, and what is answered. The HTTP face of ``kept_items``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from shared.core.errors import BridgeError, ConfigurationError, StorageUnavailable
from shared.core.problem import Problem
from shared.delivery.parked import ParkedKind
from shared.operations.parked_items import LARGEST_PAGE, MOST_AT_ONCE, ParkedFilter, ParkedItems
from shared.web.intake import read_json

_LONGEST = 200
#: ``error`` is a row's code: in a query string, ``code`` is the function key.
_FILTER = ("error", "connection", "text", "since", "replayed")
_LISTING = (*_FILTER, "order", "limit", "after", "counts")

#: Query parameters that Azure Functions takes for itself. Source: "Work with access keys in Azure Functions".
_OF_THE_HOST = ("code", "clientid")
_YES_NO = {"true": True, "false": False}


async def read(items: ParkedItems, kind: ParkedKind, item: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Answer ``GET``: one item with its message, or a page of the list.

    Args:
        items: the service.
        kind: dead-letter or quarantine.
        item: an id, or empty for the list.
        query: for the list: error (a row's code), connection, text, since (RFC 3339), replayed (true, false), order
            (newest, oldest), limit (1 to 100, 50 when left out), after (``next`` of the page before), counts (true).

    Returns:
        The item; or ``items``, ``next`` (null on the last page), and ``counts`` when asked for.

    Raises:
        Problem: 400 naming the parameter, 404 for an unknown id, 503 when storage is down.
    """
    try:
        if item:
            found = await items.show(kind, item)
            if found is None:
                raise Problem(404, "Not found", f"There is no {_called(kind)} with the id '{item[:_LONGEST]}'.")
            return found
        for name in query:
            if name not in _LISTING and name.lower() not in _OF_THE_HOST:
                raise _bad(name[:_LONGEST], f"is not known here; known are: {', '.join(_LISTING)}")
        wanted = _filter({name: query[name] for name in _FILTER if name in query}, "")
        newest = _choice("order", query.get("order", "newest"), {"newest": True, "oldest": False})
        limit = _number("limit", query.get("limit", "50"), LARGEST_PAGE)
        answer: dict[str, Any] = {}
        try:
            page = await items.page(kind, wanted, newest=newest, limit=limit, after=query.get("after", ""))
        except ValueError:
            raise _bad("after", "is no 'next' of a list in this order") from None
        answer |= {"items": [asdict(row) for row in page.items], "next": page.next}
        if _choice("counts", query.get("counts", "false"), _YES_NO):
            answer["counts"] = asdict(await items.counts(kind, wanted))
        return answer
    except (StorageUnavailable, ConfigurationError) as error:
        raise _unavailable(error) from None


async def act(
    items: ParkedItems, kind: ParkedKind, action: str, body: bytes, content_type: str | None
) -> dict[str, Any]:
    """Answer ``POST``: replay or drop some items.

    Args:
        items: the service.
        kind: dead-letter or quarantine.
        action: ``replay`` or ``drop``.
        body: JSON: ``{"ids": [...]}`` or ``{"filter": {...}, "at_most": n}``; for drop also ``"confirm": true``. A
            replay by filter leaves out what was replayed already unless the filter says ``"replayed": true``.
        content_type: value of the header.

    Returns:
        ``results`` (id, outcome, detail), ``counts`` by outcome, and ``more``: others match the filter.

    Raises:
        Problem: 400 naming the field, 404 for an unknown action, 413 and 415 as the webhook, 503 when storage is down.
    """
    if action not in ("replay", "drop"):
        raise Problem(404, "Not found", f"There is no action '{action[:_LONGEST]}'; known are replay and drop.")
    asked = read_json(body, content_type)
    if not isinstance(asked, dict):
        raise Problem(400, "Bad request", "The body must be a JSON object with 'ids', or 'filter' and 'at_most'.")
    for name in asked:
        if name not in ("ids", "filter", "at_most", "confirm"):
            raise _bad(name[:_LONGEST], "is not known here; known are: ids, filter, at_most, confirm")
    if action == "drop" and asked.get("confirm") is not True:
        raise _bad("confirm", "must be true: what is dropped is gone for good")
    try:
        ids, more = await _chosen(items, kind, action, asked)
        doing = items.replay(kind, ids) if action == "replay" else items.drop(kind, ids)
        results = [{name: value for name, value in asdict(result).items() if value} async for result in doing]
    except (StorageUnavailable, ConfigurationError) as error:
        raise _unavailable(error) from None
    counts: dict[str, int] = {}
    for result in results:
        counts[result["outcome"]] = counts.get(result["outcome"], 0) + 1
    return {"results": results, "counts": counts, "more": more}


async def _chosen(
    items: ParkedItems, kind: ParkedKind, action: str, asked: Mapping[str, Any]
) -> tuple[list[str], bool]:
    if ("ids" in asked) == ("filter" in asked):
        raise _bad("ids", "or 'filter' must be given, and not both")
    if "ids" in asked:
        ids = asked["ids"]
        if "at_most" in asked:
            raise _bad("at_most", "goes with 'filter' only")
        if not isinstance(ids, list) or not ids or not all(isinstance(one, str) and one for one in ids):
            raise _bad("ids", "must be a list of ids")
        if len(ids) > MOST_AT_ONCE:
            raise _bad("ids", f"holds {len(ids):,} ids; at most {MOST_AT_ONCE:,} go at once")
        return ids, False
    given = asked["filter"]
    if not isinstance(given, dict):
        raise _bad("filter", "must be an object")
    for name in given:
        if name not in _FILTER:
            raise _bad(f"filter.{name}"[:_LONGEST], f"is not known here; known are: {', '.join(_FILTER)}")
    if "at_most" not in asked:
        raise _bad("at_most", f"must be given with 'filter': 1 to {MOST_AT_ONCE}")
    at_most = _number("at_most", asked["at_most"], MOST_AT_ONCE)
    if action == "replay" and "replayed" not in given:
        given = {**given, "replayed": False}
    return await items.choose(kind, _filter(given, "filter."), at_most)


def _filter(given: Mapping[str, Any], prefix: str) -> ParkedFilter:
    texts = {name: _text(prefix + name, given.get(name, "")) for name in ("error", "connection", "text")}
    since, replayed = given.get("since"), given.get("replayed")
    return ParkedFilter(
        code=texts["error"],
        connection=texts["connection"],
        text=texts["text"],
        since=None if since is None else _moment(f"{prefix}since", since),
        replayed=replayed if isinstance(replayed, bool | None) else _choice(f"{prefix}replayed", replayed, _YES_NO),
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise _bad(name, f"must be a text of at most {_LONGEST} characters")
    return value


def _moment(name: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) >= len("2026-01-02") else None
        if moment is not None:
            # in UTC at once: near the ends of the calendar that is where it fails
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _bad(name, "must be a time such as 2026-01-02T03:04:05Z")


def _number(name: str, value: Any, largest: int) -> int:
    text = value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= largest):
        raise _bad(name, f"must be a whole number from 1 to {largest}")
    return int(text)


def _choice(name: str, value: Any, choices: Mapping[str, bool]) -> bool:
    if not isinstance(value, str) or value not in choices:
        raise _bad(name, f"must be one of: {', '.join(choices)}")
    return choices[value]


def _bad(name: str, problem: str) -> Problem:
    return Problem(400, "Bad request", f"'{name}' {problem}.")


def _unavailable(error: BridgeError) -> Problem:
    return Problem(503, "Storage unavailable", str(error), {"Retry-After": "5"})


def _called(kind: ParkedKind) -> str:
    return "dead letter" if kind == "dead-letter" else "quarantined item"
