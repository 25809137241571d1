"""Clients of the bridge's own storage account: tables, queue and blobs, built when first used.

The account comes from the settings that Functions itself uses: ``AzureWebJobsStorage`` as a connection string, or
``AzureWebJobsStorage__blobServiceUri``, ``__queueServiceUri`` and ``__tableServiceUri`` with a managed identity
(optional ``__clientId``), as infra/main.bicep sets them in every cloud. ``__accountName`` takes their place where the
account has the usual addresses of its cloud; the cloud is the one of ``AZURE_AUTHORITY_HOST``, which azure-identity
signs in at, and the global one without it. Source: Azure Functions reference, "Connecting to host storage with an
identity"; azure-identity, "Environment variables".

Everything is imported where it is used: the storage SDKs cost up to a quarter of a second of cold start.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from shared.core.errors import ConfigurationError, StorageUnavailable, UnreadableRow
from shared.platform.log import record

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableClient
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient
    from azure.storage.queue.aio import QueueClient

R = TypeVar("R")

_SETTING = "AzureWebJobsStorage"
_AUTHORITY = "AZURE_AUTHORITY_HOST"

#: Rows that were reported as unreadable, and the length of the reason that is shown.
_MOST_REMEMBERED = 10_000
_LONGEST_REASON = 300

#: Short on purpose: work that storage does not answer goes back to the queue, and a webhook must answer in seconds.
_TIMES: dict[str, Any] = {"connection_timeout": 3, "read_timeout": 10, "retry_total": 2}

#: Seconds between attempts of the SDKs, which name them differently. By default queues and blobs wait 15 seconds.
_TABLE_RETRIES: dict[str, Any] = {"retry_backoff_factor": 0.2}
_RETRIES: dict[str, Any] = {"initial_backoff": 0.3, "increment_base": 1, "random_jitter_range": 0.1}


class Storage:
    """The storage account. Use ``aclose`` when done."""

    def __init__(self, settings: Mapping[str, str], *, credential: Any = None, transport: dict[str, Any] | None = None):
        """
        Args:
            settings: application settings.
            credential: a token credential; the managed identity when None and no connection string is set.
            transport: keyword arguments for every client (tests pass ``connection_verify``).
        """
        self._settings = settings
        self._credential: AsyncTokenCredential | None = credential
        self._options = {**_TIMES, **(transport or {})}
        self._stack = AsyncExitStack()
        self._tables: dict[str, TableClient] = {}
        self._queues: dict[tuple[str, bool], QueueClient] = {}
        self._blobs: BlobServiceClient | None = None
        self._unreadable: set[tuple[str, str]] = set()

    @property
    def _connection_string(self) -> str:
        return self._settings.get(_SETTING, "")

    def _endpoint(self, service: Literal["blob", "queue", "table"]) -> str:
        given = self._settings.get(f"{_SETTING}__{service}ServiceUri", "")
        if given:
            return given.rstrip("/")
        account = self._settings.get(f"{_SETTING}__accountName", "")
        if not account:
            raise ConfigurationError(
                [f"no storage account: set {_SETTING} (connection string) or {_SETTING}__accountName (identity)"]
            )
        from shared.core.clouds import CLOUDS, cloud_of_authority

        authority = self._settings.get(_AUTHORITY, "")
        cloud = cloud_of_authority(authority) if authority else CLOUDS["public"]
        if cloud is None:
            raise ConfigurationError(
                [
                    f"{_AUTHORITY}: {authority} is of no cloud whose storage addresses are known. Fix: set "
                    f"{_SETTING}__blobServiceUri, {_SETTING}__queueServiceUri and {_SETTING}__tableServiceUri"
                ]
            )
        return f"https://{account}.{service}.{cloud.storage_suffix}"

    def _identity(self) -> AsyncTokenCredential:
        if self._credential is None:
            from azure.identity.aio import DefaultAzureCredential

            client_id = self._settings.get(f"{_SETTING}__clientId") or None
            self._credential = DefaultAzureCredential(managed_identity_client_id=client_id)
            self._stack.push_async_callback(self._credential.close)
        return self._credential

    def table(self, name: str) -> TableClient:
        """Client of one table."""
        found = self._tables.get(name)
        if found is None:
            from azure.data.tables.aio import TableClient

            options = {**_TABLE_RETRIES, **self._options}
            text = self._connection_string
            found = (
                TableClient.from_connection_string(text, name, **options)
                if text
                else TableClient(self._endpoint("table"), name, credential=self._identity(), **options)
            )
            self._tables[name] = found
            self._stack.push_async_callback(found.close)
        return found

    def queue(self, name: str, *, raw: bool = False) -> QueueClient:
        """Client of one queue, with the base64 that host.json asks for; ``raw``: with the texts as they are."""
        found = self._queues.get((name, raw))
        if found is None:
            from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
            from azure.storage.queue.aio import QueueClient

            options: dict[str, Any] = {**_RETRIES, **self._options}
            if not raw:
                options["message_encode_policy"] = TextBase64EncodePolicy()
                options["message_decode_policy"] = TextBase64DecodePolicy()
            text = self._connection_string
            found = (
                QueueClient.from_connection_string(text, name, **options)
                if text
                else QueueClient(self._endpoint("queue"), name, credential=self._identity(), **options)
            )
            self._queues[name, raw] = found
            self._stack.push_async_callback(found.close)
        return found

    def container(self, name: str) -> ContainerClient:
        """Client of one blob container."""
        if self._blobs is None:
            from azure.storage.blob.aio import BlobServiceClient

            options = {**_RETRIES, **self._options}
            text = self._connection_string
            self._blobs = (
                BlobServiceClient.from_connection_string(text, **options)
                if text
                else BlobServiceClient(self._endpoint("blob"), credential=self._identity(), **options)
            )
            self._stack.push_async_callback(self._blobs.close)
        return self._blobs.get_container_client(name)

    def unreadable(self, place: str, name: str, reason: object) -> UnreadableRow:
        """The error for a row or blob that cannot be read. The log has it once per row and process.

        Args:
            place: the table or container.
            name: the row key or blob.
            reason: what is wrong with it.
        """
        text = str(reason)[:_LONGEST_REASON]
        if (place, name) not in self._unreadable:
            if len(self._unreadable) >= _MOST_REMEMBERED:
                self._unreadable.clear()
            self._unreadable.add((place, name))
            record("unreadable_row", logging.WARNING, table=place, row=name, reason=text)
        return UnreadableRow(
            f"row {name} of {place} in the bridge's storage cannot be read: {text}. It is damaged or was written by "
            "another release of the bridge. Fix: correct the row, delete it, or deploy the release that wrote it"
        )

    async def aclose(self) -> None:
        """Close all clients."""
        await self._stack.aclose()


async def create_on_first_use(work: Callable[[], Awaitable[R]], create: Callable[[], Awaitable[Any]]) -> R:
    """Do ``work``; when the table, queue or container that it uses does not exist yet, create that and do it again.

    That happens once in an app's life, so nobody asks for it first. Raises what the SDK raises.
    """
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    try:
        return await work()
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            await create()
        return await work()


def was_refused(error: BaseException) -> bool:
    """Whether storage provably did not do what one request asked for: it said so, or no connection was made.

    False when nobody knows: no answer, or a 500.
    """
    from aiohttp import ClientConnectorError
    from azure.core.exceptions import HttpResponseError, ServiceRequestError

    if isinstance(error, HttpResponseError):
        status = error.status_code or 0
        return 400 <= status < 500 or status == 503
    return isinstance(error, ServiceRequestError) and isinstance(error.inner_exception, ClientConnectorError)


_patience: ContextVar[float | None] = ContextVar("patience", default=None)


@contextlib.contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Inside, each operation, and each page of a list, may take so many seconds: somebody waits for the answer.

    Otherwise the SDKs try for half a minute, which suits work that nobody waits for.
    """
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def page_limit() -> float | None:
    """Seconds that one page of a list may take; None for no limit. See :func:`patience`."""
    return _patience.get()


