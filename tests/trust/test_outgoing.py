"""What we send goes to the one configured host, at an address that host may have, or nowhere."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import pytest

from connectors.servicenow import ServiceNow, ServiceNowSettings
from shared.core.errors import NotSent
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import Draft, TicketKind
from shared.platform.addresses import inner, names_this_machine, web_origin
from shared.platform.guarded_transport import ForbiddenHost, GuardedTransport

#: For plain http; loading the authorities takes time.
NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

BASIC = {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}}
DRAFT = Draft(TicketKind.INCIDENT, "0123456789abcdef0123456789abcdef", "alert:1:a", {"short_description": "Disk full"})


@dataclass
class Server:
    """Answers every request alike and keeps what it received, by connection."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    port: int = 0
    received: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.received)
        self.received.append(b"")
        try:
            while data := await reader.read(65536):
                self.received[number] += data
                if data.endswith(b"\r\n\r\n"):
                    writer.write(self.answer)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(**more: Any) -> AsyncIterator[Server]:
    server = Server(**more)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


class Disguised(httpcore.AsyncNetworkStream):
    """A real connection that claims another address for its far end."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, address: str) -> None:
        self._stream = stream
        self._address = address

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return (self._address, 443) if info == "server_addr" else self._stream.get_extra_info(info)


class Resolver(httpcore.AsyncNetworkBackend):
    """Every host is our server; its address is the next one of a list, as with a name whose records change."""

    def __init__(self, port: int, addresses: Iterable[str]) -> None:
        self._port = port
        self._addresses = iter(addresses)
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        return Disguised(await self._real.connect_tcp("127.0.0.1", self._port), next(self._addresses))


class Network(httpx.AsyncBaseTransport):
    """As httpx's own transport, with a network of our making below."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=context, network_backend=backend)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                extensions=request.extensions,
            )
        )
        content = await answer.aread()
        await answer.aclose()
        return httpx.Response(answer.status, headers=answer.headers, content=content)

    async def aclose(self) -> None:
        await self._pool.aclose()


def sockets() -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(verify=NO_TRUST, trust_env=False)


def client(origin: str, transport: httpx.AsyncBaseTransport, **more: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=GuardedTransport(origin, transport, **more), base_url=origin, trust_env=False)


async def test_a_public_address_is_connected_to_and_its_connection_used_again() -> None:
    async with serving() as server:
        network = Network(Resolver(server.port, ["203.0.112.7"]))
        async with client("http://contoso.example", network) as http:
            assert (await http.get("/a")).text == "ok"
            assert (await http.get("/b")).text == "ok"
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "address",
    ["10.0.0.4", "127.0.0.1", "169.254.169.254", "168.63.129.16", "fd00::1", "::1", "fec0::1", "::ffff:0:a00:4"],
)
async def test_a_name_that_leads_inside_gets_not_one_byte(address: str) -> None:
    async with serving() as server:
        async with client("http://contoso.example", Network(Resolver(server.port, [address]))) as http:
            with pytest.raises(ForbiddenHost, match="no private addresses are allowed"):
                await http.get("/", headers={"Authorization": "demo"})
        await asyncio.sleep(0.05)
    assert b"".join(server.received) == b""


async def test_a_name_that_is_rebound_later_gets_nothing_on_the_new_connection() -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    async with serving(answer=closing) as server:
        network = Network(Resolver(server.port, ["203.0.112.7", "10.0.0.4"]))
        async with client("http://contoso.example", network) as http:
            assert (await http.get("/a")).text == "ok"
            with pytest.raises(ForbiddenHost, match=r"private address 10\.0\.0\.4"):
                await http.get("/b")
        await asyncio.sleep(0.05)
    assert server.received[1:] == [b""]


async def test_private_addresses_are_connected_to_where_the_connection_allows_them() -> None:
    async with serving() as server:
        network = Network(Resolver(server.port, ["10.0.0.4"]))
        async with client("http://contoso.example", network, allow_private=True) as http:
            assert (await http.get("/")).text == "ok"


