"""No secret shows: not in an error, not in a log line of any library, not in what prints a traceback's variables."""

from __future__ import annotations

import base64
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.servicenow import ServiceNow
from shared.core.errors import BridgeError
from shared.core.ticket_system import Closure, Draft, Needs, Note, TicketKind, TicketRef
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.scripted import (
    CUT_SHORT,
    HANG_UP,
    Asked,
    Instance,
    Say,
    not_authenticated,
    refusal,
    running,
    token,
)

ID = "0123456789abcdef0123456789abcdef"
REF = TicketRef(TicketKind.INCIDENT, ID, "alert:1:a")
SECRETS = {
    "DEMO_PASSWORD": "SEEN password ü&=/",
    "DEMO_CLIENT_SECRET": "SEEN-client-secret/+",
    "DEMO_API_KEY": "SEEN-api-key",
}
CLIENT = {"client_id": "bridge-client", "client_secret": {"secret": "demo-client-secret"}}
AUTH: dict[str, dict[str, Any]] = {
    "basic": {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}},
    "api_key": {"type": "api_key", "key": {"secret": "demo-api-key"}},
    "client_credentials": {"type": "oauth_client_credentials", **CLIENT},
    "password": {
        "type": "oauth_password",
        **CLIENT,
        "username": "azure.bridge",
        "password": {"secret": "demo-password"},
    },
    "jwt": {
        "type": "oauth_jwt_bearer",
        **CLIENT,
        "private_key": {"secret": "demo-key"},
        "key_id": "key-1",
        "subject": "azure.bridge",
    },
    "mutual_tls": {
        "type": "mutual_tls",
        "certificate": {"secret": "demo-cert"},
        "private_key": {"secret": "demo-cert-key"},
    },
}


@pytest.fixture
async def instance(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    """Over TLS where a client certificate is shown: the bridge wants an https address for one."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    kind = getattr(request.node, "callspec", None)
    tls: ssl.SSLContext | None = None
    if kind is None or kind.params["kind"] == "mutual_tls":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(tls)
    async with running(tls) as server:
        yield server


def forms(secret: str) -> Iterator[str]:
    """A secret as it could be printed."""
    yield secret
    yield repr(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield base64.b64encode(f"azure.bridge:{secret}".encode()).decode().rstrip("=")


def printed(error: BaseException) -> str:
    """Everything that a traceback with local variables would show of an error and all that stands behind it."""
    parts: list[str] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None:
            continue
        parts += traceback.TracebackException.from_exception(found, capture_locals=True, compact=False).format()
        parts += [repr(found), str(found), repr(vars(found))]
        waiting += [found.__cause__, found.__context__]
    return "\n".join(parts)


def telling(asked: Asked) -> Iterator[Say]:
    """Answers of a server that sends back everything that it was sent."""
    said = f"{dict(asked.headers)} {asked.query} {asked.body.decode()}"
    yield refusal(500, said, said)
    yield refusal(403, "Operation Failed", said)
    yield refusal(400, said)
    yield Say(503, f"<html><title>{said}</title><body>{said}</body></html>", content_type="text/html")
    yield Say(200, said, content_type="text/html")
    yield Say(200, '{"error": "server_error", "error_description": "' + said.replace('"', "'") + '"}')
    yield Say(401, '{"error": "x", "error_description": "' + said.replace('"', "'") + '"}')
    yield HANG_UP
    yield CUT_SHORT


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    certificate = trustme.CA().issue_cert("bridge.contoso.example")
    return {
        **SECRETS,
        "DEMO_KEY": pem,
        "DEMO_CERT": certificate.cert_chain_pems[0].bytes().decode(),
        "DEMO_CERT_KEY": certificate.private_key_pem.bytes().decode(),
    }


async def collect(work: Awaitable[object]) -> str:
    try:
        await work
    except BridgeError as error:
        return printed(error)
    return ""


async def exercise(connector: ServiceNow, rotate: Callable[[], None] = lambda: None) -> str:
    """Every operation once; what their errors would print. ``rotate`` makes the last of them renew the credentials."""
    note = Note("text [m]", "[m]")
    parts = [
        await collect(connector.create(Draft(TicketKind.INCIDENT, ID, "alert:1:a", {"caller_id": "sam"}))),
        await collect(connector.find(TicketKind.INCIDENT, ID, "alert:1:a", "[m]")),
        await collect(connector.comment(REF, note)),
        await collect(connector.resolve(REF, Closure())),
        await collect(connector.reopen(REF, note)),
        await collect(connector.create(Draft(TicketKind.EVENT, ID, "alert:1:a", {}))),
    ]
    rotate()
    parts += [
        await collect(connector.find(TicketKind.INCIDENT, ID, "alert:1:a")),
        repr([connector, vars(connector), vars(connector._client), connector._client._credential]),
        repr(await connector.check(Needs(frozenset({TicketKind.INCIDENT}), {}))),
    ]
    return "\n".join(parts)


def assert_nothing_shows(text: str, secrets: dict[str, str]) -> None:
    values = [*secrets.values(), "SEEN-access", "SEEN-refresh"]
    pem = secrets["DEMO_KEY"] + secrets["DEMO_CERT_KEY"]
    key_lines = [line for line in pem.splitlines() if len(line) > 30 and "KEY" not in line]
    for value in [*values, *key_lines]:
        for form in forms(value):
            at = text.find(form)
            assert at < 0, f"a secret shows: …{text[max(at - 300, 0) : at]}"


@pytest.mark.parametrize("kind", list(AUTH))
@pytest.mark.parametrize("which", range(9))
async def test_no_secret_shows_whatever_goes_wrong(
    instance: Instance,
    connect: Connect,
    secrets: dict[str, str],
    kind: str,
    which: int,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    assert logging.getLogger("httpcore.http11").isEnabledFor(logging.DEBUG)
    revoked: list[str] = []
    known = dict(secrets)
    new = {"DEMO_CLIENT_SECRET": "SEEN-new-client-secret"}

    def rotate() -> None:
        known.update(new)  # tokens are renewed as soon as the secret is another
        if not AUTH[kind]["type"].startswith("oauth"):
            instance.says(not_authenticated())

    def answer(asked: Asked) -> Say:
        if asked.path == "/oauth_token.do":
            rotated = "-2" if "SEEN-new" in asked.body.decode() else ""
            return token(f"SEEN-access{rotated}", 1799, f"SEEN-refresh{rotated}")
        if asked.path == "/oauth_revoke_token.do":
            revoked.append(asked.query["token"])
        return list(telling(asked))[which]

    instance.handler = answer
    text = await exercise(connect(auth=AUTH[kind], secrets=known, ca_bundle=str(tmp_path / "ca.pem")), rotate)
    assert "send_request_headers" in caplog.text  # the libraries' logs were on
    assert len(text) > 5000
    if AUTH[kind]["type"].startswith("oauth"):
        assert "SEEN-refresh" in revoked
    shown = text + caplog.text + "".join(capsys.readouterr())
    assert_nothing_shows(shown, secrets)
    assert "SEEN-new" not in shown


@pytest.mark.parametrize("kind", ["client_credentials", "password", "jwt"])
@pytest.mark.parametrize("which", range(9))
async def test_no_secret_shows_when_the_token_endpoint_sends_it_back(
    instance: Instance,
    connect: Connect,
    secrets: dict[str, str],
    kind: str,
    which: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    instance.handler = lambda asked: list(telling(asked))[which]
    text = await exercise(connect(auth=AUTH[kind], secrets=secrets))
    assert "/oauth_token.do" in instance.asked[0].path
    sent = [asked.form["assertion"] for asked in instance.asked if "assertion" in asked.form]
    assert_nothing_shows(text + caplog.text, {**secrets, **{str(n): value for n, value in enumerate(sent)}})


async def test_a_key_and_a_certificate_that_do_not_fit_do_not_show(
    instance: Instance, connect: Connect, secrets: dict[str, str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = {name: secrets[name].replace("A", "B") for name in ("DEMO_KEY", "DEMO_CERT_KEY")}
    bad = {**secrets, **broken, "DEMO_PASSWORD": "SEEN\nagain"}
    for kind in ("jwt", "mutual_tls", "basic"):
        text = await exercise(connect(auth=AUTH[kind], secrets=bad, ca_bundle=str(tmp_path / "ca.pem")))
        assert "demo-" in text
        assert_nothing_shows(text + caplog.text, bad)
    assert instance.asked == []


def test_what_this_test_would_find(secrets: dict[str, str]) -> None:
    """A check that cannot fail is none."""

    def leaky() -> None:
        password = SECRETS["DEMO_PASSWORD"]
        raise ValueError(f"{len(password)} characters")

    with pytest.raises(ValueError, match="characters") as caught:
        leaky()
    with pytest.raises(AssertionError, match="a secret shows"):
        assert_nothing_shows(printed(caught.value), secrets)
