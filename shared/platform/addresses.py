"""Which network addresses the bridge may connect to. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Public by number, but inside every Azure network: the host's own service (Microsoft Learn, "What is IP address
#: 168.63.129.16?").
_PLATFORM = ipaddress.ip_address("168.63.129.16")

#: IPv6 networks whose addresses carry an IPv4 address in their last 32 bits (RFC 6052; RFC 4291, 2.5.5.1).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")

#: Translation inside one network (RFC 8215), which Python counts as global.
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")


def web_origin(text: str) -> str:
    """``https://host`` or ``https://host:port`` of an address that has nothing else, ``""`` for any other text.

    http is taken for a loopback host only.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not host or "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        return ""
    if any(character.isspace() or character in "%\\" for character in host):
        return ""
    if parts.scheme != "https" and not (parts.scheme == "http" and names_this_machine(host)):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" if port is None else f"{parts.scheme}://{shown}:{port}"


def names_this_machine(host: str) -> bool:
    """Whether a host is written so that it can only mean this machine: localhost, or a loopback address."""
    if host.lower() == "localhost":
        return True
    found = _address(host)
    return found is not None and found.is_loopback


def inner(address: str) -> str:
    """Why an address is not one of the public internet, in a word or two; ``""`` when it is one.

    An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64) is judged by itself. What is no address at all
    counts as unknown, and so as inner.
    """
    found = _address(address)
    if found is None:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        for embedded in _embedded(found):
            if reason := inner(str(embedded)):
                return reason
        if found.ipv4_mapped is not None or found in _NAT64:
            return ""
        if found in _LOCAL_NAT64:
            return "private"
    if found == _PLATFORM:
        return "Azure platform"
    for reason, holds in (
        ("loopback", found.is_loopback),
        ("link-local", found.is_link_local),
        ("multicast", found.is_multicast),
        ("unspecified", found.is_unspecified),
        ("private", not found.is_global),
    ):
        if holds:
            return reason
    return ""


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [embedded for embedded in found if embedded is not None]