async def test_this_machine_by_its_own_name_allows_loopback_and_nothing_else_inside() -> None:
    async with serving() as server:
        async with client(f"http://127.0.0.1:{server.port}", sockets()) as http:
            assert (await http.get("/")).text == "ok"
        async with client("http://localhost", Network(Resolver(server.port, ["10.0.0.4"]))) as http:
            with pytest.raises(ForbiddenHost):
                await http.get("/")


async def test_odd_spellings_of_loopback_are_judged_by_where_they_lead() -> None:
    async with serving() as server:
        for host in ("127.1", "2130706433", "0x7f000001"):
            origin = f"http://{host}:{server.port}"
            async with client(origin, sockets()) as http:
                with pytest.raises(ForbiddenHost, match=r"loopback address 127\.0\.0\.1"):
                    await http.get("/")
    assert b"".join(server.received) == b""


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/",
        "http://contoso.example/",
        "https://contoso.example:8443/",
        "https://contoso.example.elsewhere.example/",
        "https://contoso.example@elsewhere.example/",
    ],
)
async def test_a_request_to_any_other_origin_is_stopped(url: str) -> None:
    reached = []

    def answer(request: httpx.Request) -> httpx.Response:
        reached.append(request.url)
        return httpx.Response(200)

    async with client("https://contoso.example", httpx.MockTransport(answer)) as http:
        with pytest.raises(ForbiddenHost, match=r"only contoso\.example is configured"):
            await http.get(url)
        await http.get("https://CONTOSO.example:443/")
    assert len(reached) == 1


async def test_even_a_client_that_follows_redirects_does_not_carry_anything_elsewhere() -> None:
    asked = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://elsewhere.example/login"})

    async with client("https://contoso.example", httpx.MockTransport(redirect)) as http:
        with pytest.raises(ForbiddenHost):
            await http.get("/", headers={"Authorization": "demo"}, follow_redirects=True)
    assert asked == ["https://contoso.example/"]


async def test_the_connector_says_that_its_instance_leads_inside_and_what_to_do() -> None:
    async with serving() as server:
        url = f"https://127.1:{server.port}"
        settings = ServiceNowSettings.model_validate({"type": "servicenow", "url": url, "auth": BASIC})
        connector = ServiceNow("contoso", settings, SettingSecrets({"DEMO_PASSWORD": "demo"}))
        with pytest.raises(NotSent, match=r"loopback address 127\.0\.0\.1") as caught:
            await connector.create(DRAFT)
        await connector.aclose()
        assert "allow_private_addresses" in caught.value.advice
        assert b"".join(server.received) == b""
        data = {
            "type": "servicenow",
            "url": url,
            "auth": BASIC,
            "connect_timeout": "1s",
            "allow_private_addresses": True,
        }
        connector = ServiceNow(
            "contoso", ServiceNowSettings.model_validate(data), SettingSecrets({"DEMO_PASSWORD": "demo"})
        )
        with pytest.raises(NotSent, match=r"TLS|certificate|no connection"):
            await connector.create(DRAFT)
        await connector.aclose()
        assert b"".join(server.received), "it tried to speak TLS"


