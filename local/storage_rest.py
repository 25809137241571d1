"""A light client of Azure Queue Storage and of what the local host needs of Blob Storage, over their REST APIs.

The local host stands in for Azure's own host, which is not written in Python: it must cost next to nothing, and the
storage SDK's import alone takes longer than a function app's cold start. So it speaks REST itself, with one aiohttp
connection pool. The app uses the real SDK; a test has each read what the other wrote.

Sources: Microsoft Learn, "Queue Storage REST API" (Put, Get, Update, Delete Message, Create Queue), "Blob Storage REST
API" (Put Blob, Get Blob, Lease Blob, Create Container), "Authorize with Shared Key", "Configure connection strings".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import aiohttp
from yarl import URL

#: Old enough for every Azurite and new enough for all that is used here.
_API_VERSION = "2020-10-02"
#: Connections rest at most this long, in seconds; Azurite and Azure close theirs later, so none is used half closed.
_KEEP_ALIVE = 4.0
#: Seconds. A sender has ten; with what else a request needs, the whole answer stays far inside.
_TIMES = aiohttp.ClientTimeout(total=5, connect=2)

#: Name of the storage emulator's account, and the key under which ``local.azurite`` starts its own. It opens nothing
#: but an emulator on the loopback interface.
EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_KEY = base64.b64encode(b"not a secret: key of the local emulator of Azure ITSM Bridge").decode()


class StorageError(Exception):
    """Storage refused, or did not answer.

    ``status`` is the HTTP status, 0 when there was no answer; ``code`` is the service's name for the error, such as
    ``QueueNotFound``, empty when it gave none.
    """

    def __init__(self, what: str, status: int = 0, code: str = "") -> None:
        super().__init__(f"{what}: HTTP {status} {code}".rstrip() if status else what)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Account:
    """Where a storage account is and its key. The URLs have no slash at the end."""

    name: str
    key: bytes = field(repr=False)
    blob_url: str
    queue_url: str

    @classmethod
    def parse(cls, connection_string: str) -> Account:
        """Read a connection string with an account key, or ``UseDevelopmentStorage=true``. Raises ValueError."""
        parts = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
        if parts.get("UseDevelopmentStorage", "").strip().lower() == "true":
            here = "http://127.0.0.1:{port}/" + EMULATOR_ACCOUNT
            blob_url, queue_url = here.format(port=10000), here.format(port=10001)
            return cls(EMULATOR_ACCOUNT, base64.b64decode(_usual_emulator_key()), blob_url, queue_url)
        try:
            name, key = parts["AccountName"], base64.b64decode(parts["AccountKey"], validate=True)
        except (KeyError, ValueError):
            raise ValueError("a connection string with AccountName and AccountKey is needed here") from None
        scheme = parts.get("DefaultEndpointsProtocol", "https")
        suffix = parts.get("EndpointSuffix", "core.windows.net")
        blob_url, queue_url = (
            parts.get(f"{service.title()}Endpoint", f"{scheme}://{name}.{service}.{suffix}").rstrip("/")
            for service in ("blob", "queue")
        )
        return cls(name, key, blob_url, queue_url)


def _usual_emulator_key() -> str:
    """The public key of an emulator that somebody else started. The SDK knows it; it is slow to import."""
    from azure.storage.queue._shared.parser import DEVSTORE_ACCOUNT_KEY

    return DEVSTORE_ACCOUNT_KEY


@dataclass(frozen=True, slots=True)
class Message:
    """A queue message as received; ``text`` is still encoded. ``pop_receipt`` proves the right to delete it."""

    id: str
    pop_receipt: str
    text: str
    dequeue_count: int
    inserted: datetime
    expires: datetime
    next_visible: datetime


class Storage:
    """One account's queues and blobs. Open it inside a running event loop; close it with ``aclose``."""

    def __init__(self, account: Account) -> None:
        self.account = account
        connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=_KEEP_ALIVE)
        self._http = aiohttp.ClientSession(
            connector=connector,
            timeout=_TIMES,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close()

    def queue(self, name: str) -> Queue:
        """The queue of that name; nothing is asked of the service yet."""
        return Queue(self, name)

    def container(self, name: str) -> Container:
        """The blob container of that name; nothing is asked of the service yet."""
        return Container(self, name)

    async def call(
        self,
        what: str,
        method: str,
        url: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """Send one signed request; return headers and body of a 2xx answer.

        Args:
            what: for error texts, such as ``put message to bridge-signals``.
            url: already percent-encoded, without query.
            query: names and values, not encoded.

        Raises:
            StorageError: any other answer, or none within ten seconds.
        """
        sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _API_VERSION, **(headers or {})}
        sent["Authorization"] = _signature(self.account, method, url, query or {}, sent, len(body), content_type)
        if content_type:
            sent["Content-Type"] = content_type
        full = url + ("?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items()) if query else "")
        try:
            async with self._http.request(method, URL(full, encoded=True), data=body, headers=sent) as answer:
                content = await answer.read()
                if answer.status < 300:
                    return answer.headers, content
                raise StorageError(what, answer.status, answer.headers.get("x-ms-error-code", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StorageError(f"{what}: no answer ({type(error).__name__})") from error


class Queue:
    """One queue. Message texts are sent and returned as they are: encoding is the caller's."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self._storage = storage
        self._url = f"{storage.account.queue_url}/{quote(name)}"

    async def create(self) -> None:
        """Create the queue; an existing one is left as it is. Raises StorageError."""
        try:
            await self._storage.call(f"create queue {self.name}", "PUT", self._url)
        except StorageError as error:
            if error.code != "QueueAlreadyExists":
                raise

    async def put(self, text: str) -> None:
        """Append a message that expires after seven days, the service's default. Creates a missing queue.

        Raises StorageError.
        """
        body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>".encode()
        url = f"{self._url}/messages"
        what = f"put message to {self.name}"
        try:
            await self._storage.call(what, "POST", url, body=body, content_type="application/xml")
        except StorageError as error:
            if error.code != "QueueNotFound":
                raise
            await self.create()
            await self._storage.call(what, "POST", url, body=body, content_type="application/xml")

    async def get(self, count: int, lease: float) -> list[Message]:
        """Receive up to ``count`` (1 to 32) messages, hidden from others for ``lease`` seconds, at least one.

        A missing queue is an empty one. Raises StorageError.
        """
        query = {"numofmessages": str(count), "visibilitytimeout": str(max(1, round(lease)))}
        what = f"get messages of {self.name}"
        try:
            _, body = await self._storage.call(what, "GET", f"{self._url}/messages", query)
            return [_message(element) for element in ElementTree.fromstring(body)]
        except StorageError as error:
            if error.code == "QueueNotFound":
                return []
            raise
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise StorageError(f"{what}: the answer is none of Queue Storage ({error!r})") from None

    async def update(self, message_id: str, pop_receipt: str, visible_in: float) -> str:
        """Show the message again after ``visible_in`` seconds, its text unchanged; return the new pop receipt.

        Raises StorageError; status 404 or code ``PopReceiptMismatch`` mean that somebody else has it by now.
        """
        query = {"popreceipt": pop_receipt, "visibilitytimeout": str(max(0, round(visible_in)))}
        url = f"{self._url}/messages/{quote(message_id)}"
        headers, _ = await self._storage.call(f"update message of {self.name}", "PUT", url, query)
        return headers["x-ms-popreceipt"]

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        """Delete the message. Raises StorageError, as :meth:`update` does."""
        url = f"{self._url}/messages/{quote(message_id)}"
        await self._storage.call(f"delete message of {self.name}", "DELETE", url, {"popreceipt": pop_receipt})


class Container:
    """One blob container: whole small blobs, and leases on them."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self._storage = storage
        self._url = f"{storage.account.blob_url}/{quote(name)}"

    async def create(self) -> None:
        """Create the container; an existing one is left as it is. Raises StorageError."""
        try:
            await self._storage.call(f"create container {self.name}", "PUT", self._url, {"restype": "container"})
        except StorageError as error:
            if error.code != "ContainerAlreadyExists":
                raise

    async def write(self, blob: str, data: bytes, *, only_new: bool = False) -> None:
        """Write a whole blob. With ``only_new`` an existing one is left as it is. Raises StorageError."""
        headers = {"x-ms-blob-type": "BlockBlob"}
        try:
            await self._blob("write", "PUT", blob, body=data, headers=headers, only_new=only_new)
        except StorageError as error:
            # With a lease on it the service names the lease before it looks at the condition.
            if not (only_new and error.code in ("BlobAlreadyExists", "LeaseIdMissing")):
                raise

    async def read(self, blob: str) -> bytes | None:
        """The blob's content, None when it or its container does not exist. Raises StorageError."""
        try:
            return (await self._blob("read", "GET", blob))[1]
        except StorageError as error:
            if error.status == 404:
                return None
            raise

    async def acquire_lease(self, blob: str, seconds: int) -> str | None:
        """Lease the blob for 15 to 60 seconds; the lease's id, None when somebody else has one. Raises StorageError."""
        headers = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": str(seconds)}
        try:
            answer, _ = await self._blob("lease", "PUT", blob, {"comp": "lease"}, headers=headers)
        except StorageError as error:
            if error.code == "LeaseAlreadyPresent":
                return None
            raise
        return answer["x-ms-lease-id"]

    async def renew_lease(self, blob: str, lease: str) -> None:
        """Start the lease's time anew. Raises StorageError; status 409 means that it is lost."""
        headers = {"x-ms-lease-action": "renew", "x-ms-lease-id": lease}
        await self._blob("renew the lease of", "PUT", blob, {"comp": "lease"}, headers=headers)

    async def release_lease(self, blob: str, lease: str) -> None:
        """Give the lease back. Raises StorageError."""
        headers = {"x-ms-lease-action": "release", "x-ms-lease-id": lease}
        await self._blob("release the lease of", "PUT", blob, {"comp": "lease"}, headers=headers)

    async def _blob(
        self,
        verb: str,
        method: str,
        blob: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        only_new: bool = False,
    ) -> tuple[Mapping[str, str], bytes]:
        sent = {**(headers or {}), **({"If-None-Match": "*"} if only_new else {})}
        url = f"{self._url}/{quote(blob)}"
        return await self._storage.call(f"{verb} blob {blob}", method, url, query, body=body, headers=sent)


def _signature(
    account: Account,
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    length: int,
    content_type: str,
) -> str:
    """The Authorization header's value: an HMAC over all that matters of the request."""
    own = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    # The path already begins with the account at an emulator, so that it appears twice there; this is as documented.
    resource = f"/{account.name}{urlsplit(url).path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
    to_sign = "\n".join(
        (
            method,
            "",  # Content-Encoding
            "",  # Content-Language
            str(length) if length else "",
            "",  # Content-MD5
            content_type,
            "",  # Date: x-ms-date counts
            "",  # If-Modified-Since
            "",  # If-Match
            headers.get("If-None-Match", ""),
            "",  # If-Unmodified-Since
            "",  # Range
            own + resource,
        )
    )
    digest = hmac.new(account.key, to_sign.encode(), hashlib.sha256).digest()
    return f"SharedKey {account.name}:{base64.b64encode(digest).decode()}"


def _message(element: ElementTree.Element) -> Message:
    values = {child.tag: child.text or "" for child in element}
    inserted, expires, next_visible = (
        parsedate_to_datetime(values[name]).astimezone(UTC)
        for name in ("InsertionTime", "ExpirationTime", "TimeNextVisible")
    )
    return Message(
        id=values["MessageId"],
        pop_receipt=values["PopReceipt"],
        text=values["MessageText"],
        dequeue_count=int(values["DequeueCount"]),
        inserted=inserted,
        expires=expires,
        next_visible=next_visible,
    )
