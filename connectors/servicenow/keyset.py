"""Reads a table page by page in the order of changes.

A page is one query by keyset: rows after the last one read, in the order of (sys_updated_on, sys_id). Offsets would
lose rows while rows change. Each group of the query repeats the whole filter, since ``^NQ`` begins a new one.

Source: ServiceNow docs, "Table API" (sysparm_query, X-Total-Count) and "Encoded query strings"; support articles on
paging: the limit is applied before access rules hide rows, so a short page is no sign of the end, and the number of
matches is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.encoded_query import all_of, any_group
from connectors.servicenow.watermark import Watermark, WatermarkRead, decode, format_time
from connectors.servicenow.wire import WireCall, list_call

_LOG = logging.getLogger(__name__)

#: Rows of a page at most.
MAX_ROWS = 1000

_ORDER = "ORDERBYsys_updated_on^ORDERBYsys_id"


@dataclass(frozen=True, slots=True)
class TableRead:
    """What is read of a table.

    Attributes:
        table: its name.
        filters: groups of conditions, of which one has to hold.
        columns: that are asked for.
        display: whether display values are asked for beside those stored.
    """

    table: str
    filters: Sequence[str]
    columns: Sequence[str]
    display: bool = False


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """One page: all its rows, those not read before, the text from which the next page begins, and whether more
    rows follow."""

    rows: Sequence[Mapping[str, Any]]
    fresh: Sequence[Mapping[str, Any]]
    watermark: str
    more: bool


class KeysetReader:
    """Reads pages of one instance's tables."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def page(
        self,
        what: TableRead,
        watermark: str | None,
        limit: int,
        read: Callable[[Mapping[str, Any]], WatermarkRead],
        *,
        since: datetime | None = None,
    ) -> KeysetPage:
        """The next page: one call.

        Args:
            what: is read.
            watermark: of the page before; None, or one that cannot be used: from the beginning.
            limit: rows of the page.
            read: the part of a row that the watermark stores; may raise for a row that must not be there.
            since: the beginning: changes before it are not read; None for all.
        """
        mark = self._mark(what.table, watermark, since)
        limit = min(max(limit, 1), MAX_ROWS)
        before = datetime.now(UTC).timestamp()
        found, total = await self._client.call_with_total(_page_call(what, mark, limit))
        skew = self._client.response_facts.skew
        marks = [read(row) for row in found]
        more = len(found) >= limit if total is None else total > mark.offset + limit
        following = mark.advance(marks, more=more, skipped=limit, now=None if skew is None else before + skew)
        fresh = tuple(row for row, one in zip(found, marks, strict=True) if not mark.has_seen(one))
        return KeysetPage(found, fresh, following.encode(), more)

    def _mark(self, table: str, watermark: str | None, since: datetime | None) -> Watermark:
        start = Watermark(since=None if since is None else int(since.timestamp()))
        if not watermark:
            return start
        try:
            return decode(watermark)
        except ValueError as error:
            _LOG.warning(
                "%s: the watermark of %s cannot be used, everything is read again: %s",
                self._client.connection,
                table,
                error,
            )
            return start


def _page_call(what: TableRead, mark: Watermark, limit: int) -> WireCall:
    """The query for the rows that follow a mark. It asks for the count, which tells whether more follow."""
    if mark.after is not None:
        at, sys_id = format_time(mark.after[0]), mark.after[1]
        places = [f"sys_updated_on>{at}", f"sys_updated_on={at}^sys_id>{sys_id}"]
    elif mark.since is not None:
        places = [f"sys_updated_on>={format_time(mark.since)}"]
    else:
        places = [""]
    query = any_group([all_of(place, one) for place in places for one in what.filters])
    call = list_call(what.table, all_of(query, _ORDER), what.columns, limit)
    params = {name: text for name, text in call.params.items() if name != "sysparm_no_count"}
    if mark.offset:
        params["sysparm_offset"] = str(mark.offset)
    if what.display:
        params["sysparm_display_value"] = "all"
    return replace(call, params=params)