@pytest.mark.parametrize("answer", ["/oauth_token.do", "/api/now/table/incident"])
async def test_the_connector_follows_no_redirect_with_its_credentials(answer: str) -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        if request.url.path == answer:
            return httpx.Response(307, headers={"Location": "https://elsewhere.example/steal"})
        return httpx.Response(200, json={"access_token": "demo", "expires_in": 1800, "token_type": "Bearer"})

    auth = {"type": "oauth_client_credentials", "client_id": "demo", "client_secret": {"secret": "demo-secret"}}
    data = {"type": "servicenow", "url": "https://contoso.service-now.com", "auth": auth}
    connector = ServiceNow(
        "contoso",
        ServiceNowSettings.model_validate(data),
        SettingSecrets({"DEMO_SECRET": "demo"}),
        transport=httpx.MockTransport(handler),
    )
    with pytest.raises(Exception, match="contoso"):
        await connector.create(DRAFT)
    await connector.aclose()
    assert {url.host for url in asked} == {"contoso.service-now.com"}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("8.8.8.8", ""),
        ("2606:4700::1111", ""),
        ("::ffff:8.8.8.8", ""),
        ("64:ff9b::808:808", ""),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::7f00:1", "loopback"),
        ("10.255.0.1", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd12::1", "private"),
        ("64:ff9b::a00:1", "private"),
        ("64:ff9b:1::808:808", "private"),
        ("2002:a00:1::", "private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("168.63.129.16", "Azure platform"),
        ("::ffff:168.63.129.16", "Azure platform"),
        ("64:ff9b::a83f:8110", "Azure platform"),
        ("2002:a83f:8110::1", "Azure platform"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("", "unknown"),
        ("contoso.example", "unknown"),
    ],
)
def test_every_sort_of_address_is_told_apart(address: str, reason: str) -> None:
    assert inner(address) == reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        # Site-local (deprecated, still routed in old networks), segment routing, documentation, discard-only.
        ("fec0::1", "private"),
        ("feff:ffff::1", "private"),
        ("5f00::1", "private"),
        ("5fff::1", "private"),
        ("3fff::1", "private"),
        ("3fff:fff:ffff::1", "private"),
        ("3fff:1000::1", ""),
        ("2001:db8::1", "private"),
        ("100::1", "private"),
        ("2001:2::1", "private"),
        ("4000::1", "private"),
        ("1fff::1", "private"),
        # IPv4 in IPv6, by SIIT, as mapped, compatible, NAT64, 6to4 and Teredo address.
        ("::ffff:0:10.0.0.4", "private"),
        ("::ffff:0:127.0.0.1", "loopback"),
        ("::ffff:0:169.254.169.254", "link-local"),
        ("::ffff:0:8.8.8.8", ""),
        ("::ffff:192.168.1.1", "private"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::10.0.0.4", "private"),
        ("::169.254.169.254", "link-local"),
        ("::0.0.0.5", "private"),
        ("64:ff9b::169.254.169.254", "link-local"),
        ("64:ff9b::100.64.0.1", "private"),
        ("64:ff9b:1:ffff::8.8.8.8", "private"),
        ("2002:7f00:1::1", "loopback"),
        ("2002:a9fe:a9fe::1", "link-local"),
        ("2002:808:808::1", ""),
        ("2001:0:a00:1::f5ff:fffe", "private"),
        ("2001:0:808:808::f5ff:fffb", "private"),
        # IPv4: each row of the registry that is not globally reachable, and neighbours that are.
        ("0.1.2.3", "private"),
        ("100.127.255.255", "private"),
        ("100.128.0.1", ""),
        ("172.31.255.255", "private"),
        ("172.32.0.1", ""),
        ("192.0.0.8", "private"),
        ("192.0.0.170", "private"),
        ("192.0.2.1", "private"),
        ("192.88.99.1", "private"),
        ("198.18.0.1", "private"),
        ("198.19.255.255", "private"),
        ("198.20.0.1", ""),
        ("198.51.100.7", "private"),
        ("203.0.113.7", "private"),
        ("240.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("239.255.255.255", "multicast"),
        ("ff02::1", "multicast"),
    ],
)
def test_special_purpose_addresses_are_not_public_on_any_release_of_python(address: str, reason: str) -> None:
    assert inner(address) == reason
    assert inner(f"[{address}]") == reason


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"])
def test_these_hosts_can_only_mean_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize("host", ["localhost.contoso.example", "127.1", "10.0.0.1", "contoso.example", ""])
def test_these_hosts_can_be_others(host: str) -> None:
    assert not names_this_machine(host)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Login.Example/", "https://login.example"),
        ("https://login.example:8443", "https://login.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://login.example", ""),
        ("https://a:b@login.example", ""),
        ("https://login.example/x", ""),
        ("https://login.example?x", ""),
        ("https://", ""),
        ("https://[::1", ""),
        ("https://login.example:x", ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_an_origin_is_scheme_and_host_and_nothing_else(text: str, origin: str) -> None:
    assert web_origin(text) == origin
