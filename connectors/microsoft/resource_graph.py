"""Azure Resource Graph: one query over everything that an identity may read, in pages.

Sources: REST reference "Resources" (2022-10-01); Microsoft Learn, "Work with large Azure resource data sets" (at most
1,000 rows a page; ``$skipToken`` only where ``id`` is in the result and no limit is set; ``resultTruncated``; at most
1,000 subscriptions a request; ``x-ms-tenant-subscription-limit-hit``), "Guidance for throttled requests in Azure
Resource Graph" (``x-ms-user-quota-remaining``, ``x-ms-user-quota-resets-after`` as hh:mm:ss, 429 with Retry-After).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.microsoft.pace import Sleep
from connectors.microsoft.resource_manager import ResourceManager
from shared.core.errors import SourceRefused, SourceUnavailable

API_VERSION = "2022-10-01"
PATH = "/providers/Microsoft.ResourceGraph/resources"

#: Rows a page, and subscriptions a request, at most.
PAGE = 1_000
MOST_SUBSCRIPTIONS = 1_000

#: Code with which it says that the identity sees none of the subscriptions that it was to look in.
NO_SUBSCRIPTION = "NoValidSubscriptionsInQueryRequest"

#: Nobody waits longer for a full quota within one run.
_LONGEST_WAIT = 60.0

#: A result never needs more pages; one that goes on is going in circles.
_MOST_PAGES = 5_000


@dataclass(frozen=True, slots=True)
class ResourceGraphPage:
    """A part of a result.

    Attributes:
        rows: objects with the columns of the query.
        total: rows of the whole result of this batch of subscriptions, as the service counted them for this page.
        last: nothing follows.
        limited: the service left subscriptions out, because the identity reads more than it looks at in one query.
    """

    rows: list[dict[str, Any]]
    total: int
    last: bool
    limited: bool = False


class ResourceGraph:
    """Runs queries of one identity.

    Args:
        manager: makes the calls; opened with fixes of its own, so that its errors say what to do.
        sleep: waits so many seconds.
    """

    def __init__(self, manager: ResourceManager, *, sleep: Sleep = asyncio.sleep) -> None:
        self._manager = manager
        self._sleep = sleep
        self._wait = 0.0

    @property
    def calls(self) -> int:
        """Requests that left so far."""
        return self._manager.calls

    async def pages(
        self,
        query: str,
        *,
        subscriptions: Sequence[str] | None = None,
        management_groups: Sequence[str] | None = None,
        top: int = PAGE,
    ) -> AsyncGenerator[ResourceGraphPage, None]:
        """The result of a query, page after page; every page costs one call.

        Args:
            query: KQL. ``id`` has to be a column of its result, or there is no second page; and it has to end with
                ``order by id asc``, or pages overlap and leave things out.
            subscriptions: ids; in batches where they are more than a request takes, one batch after the other.
            management_groups: names; everything below them.
            top: rows a page, 1 to 1,000.

        Raises SourceUnavailable (throttled, broken; also in the midst) and SourceRefused: rights, or a query that the
        service does not understand, with what it says of it.
        """
        batches: list[dict[str, Any]] = [{}]
        if subscriptions is not None:
            batches = [
                {"subscriptions": list(subscriptions[begin : begin + MOST_SUBSCRIPTIONS])}
                for begin in range(0, len(subscriptions), MOST_SUBSCRIPTIONS)
            ]
        elif management_groups is not None:
            batches = [{"managementGroups": list(management_groups)}]
        for place, scope in enumerate(batches, start=1):
            async for page in self._batch(query, scope, top):
                ends = page.last and place == len(batches)
                yield page if page.last == ends else ResourceGraphPage(page.rows, page.total, ends, page.limited)

    async def aclose(self) -> None:
        """Close connections."""
        await self._manager.aclose()

    async def _batch(self, query: str, scope: Mapping[str, Any], top: int) -> AsyncIterator[ResourceGraphPage]:
        token, seen = "", set()
        for _ in range(_MOST_PAGES):
            options: dict[str, Any] = {"resultFormat": "objectArray", "$top": top}
            if token:
                options["$skipToken"] = token
            page, token = await self._page({**scope, "query": query, "options": options})
            yield page
            if not token:
                return
            if token in seen:
                break
            seen.add(token)
        raise SourceUnavailable("the result of Azure Resource Graph goes in circles; the next run repeats the query")

    async def _page(self, body: Mapping[str, Any]) -> tuple[ResourceGraphPage, str]:
        await self._turn()
        reply = await self._manager.request("POST", PATH, {"api-version": API_VERSION}, body)
        self._heed(reply.headers)
        rows, token = reply.body.get("data"), reply.body.get("$skipToken") or ""
        if not isinstance(rows, list) or not isinstance(token, str):
            raise SourceRefused("the answer has no 'data': something else answers in Azure Resource Graph's place")
        if not token and str(reply.body.get("resultTruncated", "")).lower() == "true":
            raise SourceRefused(
                "Azure Resource Graph cut the result off, and gives no token for the rest: the query has to have the "
                "column 'id' and no limit"
            )
        total = reply.body.get("totalRecords")
        limited = reply.headers.get("x-ms-tenant-subscription-limit-hit", "").lower() == "true"
        found = [row for row in rows if isinstance(row, dict)]
        return ResourceGraphPage(found, total if isinstance(total, int) else len(found), not token, limited), token

    async def _turn(self) -> None:
        """Wait where the last answer said that the quota is used up."""
        wait, self._wait = self._wait, 0.0
        if wait:
            await self._sleep(min(wait, _LONGEST_WAIT))

    def _heed(self, headers: Mapping[str, str]) -> None:
        left = headers.get("x-ms-user-quota-remaining", "")
        if left.strip().isdecimal() and int(left) == 0:
            self._wait = _seconds(headers.get("x-ms-user-quota-resets-after", ""))


def _seconds(text: str) -> float:
    """Seconds of ``hh:mm:ss``; 0 for anything else."""
    match = re.fullmatch(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?", text.strip())
    if match is None:
        return 0.0
    hours, minutes, seconds = (int(part) for part in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds
