"""Which network addresses the bridge may connect to. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Public by number, but inside every Azure network: the host's own service (Microsoft Learn, "What is IP address
#: 168.63.129.16?").
_PLATFORM = ipaddress.ip_address("168.63.129.16")


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


#: What of IPv4 is not globally reachable. Source: IANA IPv4 Special-Purpose Address Registry. Python's own list
#: (``is_global``) differs from release to release.
_PRIVATE_4 = _networks(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",
    "100.64.0.0/10",  # shared by carriers
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",  # IETF protocols
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4, deprecated
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "240.0.0.0/4",  # reserved, and broadcast
)

#: What of IPv6 is global unicast, and what of that is not globally reachable. Everything else is refused without being
#: listed: site-local (fec0::/10, RFC 3879), unique local, discard-only (100::/64), segment routing (5f00::/16),
#: local translation (64:ff9b:1::/48, RFC 8215), what IANA has not assigned. Sources: IANA IPv6 Address Space, IANA IPv6
#: Special-Purpose Address Registry.
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_PRIVATE_6 = _networks(
    "2001::/23",  # IETF protocols, Teredo among them
    "2001:db8::/32",  # documentation
    "3fff::/20",  # documentation, RFC 9637
)

#: IPv6 networks whose addresses stand for the IPv4 address in their last 32 bits: mapped and compatible (RFC 4291,
#: 2.5.5), translated by SIIT (RFC 2765, 2.1), and NAT64 (RFC 6052).
_IPV4_IN_IPV6 = _networks("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")

_THIS_MACHINE = ipaddress.IPv6Address("::1")


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
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_loopback
    return found == _THIS_MACHINE


def inner(address: str) -> str:
    """Why an address is not one of the public internet, in a word or two; ``""`` when it is one.

    An IPv4 address inside an IPv6 one (mapped, compatible, SIIT, NAT64, 6to4, Teredo) is judged by itself. What is no
    address at all counts as unknown, and so as inner.
    """
    found = _address(address)
    if found is None:
        return "unknown"
    if found == _PLATFORM:
        return "Azure platform"
    for reason, holds in (
        ("loopback", found.is_loopback),
        ("link-local", found.is_link_local),
        ("multicast", found.is_multicast),
        ("unspecified", found.is_unspecified),
    ):
        if holds:
            return reason
    if isinstance(found, ipaddress.IPv4Address):
        return "private" if any(found in network for network in _PRIVATE_4) else ""
    if any(found in network for network in _IPV4_IN_IPV6):
        return inner(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    for embedded in (found.sixtofour, *(found.teredo or ())):
        if embedded is not None and (reason := inner(str(embedded))):
            return reason
    return "" if found in _GLOBAL_6 and not any(found in network for network in _PRIVATE_6) else "private"


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
