"""Reads the rows of log alerts that embed none: runs the query behind the alert with the app's identity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from connectors.azure_monitor.log_rows.bounds import bounded_search, resource_graph_query
from connectors.azure_monitor.log_rows.fired import fired_rows
from connectors.azure_monitor.payloads.log_rows import read_table
from connectors.azure_monitor.payloads.search_link import LogSearch, parse_search
from connectors.azure_monitor.settings import LogRowsSettings
from connectors.microsoft.log_analytics import MOST_ROWS, QueryAnswer
from shared.core.errors import SourceRefused, SourceUnavailable
from shared.core.signal import Signal
from shared.mapping.routes import matches_any
from shared.payloads.values import fold

#: After a query that failed, tickets do not wait for others for so long; their rows come later.
_REST: Final = timedelta(seconds=60)

#: On top of what the service may take, for sign-in and the network.
_MARGIN: Final = timedelta(seconds=4)

_API_VERSION: Final = "2022-10-01"


class Queries(Protocol):
    """Runs queries over logs; see ``connectors.microsoft.log_analytics``."""

    async def query(
        self, scope: str, text: str, begin: datetime, end: datetime, within: timedelta, most: int = ...
    ) -> QueryAnswer: ...


class Resources(Protocol):
    """Takes requests to Resource Manager; see ``connectors.microsoft.resource_manager``."""

    async def request(self, method: Any, path: str, params: Mapping[str, str] | None = ..., body: Any = ...) -> Any: ...


class LogRowReader:
    """See ``shared.delivery.rows.RowReader``.

    Args:
        settings: of the configuration.
        shown: the signal as tickets may show it.
        logs, resources: make the clients of the cloud.
        now: the clock.
    """

    def __init__(
        self,
        settings: LogRowsSettings,
        shown: Callable[[Signal], Signal],
        logs: Callable[[], Queries],
        resources: Callable[[], Resources],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._shown = shown
        self._logs = logs
        self._resources = resources
        self._now = now
        self._allows = matches_any([scope.strip("/") for scope in settings.scopes]) if settings.scopes else None
        self._rests_until: datetime | None = None

    def can_read(self, signal: Signal) -> bool:
        """Whether there is a query that can be run."""
        return self._settings.query and signal.rows is None and parse_search(signal.rows_from) is not None

    async def read(self, signal: Signal, *, waiting: bool) -> Signal:
        """The signal with the rows that its query gives now; without where it gives none.

        Raises SourceUnavailable and SourceRefused.
        """
        search = parse_search(signal.rows_from)
        if search is None:
            raise SourceRefused("the alert does not say which query it is about")
        if self._allows is not None and not self._allows(search.scope):
            raise SourceRefused(f"log_rows.scopes does not allow {search.scope}. Fix: add it, if its rows may be read")
        search = bounded_search(search, inside=self._allows is not None)
        now = self._now()
        if waiting and self._rests_until is not None and now < self._rests_until:
            raise SourceUnavailable("a query failed a moment ago; no ticket waits for another one now")
        within = self._settings.wait if waiting else self._settings.timeout
        try:
            answer = await self._answered(search, within, within if waiting else within + _MARGIN)
        except SourceUnavailable:
            self._rests_until = now + _REST
            raise
        self._rests_until = None
        return self._shown(_with_rows(signal, answer))

    async def _answered(self, search: LogSearch, within: timedelta, patience: timedelta) -> QueryAnswer:
        try:
            async with asyncio.timeout(patience.total_seconds()):
                graph = resource_graph_query(search.query)
                if graph:
                    return await self._from_resource_graph(graph, search.scope)
                return await self._logs().query(search.scope, search.query, search.begin, search.end, within)
        except TimeoutError:
            seconds = f"{patience.total_seconds():g}"
            raise SourceUnavailable(f"the query of the alert gave no rows within {seconds} seconds") from None

    async def _from_resource_graph(self, query: str, scope: str) -> QueryAnswer:
        """The rows of a rule over Resource Graph, in the subscription of its scope; a workspace names none."""
        segments = scope.split("/")
        where = {"subscriptions": [segments[1]]} if segments[0].lower() == "subscriptions" else {}
        body = {**where, "query": query, "options": {"resultFormat": "table", "$top": MOST_ROWS}}
        path = "/providers/Microsoft.ResourceGraph/resources"
        reply = await self._resources().request("POST", path, {"api-version": _API_VERSION}, body)
        table = reply.body.get("data")
        return QueryAnswer(table if isinstance(table, dict) else {})


def _with_rows(signal: Signal, answer: QueryAnswer) -> Signal:
    table = fold(answer.table)
    rows = table.get("rows")
    more = isinstance(rows, list) and len(rows) >= MOST_ROWS
    found = read_table(table, [*signal.dimensions], more=more)
    if found is None:
        return signal
    found = fired_rows(found, signal.details)
    warnings = signal.warnings
    if answer.partial:
        found = replace(found, whole=False)
        warnings = (*warnings, f"Log Analytics gave only a part of the rows ({answer.partial}).")
    return replace(signal, rows=found, warnings=warnings)
