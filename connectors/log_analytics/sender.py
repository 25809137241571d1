"""Sends rows to a Log Analytics workspace through Azure's own client of the Logs Ingestion API.

The client compresses, signs in and makes the request. What is here besides: pieces that stay below the limit of a call
whatever surrounds the rows, one attempt at a time with the waits that the service asks for, a row that the service
refuses left out so that it holds up no other, and errors that say what to do.

Sources: Microsoft Learn, "Logs Ingestion API in Azure Monitor" (URL, 204, errors, Monitoring Metrics Publisher, half an
hour until the role works), "Azure Monitor service limits" (1 MB for a call, Retry-After), "Send data to Azure Monitor
Logs with Logs ingestion API"; azure-monitor-ingestion documentation (credential_scopes by cloud, upload).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from connectors.log_analytics.check import check_sending
from connectors.log_analytics.columns import LOG_STREAM, TICKETS_STREAM
from connectors.log_analytics.rows import JsonRow, log_row, shortened, ticket_row
from connectors.log_analytics.settings import LogAnalyticsSettings
from connectors.log_analytics.tokens import LogTokens
from connectors.microsoft.clients import MicrosoftClients
from shared.core.clouds import CloudName
from shared.core.errors import SourceError, SourceRefused, SourceUnavailable
from shared.platform.log import record

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError
    from azure.monitor.ingestion.aio import LogsIngestionClient

    from shared.core.export import LogRow, TicketRecord
    from shared.core.plugins import SectionCheck
    from shared.platform.guarded_session import AddressGuard

#: What tokens are asked for. Source: azure-monitor-ingestion documentation, "Configure client for non-public clouds".
SCOPES: Mapping[CloudName, str] = MappingProxyType(
    {
        "public": "https://monitor.azure.com/.default",
        "us_government": "https://monitor.azure.us/.default",
        "china": "https://monitor.azure.cn/.default",
    }
)

#: Bytes of the JSON of a piece. A call may have 1 MB, compressed or not.
LARGEST_PIECE = 950_000

#: Attempts at one piece, and the longest wait between two, in seconds: whoever sends comes back in five minutes.
_MOST_TRIES = 3
_LONGEST_WAIT = 20.0

#: Requests that are spent on finding a row that the service takes, when it refused them all.
_MOST_SEARCHES = 64

#: Rows that go in one request.
Piece = tuple[JsonRow, ...]

#: A piece whose content the service refuses, and its words.
RefusedPiece = tuple[Piece, SourceRefused]

#: Answers that speak of the rows, not of who sends them where.
_TOO_LARGE = 413
_OF_CONTENT = frozenset({400, _TOO_LARGE})

_PASSING = frozenset({408, 429, 500, 502, 503, 504})

_FIXES: Mapping[int, str] = MappingProxyType(
    {
        400: "Fix: deploy the tables and the data collection rule of this release (infra/), and look at the columns "
        "that it names",
        401: "Fix: the endpoint does not accept the token; check 'cloud' and 'sign_in' of log_analytics",
        403: "Fix: assign the role Monitoring Metrics Publisher on the data collection rule to the identity that "
        "sends; it takes up to 30 minutes to work",
        404: "Fix: check 'rule' of log_analytics (the immutable id of the data collection rule) and that the rule has "
        "both streams of this release",
    }
)

#: Of an answer that is no error, and no 204 either.
_NOT_AZURE = (
    "Fix: something between the app and Azure Monitor answers in its place; check 'endpoint' of log_analytics and the "
    "proxies of the app's network"
)

#: What the client may do by itself: nothing is repeated, redirected or sent through a proxy that the environment names.
_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "retry_total": 0,
        "permit_redirects": False,
        "connection_timeout": 10,
        "read_timeout": 60,
        "use_env_settings": False,
    }
)


class LogSender:
    """A ``LogDestination``. See ``shared.core.export``.

    Args:
        settings: of the configuration.
        clients: credentials of Microsoft's services.
        now: the clock.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        settings: LogAnalyticsSettings,
        clients: MicrosoftClients,
        now: Callable[[], datetime],
        *,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._now = now
        self._sleep = sleep
        self._client: LogsIngestionClient | None = None
        self._guard: AddressGuard | None = None

    async def send_tickets(self, records: Sequence[TicketRecord]) -> int:
        """Send rows of tickets. See ``LogDestination``."""
        return await self._send(TICKETS_STREAM, (ticket_row(one) for one in records))

    async def send_log(self, rows: Sequence[LogRow]) -> int:
        """Send rows of the bridge's own log. See ``LogDestination``."""
        return await self._send(LOG_STREAM, (log_row(one) for one in rows))

    async def check(self) -> list[SectionCheck]:
        """Test sign-in, rule and role. See ``LogDestination``."""
        return await check_sending(self._settings, self._tokens(), self.send_log, self._now())

    async def aclose(self) -> None:
        """Close connections. Credentials belong to whoever made them."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _send(self, stream: str, rows: Iterator[JsonRow]) -> int:
        requests = taken = 0
        refused: list[RefusedPiece] = []
        for piece in pieces(rows):
            requests += await self._deliver(stream, piece, refused)
            taken += len(piece)
        if refused:
            accepted = taken > sum(len(piece) for piece, _ in refused)
            requests += await self._without_refused(stream, refused, accepted)
        return requests

    async def _deliver(self, stream: str, piece: Piece, refused: list[RefusedPiece]) -> int:
        """Send a piece, in halves where it is too large; a refusal of its content is left for later."""
        requests, error = await self._tried(stream, piece)
        if error is None:
            return requests
        if error.status == _TOO_LARGE and len(piece) > 1:
            for half in _halves(piece):
                requests += await self._deliver(stream, half, refused)
        else:
            refused.append((piece, error))
        return requests

    async def _without_refused(self, stream: str, refused: list[RefusedPiece], accepted: bool) -> int:
        """Find the rows that the service refuses, leave them out by name, and send the others.

        Args:
            refused: pieces, and why each was.
            accepted: other rows of the same call were taken.

        Raises SourceRefused where no row at all is taken: then it is not the content of single rows, and none is left
        out. A row that is too large for any request is, in any case.
        """
        requests = 0
        waiting, left_out = list(refused), list[RefusedPiece]()
        while waiting:
            piece, error = waiting.pop()
            if len(piece) == 1:
                left_out.append((piece, error))
                continue
            if requests >= _MOST_SEARCHES and not accepted:
                raise error
            for half in _halves(piece):
                made, again = await self._tried(stream, half)
                requests += made
                accepted = accepted or again is None
                waiting += [(half, again)] if again else []
        for _, error in left_out:
            if not accepted and error.status != _TOO_LARGE:
                raise error
        for (row,), error in left_out:
            named = row.get("RecordId", "")
            record("export_row_left_out", logging.WARNING, stream=stream, record=named, reason=str(error))
        return requests

    async def _tried(self, stream: str, piece: Piece) -> tuple[int, SourceRefused | None]:
        """Send a piece: how many requests it took, and why its content is refused, None where it is not."""
        try:
            return await self._post(stream, piece), None
        except SourceRefused as error:
            if error.status not in _OF_CONTENT:
                raise
            return 1, error

    async def _post(self, stream: str, piece: Piece) -> int:
        """Send a piece as it is; how many requests it took. What may pass is tried again.

        Raises SourceUnavailable and SourceRefused.
        """
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                await self._once(stream, piece)
                return attempt
            except SourceUnavailable as error:
                wait = 2.0**attempt if error.retry_after is None else error.retry_after
                if attempt == _MOST_TRIES or wait > _LONGEST_WAIT:
                    raise
                await self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _once(self, stream: str, piece: Piece) -> None:
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            client = self._opened()
            if self._guard is not None:
                self._guard.refusal = ""
            await client.upload(self._settings.rule, stream, list(piece))
        except HttpResponseError as error:
            raise _failure(error) from None
        except SourceError:
            raise
        except AzureError as error:
            host, forbidden = self._settings.endpoint, "" if self._guard is None else self._guard.refusal
            if forbidden:
                fix = "check 'endpoint' of log_analytics, or set 'allow_private_addresses' for a private endpoint"
                raise SourceRefused(f"nothing was sent to the Logs Ingestion API: {forbidden}. Fix: {fix}") from None
            raise SourceUnavailable(
                f"the Logs Ingestion API ({host}) did not answer: {type(error).__name__}. Fix: check 'endpoint' of "
                "log_analytics and the app's network"
            ) from None

    def _opened(self) -> LogsIngestionClient:
        if self._client is None:
            import httpx
            from azure.core.pipeline.transport import AioHttpTransport
            from azure.monitor.ingestion.aio import LogsIngestionClient

            from shared.platform.guarded_session import AddressGuard, guarded_session

            settings = self._settings
            # A file of authorities given to azure-core would be read, and a connection made, for every request.
            trust = self._clients.endpoints(settings.cloud).trust or httpx.create_ssl_context(trust_env=False)
            self._guard = AddressGuard(settings.endpoint, allow_private=settings.allow_private_addresses)
            session = guarded_session(self._guard, trust)
            self._client = LogsIngestionClient(
                settings.endpoint,
                self._tokens(),
                credential_scopes=[SCOPES[settings.cloud]],
                transport=AioHttpTransport(session=session, **_OPTIONS),
                **_OPTIONS,
            )
        return self._client

    def _tokens(self) -> LogTokens:
        settings = self._settings
        return LogTokens(self._clients.credential(settings.cloud, settings.sign_in), SCOPES[settings.cloud])


def pieces(rows: Iterator[JsonRow]) -> Iterator[Piece]:
    """Rows in pieces that stay below the limit of a call, in their order; no more than one piece is in memory."""
    taken: list[JsonRow] = []
    size = 2
    for row in rows:
        length = len(json.dumps(row)) + 2  # ASCII, and what stands between two rows
        if length > LARGEST_PIECE:
            row = shortened(row, LARGEST_PIECE - 2)
            length = len(json.dumps(row)) + 2
        if taken and size + length > LARGEST_PIECE:
            yield tuple(taken)
            taken, size = [], 2
        taken.append(row)
        size += length
    if taken:
        yield tuple(taken)


def _halves(piece: Piece) -> list[Piece]:
    middle = len(piece) // 2
    return [piece[:middle], piece[middle:]]


def _failure(error: HttpResponseError) -> SourceError:
    """What an answer means."""
    status = error.status_code or 0
    code = str(getattr(getattr(error, "error", None), "code", "") or "")
    words = str(getattr(getattr(error, "error", None), "message", "") or error.reason or "").strip().partition("\n")[0]
    said = ": ".join(part for part in (code, words[:300]) if part)
    text = f"the Logs Ingestion API answered {status}{f' ({said})' if said else ''}"
    if status in _PASSING:
        return SourceUnavailable(text, status=status, retry_after=_seconds(error))
    fix = _FIXES.get(status, _NOT_AZURE if status < 400 else "")
    return SourceRefused(f"{text}. {fix}".rstrip(), status=status)


def _seconds(error: HttpResponseError) -> float | None:
    """Retry-After of an answer."""
    headers: Mapping[str, str] = getattr(error.response, "headers", {}) or {}
    text = str(headers.get("Retry-After", ""))
    return float(text) if text.isdecimal() else None
