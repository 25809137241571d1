"""The query API of Azure Monitor Logs: one POST per query over the REST client of all of Microsoft's services.

``azure-monitor-query`` would do the same call. It was left out: it brings a second HTTP pipeline with retries of its
own beside sign-in, private clouds, certificates and the guarded host of :class:`RestClient`, has no bound for the size
of an answer, and one more dependency (isodate).

Sources: Microsoft Learn, "Azure Monitor Log Analytics API request format" and "response format" (paths, tables),
"Timeouts" (Prefer: wait, 504), "Azure Monitor Log Analytics API errors" (codes, PartialError beside tables),
"Log queries API limits" (200 requests in 30 seconds for a user, 429); "Access the Azure Monitor Log Analytics API"
(hosts and audience; those of the other clouds in the pages of their own documentation and ``azure-monitor-query``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from connectors.microsoft.rest import Endpoint, RestClient
from shared.core.times import rfc3339

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

#: Bytes of an answer. Log Analytics itself goes up to 100 MB.
LARGEST_ANSWER = 4_000_000

#: Rows that are asked for at most.
MOST_ROWS = 500

_FIXES: Mapping[int, str] = MappingProxyType(
    {
        400: "The query of the alert cannot be run as it is",
        401: "Fix: the token is not accepted there; check 'cloud' and 'sign_in' of log_rows",
        403: "Fix: assign the role of docs/rows.md to the app's identity on the workspace or its subscription; it takes"
        " some minutes",
        404: "The workspace or resource does not exist, or the identity may not see it",
        429: "Too many queries",
        504: "The query took longer than it may",
    }
)


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The first table of an answer as received, and the code of an error that made it incomplete, ``""`` for none."""

    table: Mapping[str, Any]
    partial: str = ""


class LogAnalytics(RestClient):
    """Queries to one cloud's logs. See :class:`RestClient`."""

    def __init__(
        self, credential: AsyncTokenCredential, endpoint: Endpoint, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__("Log Analytics", credential, endpoint, _FIXES, transport=transport, largest=LARGEST_ANSWER)

    async def query(
        self, scope: str, text: str, begin: datetime, end: datetime, within: timedelta, most: int = MOST_ROWS
    ) -> QueryAnswer:
        """Run a query.

        Args:
            scope: ``workspaces/<id>``, or the id of a resource, resource group or subscription.
            text: KQL.
            begin, end: time span.
            within: time that the service may take.
            most: rows, the first ones.

        Raises SourceUnavailable and SourceRefused.
        """
        path = f"/v1/{quote(scope.strip('/'), safe='/()~')}/query"
        body = {"query": f"{text}\n| take {most}", "timespan": f"{rfc3339(begin)}/{rfc3339(end)}"}
        headers = {"Prefer": f"wait={max(math.ceil(within.total_seconds()), 1)}"}
        answer = (await self.request("POST", path, None, body, headers)).body
        tables, error = answer.get("tables"), answer.get("error")
        table = tables[0] if isinstance(tables, list) and tables and isinstance(tables[0], dict) else {}
        code = str(error.get("code") or "PartialError") if isinstance(error, dict) else ""
        return QueryAnswer(table, code)
