"""Where a session of the SDK's clients may connect to: judged by the address, whatever the name says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest

from shared.core.errors import SourceRefused
from shared.core.export import LogRow
from shared.platform.guarded_session import AddressGuard, guarded_session
from tests.log_analytics.world import World


def opened(guard: AddressGuard, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    guard.socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443))).close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.1.2.3", "private"),
        ("169.254.169.254", "link-local"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:10.1.2.3", "private"),
        ("168.63.129.16", "Azure platform"),
    ],
)
def test_no_socket_is_made_for_an_address_inside(address: str, reason: str) -> None:
    guard = AddressGuard("https://rule.example")
    with pytest.raises(OSError, match=f"leads to the {reason} address"):
        opened(guard, address)
    assert guard.refusal.startswith("rule.example leads to")
    opened(AddressGuard("https://rule.example", allow_private=True), address)


def test_public_addresses_and_this_machine_by_its_own_name_are_reached() -> None:
    opened(AddressGuard("https://rule.example"), "20.50.1.1")
    opened(AddressGuard("https://localhost:8443"), "127.0.0.1")
    with pytest.raises(OSError, match="private"):
        opened(AddressGuard("https://localhost:8443"), "10.1.2.3")


async def test_a_public_name_that_resolves_to_this_machine_gets_not_even_a_connection() -> None:
    connected = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        writer.close()

    guard = AddressGuard("https://rule.example")
    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with guarded_session(guard, ssl.create_default_context()) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post(f"https://localhost:{port}")  # any name that resolves so
    assert "leads to the loopback address" in guard.refusal
    assert not connected.is_set()


async def test_given_an_endpoint_inside_the_network_when_rows_are_sent_then_nothing_leaves_and_the_option_is_named(
    world: World,
) -> None:
    sender = world.open(endpoint="https://10.1.2.3")
    with pytest.raises(SourceRefused, match=r"leads to the private address 10\.1\.2\.3.*allow_private_addresses"):
        await sender.send_log([LogRow("1", datetime.now(UTC), "INFO", "Something happened.", succeeded=True)])
