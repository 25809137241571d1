"""Basic authentication, API key and client certificate."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from connectors.servicenow import ServiceNow, ServiceNowSettings
from connectors.servicenow.tls import IN_MEMORY, present
from shared.core.errors import NotAuthorised, NotSent, TicketSystemError
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import TicketKind
from tests.servicenow_connector.conftest import BASIC, SETTINGS, Connect
from tests.servicenow_connector.scripted import Asked, Instance, Say, not_authenticated, refusal, result, running

ID = "0123456789abcdef0123456789abcdef"
FOUND = result({"sys_id": ID, "correlation_id": "alert:1:a", "state": "1", "active": "true"})


async def look(connector: ServiceNow) -> None:
    assert await connector.find(TicketKind.INCIDENT, ID, "alert:1:a") is not None


async def test_basic_sends_user_name_and_password(instance: Instance, connect: Connect) -> None:
    instance.says(FOUND)
    connector = connect(secrets={"DEMO_PASSWORD": "pässword: of the demo\n"})
    await look(connector)
    scheme, _, pair = instance.asked[0].headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "azure.bridge:pässword: of the demo")


async def test_api_key_goes_into_its_header_and_nothing_else_is_sent(instance: Instance, connect: Connect) -> None:
    instance.says(FOUND, FOUND)
    await look(connect(auth={"type": "api_key", "key": {"secret": "demo-api-key"}}))
    await look(connect(auth={"type": "api_key", "key": {"secret": "demo-api-key"}, "header": "x-bridge-key"}))
    assert instance.asked[0].headers["x-sn-apikey"] == "demo-api-key"
    assert instance.asked[1].headers["x-bridge-key"] == "demo-api-key"
    assert not any("Authorization" in asked.headers for asked in instance.asked)


async def test_a_rotated_password_is_used_after_one_refusal(instance: Instance, connect: Connect) -> None:
    class Rotating(SettingSecrets):
        """The cached value is the old one; reading anew gives the new one."""

        new = False

        async def get(self, name: str, *, refresh: bool = False) -> str:
            self.new = self.new or refresh
            return "new-password" if self.new else "old-password"

    right = "Basic " + base64.b64encode(b"azure.bridge:new-password").decode()
    instance.handler = lambda asked: FOUND if asked.headers["Authorization"] == right else not_authenticated()
    data = {
        "type": "servicenow",
        "url": instance.url,
        "auth": {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}},
    }
    connector = ServiceNow("contoso", ServiceNowSettings.model_validate(data), Rotating())
    await look(connector)
    await look(connector)
    assert len(instance.asked) == 3
    await connector.aclose()


async def test_a_secret_without_value_means_that_nothing_was_sent(instance: Instance, connect: Connect) -> None:
    with pytest.raises(NotSent, match="secret 'demo-password' has no value"):
        await look(connect(secrets={"OTHER": "x"}))
    assert instance.asked == []


async def test_a_secret_that_goes_missing_after_a_refusal_is_named_beside_it(instance: Instance) -> None:
    class Vanishing(SettingSecrets):
        async def get(self, name: str, *, refresh: bool = False) -> str:
            return await super().get("gone" if refresh else name)

    instance.says(not_authenticated())
    data = {"type": "servicenow", "url": instance.url, "auth": {"type": "api_key", "key": {"secret": "demo-api-key"}}}
    connector = ServiceNow("contoso", ServiceNowSettings.model_validate(data), Vanishing(SETTINGS))
    with pytest.raises(NotAuthorised, match="secret 'gone' has no value") as caught:
        await look(connector)
    assert caught.value.status == 401
    await connector.aclose()


@pytest.mark.parametrize("value", ["demo\nsecond-line", "demo\tkey", "demo-kéy"])
async def test_a_key_that_no_header_can_carry_is_named_without_its_value(
    instance: Instance, connect: Connect, value: str
) -> None:
    connector = connect(auth={"type": "api_key", "key": {"secret": "demo-api-key"}}, secrets={"DEMO_API_KEY": value})
    with pytest.raises(NotAuthorised, match="'demo-api-key' holds characters") as caught:
        await look(connector)
    assert value not in str(caught.value)
    assert instance.asked == []


@pytest.mark.parametrize("refused_first", [False, True])
@pytest.mark.parametrize("error", [AttributeError("demo-password"), KeyError("x"), TimeoutError(), RuntimeError("?")])
async def test_whatever_a_log_in_raises_waits_for_an_administrator(
    instance: Instance, error: Exception, refused_first: bool
) -> None:
    """An unknown error would be taken for a poisonous message, and every alert would become a dead letter."""

    class Broken(SettingSecrets):
        async def get(self, name: str, *, refresh: bool = False) -> str:
            if refresh or not refused_first:
                raise error
            return await super().get(name)

    data = {"type": "servicenow", "url": instance.url, "auth": BASIC}
    connector = ServiceNow("contoso", ServiceNowSettings.model_validate(data), Broken(SETTINGS))
    instance.says(not_authenticated())
    with pytest.raises(NotAuthorised, match=f"unexpected {type(error).__name__}") as caught:
        await look(connector)
    assert len(instance.asked) == refused_first
    assert "demo-password" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    await connector.aclose()


async def test_scope_gate_is_explained(instance: Instance, connect: Connect) -> None:
    instance.says(refusal(403, "User Not Authorized", "Access to unscoped api is not allowed"))
    with pytest.raises(NotAuthorised, match="useraccount"):
        await look(connect())


class Authority:
    """A private authority with one server certificate and any number of client certificates."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.bundle = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.bundle)

    def client(self, name: str) -> tuple[str, str]:
        cert = self.ca.issue_cert(identity_dns_name := f"{name}.contoso.example", common_name=identity_dns_name)
        return "".join(b.bytes().decode() for b in cert.cert_chain_pems), cert.private_key_pem.bytes().decode()

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("localhost").configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def strict(authority: Authority) -> AsyncIterator[Instance]:
    """An instance that lets only holders of a client certificate in."""
    async with running(authority.server()) as server:
        yield server


MUTUAL = {"type": "mutual_tls", "certificate": {"secret": "demo-cert"}, "private_key": {"secret": "demo-key"}}


async def test_client_certificate_opens_the_door_without_any_header(
    strict: Instance, authority: Authority, connect: Connect
) -> None:
    chain, key = authority.client("bridge")
    strict.says(FOUND)
    secrets = {"DEMO_CERT": chain, "DEMO_KEY": key}
    await look(connect(url=strict.url, auth=MUTUAL, ca_bundle=str(authority.bundle), secrets=secrets))
    assert "Authorization" not in strict.asked[0].headers


@contextmanager
def doorkeeper(context: ssl.SSLContext, version: ssl.TLSVersion) -> Iterator[str]:
    """A server that does handshakes only, and reads on after a failed one, so that its alert arrives."""
    context.minimum_version = context.maximum_version = version
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        with suppress(OSError), closing(listener.accept()[0]) as plain, closing(plain.dup()) as kept:
            with suppress(OSError), context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(1)
            kept.settimeout(30)
            with suppress(OSError):
                kept.shutdown(socket.SHUT_WR)
            while kept.recv(4096):
                pass
        done.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        listener.close()
        done.wait(30)
        thread.join(30)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_is_refused_in_the_handshake_is_named_as_the_cause(
    authority: Authority, tmp_path: Path, connect: Connect, version: ssl.TLSVersion
) -> None:
    (tmp_path / "other").mkdir()
    chain, key = Authority(tmp_path / "other").client("stranger")
    with doorkeeper(authority.server(), version) as url:
        connector = connect(
            url=url,
            auth=MUTUAL,
            ca_bundle=str(authority.bundle),
            secrets={"DEMO_CERT": chain, "DEMO_KEY": key},
        )
        with pytest.raises(NotAuthorised, match="refuses the client certificate"):
            await look(connector)
        await connector.aclose()


async def test_a_server_that_hangs_up_on_a_certificate_leaves_at_least_a_hint(
    strict: Instance, authority: Authority, tmp_path: Path, connect: Connect
) -> None:
    (tmp_path / "other").mkdir()
    chain, key = Authority(tmp_path / "other").client("stranger")
    connector = connect(
        url=strict.url,
        auth=MUTUAL,
        ca_bundle=str(authority.bundle),
        secrets={"DEMO_CERT": chain, "DEMO_KEY": key},
    )
    with pytest.raises(TicketSystemError, match="client certificate") as caught:
        await look(connector)
    assert caught.value.retry
    assert not caught.value.applied
    assert strict.asked == []


async def test_a_rotated_certificate_is_shown_after_one_refusal(
    strict: Instance, authority: Authority, connect: Connect
) -> None:
    """And the connections that showed the old one are not used again."""
    old, new = authority.client("old"), authority.client("new")
    peers: list[str] = []
    secrets = {"DEMO_CERT": old[0], "DEMO_KEY": old[1]}

    def answer(asked: Asked) -> Say:
        peers.append(asked.peer)
        if len(peers) == 1:
            secrets["DEMO_CERT"], secrets["DEMO_KEY"] = new
            return not_authenticated()
        return FOUND

    strict.handler = answer
    connector = connect(url=strict.url, auth=MUTUAL, ca_bundle=str(authority.bundle), secrets=secrets)
    await look(connector)
    await look(connector)
    assert peers[0] != peers[1] == peers[2]


@pytest.mark.parametrize("in_memory", sorted({False, IN_MEMORY}))
def test_a_certificate_is_loaded_without_leaving_a_file(
    authority: Authority, in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    context = ssl.create_default_context()
    present(context, authority.client("bridge"), "contoso", in_memory=in_memory)
    assert list(folder.iterdir()) == []


def test_an_unusable_certificate_is_an_error_and_never_a_question_on_the_terminal(authority: Authority) -> None:
    chain, key = authority.client("bridge")
    _, other = authority.client("other")
    locked = (
        load_pem_private_key(key.encode(), None)
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"demo"))
        .decode()
    )
    for pair in ((chain, other), (chain, locked), ("no certificate", key), ("", "")):
        with pytest.raises(NotAuthorised, match="client certificate cannot be used"):
            present(ssl.create_default_context(), pair, "contoso")