@asynccontextmanager
async def storage_errors(doing: str, within: float | None = None) -> AsyncIterator[None]:
    """Turn whatever the storage SDKs raise into StorageUnavailable, except what callers decide by.

    Conflicts, stale ETags and missing things pass: they are answers, not failures.

    Args:
        doing: what is being done, for the message.
        within: seconds that it may take in all, the SDK's own retries included; those of :func:`patience` when None.
            ``math.inf`` for a generator, whose reader takes its time: it bounds its pages by :func:`page_limit`.
    """
    import asyncio

    from azure.core.exceptions import (
        AzureError,
        ResourceExistsError,
        ResourceModifiedError,
        ResourceNotFoundError,
    )

    limit = _patience.get() if within is None else within
    try:
        async with contextlib.nullcontext() if limit in (None, math.inf) else asyncio.timeout(limit):
            yield
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
        raise
    except (AzureError, OSError) as error:
        raise unavailable(error, doing) from error
    except AttributeError as error:
        # Without a token there is no response, and the tables SDK trips over that while it reads the error's code.
        if not isinstance(error.__context__, AzureError):
            raise
        raise unavailable(error.__context__, doing) from error


def unavailable(error: BaseException, doing: str) -> StorageUnavailable:
    """What callers raise for an error of the SDKs."""
    status = getattr(error, "status_code", None)
    answer = f"answered {status}" if status else f"did not answer ({type(error).__name__})"
    return StorageUnavailable(
        f"storage {answer} while {doing}. Check the storage account, its network rules and the app's roles "
        "(Storage Blob Data Owner, Storage Queue Data Contributor, Storage Table Data Contributor)"
    )
