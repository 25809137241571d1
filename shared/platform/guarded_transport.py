"""Keeps what we send on its way to the one host it is meant for.

A guarded transport refuses requests to any other origin, so that neither a redirect nor a mistake of ours carries
credentials elsewhere, and looks at the address that a connection really has before the first byte goes out on it: a
name that resolves to something inside the network, at once or later (DNS rebinding), gets nothing. What remains is the
TCP handshake itself, which an inner host can observe.

Source: httpx documentation, "Extensions" (trace) and "Custom transports"; httpcore, "Network streams" (server_addr).
"""

from __future__ import annotations

from typing import Any

import httpx

from shared.platform.addresses import inner, names_this_machine

_CONNECTED = "connection.connect_tcp.complete"


class ForbiddenHost(httpx.ConnectError):
    """Nothing was sent, because it would have gone to the wrong place."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """A transport for one origin.

    Args:
        origin: scheme, host and port that requests may go to, ``https://host[:port]``.
        transport: does the work.
        allow_private: connect to private, loopback and link-local addresses too. Not needed where the origin itself
            is written as this machine (localhost, 127.0.0.1): then loopback addresses are accepted, and no others.
    """

    def __init__(self, origin: str, transport: httpx.AsyncBaseTransport, *, allow_private: bool = False) -> None:
        self._url = httpx.URL(origin)
        self._transport = transport
        self._allow_private = allow_private
        self._this_machine = names_this_machine(self._url.host)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises ForbiddenHost, and what the inner transport raises."""
        if _origin(request.url) != _origin(self._url):
            raise ForbiddenHost(f"a request to {request.url.host} was stopped: only {self._url.host} is configured")
        if not self._allow_private:
            request.extensions = {**request.extensions, "trace": self._look}
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._transport.aclose()

    async def _look(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpcore at every step of a request; the one of interest is the new connection."""
        if event != _CONNECTED:
            return
        stream = info["return_value"]
        peer = stream.get_extra_info("server_addr")
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        reason = inner(address)
        if not reason or (reason == "loopback" and self._this_machine):
            return
        await stream.aclose()
        raise ForbiddenHost(
            f"{self._url.host} leads to the {reason} address {address}, and no private addresses are allowed"
        )


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host.lower().rstrip("."), url.port or (443 if url.scheme == "https" else 80)
