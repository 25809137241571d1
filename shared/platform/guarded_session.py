"""The counterpart of ``guarded_transport`` for clients that run on aiohttp: those of Azure's SDK.

The address of every connection is looked at before it is opened, so a name that resolves to something inside the
network, at once or later (DNS rebinding), gets nothing, not even a TCP handshake. That requests go to one origin only
is up to the client: it builds every address from the configured one, and must be told to follow no redirects.

Source: aiohttp documentation, "Advanced client usage" (TCPConnector, socket_factory).
"""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import AddrInfoType

from shared.platform.addresses import inner, names_this_machine


class AddressGuard:
    """Opens sockets to public addresses, and to loopback ones where the origin is written as this machine.

    Args:
        origin: scheme, host and port that requests go to.
        allow_private: open sockets to private, loopback and link-local addresses too.
    """

    def __init__(self, origin: str, *, allow_private: bool = False) -> None:
        self.refusal = ""  #: why the last address was refused
        self._host = urlsplit(origin).hostname or ""
        self._allow_private = allow_private

    def socket(self, address: AddrInfoType) -> socket.socket:
        """A socket that is not connected yet. Raises OSError where nothing may be sent."""
        family, kind, protocol, _, where = address
        peer = str(where[0])
        reason = "" if self._allow_private else inner(peer)
        if reason and not (reason == "loopback" and names_this_machine(self._host)):
            self.refusal = f"{self._host} leads to the {reason} address {peer}, and no private addresses are allowed"
            raise OSError(self.refusal)
        return socket.socket(family=family, type=kind, proto=protocol)


def guarded_session(guard: AddressGuard, trust: ssl.SSLContext) -> aiohttp.ClientSession:
    """A session of its own, without cookies and without proxies of the environment.

    Args:
        guard: opens the sockets.
        trust: certificate authorities.
    """
    connector = aiohttp.TCPConnector(ssl=trust, socket_factory=guard.socket)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
    )
