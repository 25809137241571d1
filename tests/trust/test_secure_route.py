"""The whole way over HTTP: local host, worker, Azurite, and a stand-in for Entra on a socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from local.demo.alerts import SUBSCRIPTION, Azure
from local.host.keys import Keys, make_keys
from local.running import Running
from tests.trust.entra import AUDIENCE, CLIENT_ID, OTHER_TENANT, TENANT, claims, jwk, token
from tests.trust.test_tokens import HOSTILE

OLD_KEY, NEW_KEY = "demo-key-of-yesterday", "demo-key-of-tomorrow"

CONFIG = """
version: 1
connections:
  servicenow:
    type: servicenow
    url: ${SERVICENOW_URL}
    auth: {type: basic, username: "${SERVICENOW_USERNAME}", password: {secret: servicenow-password}}
default: {connection: servicenow}
secure_webhook:
  tenants: [TENANT]
  audiences: [AUDIENCE, CLIENT_ID]
  authority: AUTHORITY
accept_only: {subscriptions: SUBSCRIPTION}
"""


class Published(BaseHTTPRequestHandler):
    """The documents of an authority."""

    def do_GET(self) -> None:
        base = f"http://{self.headers['Host']}"
        known = {
            f"/{TENANT}/v2.0/.well-known/openid-configuration": {"jwks_uri": f"{base}/{TENANT}/discovery/v2.0/keys"},
            f"/{TENANT}/discovery/v2.0/keys": {"keys": [jwk("current")]},
        }
        found = known.get(self.path)
        body = json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Published)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture(scope="module")
def bridge(authority: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("secure")
    text = CONFIG.replace("SUBSCRIPTION", SUBSCRIPTION).replace("AUTHORITY", authority).replace("AUDIENCE", AUDIENCE)
    config = folder / "bridge.yaml"
    config.write_text(text.replace("CLIENT_ID", CLIENT_ID).replace("TENANT", TENANT), encoding="utf-8")
    data = folder / "data"
    data.mkdir()
    (data / "keys.json").write_text(json.dumps({"function": [OLD_KEY, NEW_KEY], "admin": "demo-admin-key"}))
    with Running(["--config", str(config), "--data", str(data)]) as found:
        yield found


def post(bridge: Running, body: object, *authorization: str) -> httpx.Response:
    url = f"{bridge.session['app']['url']}/api/secure/alerts"
    return bridge.http.post(url, json=body, headers=[("Authorization", value) for value in authorization])


@pytest.mark.parametrize("version", [1, 2])
def test_an_alert_with_a_good_token_becomes_a_ticket(bridge: Running, version: int) -> None:
    answer = post(bridge, Azure().metric(str(uuid4())), f"Bearer {token(claims(version))}")
    assert answer.status_code == 202, answer.text
    (item,) = answer.json()["items"]
    assert bridge.outcome(item["id"])["event"] == "signal_delivered"


def test_no_hostile_token_is_accepted_and_none_is_answered_with_500(bridge: Running) -> None:
    secrets: list[str] = []
    told: dict[int, set[str]] = {}
    for name, (make, status, check) in HOSTILE.items():
        header = make()
        if not header.isascii() or header != header.strip():
            continue  # no client sends it
        answer = post(bridge, {}, *([header] if header else []))
        # A server may refuse a header that is too large before the app sees it.
        # A key that is not known may be a new one, unless Entra was asked just now.
        accepted = {"size": (400, 401, 431), "key": (401, 503)}.get(check, (status,))
        assert answer.status_code in accepted, (name, answer.text)
        if answer.status_code in (401, 403):
            assert answer.headers["content-type"].startswith("application/problem+json")
            told.setdefault(answer.status_code, set()).add(answer.text)
            assert ("www-authenticate" in answer.headers) is (answer.status_code == 401)
        secrets += [part for part in header.removeprefix("Bearer ").split(".") if len(part) > 40]
    assert {status: len(texts) for status, texts in told.items()} == {401: 1, 403: 1}, "strangers are told little"
    log = "".join(bridge.lines)
    assert "token_refused" in log
    assert '"check": "audience"' in log
    assert not [secret for secret in secrets if secret in log]


def test_two_authorization_headers_are_refused(bridge: Running) -> None:
    assert post(bridge, {}, f"Bearer {token()}", f"Bearer {token()}").status_code == 401


def test_a_function_key_opens_no_secure_route_and_a_token_no_other(bridge: Running) -> None:
    app = bridge.session["app"]
    secure = f"{app['url']}/api/secure/alerts"
    assert (
        bridge.http.post(f"{secure}?code={NEW_KEY}", json={}, headers={"x-functions-key": OLD_KEY}).status_code == 401
    )
    plain = bridge.http.post(app["alerts_url"], json={}, headers={"Authorization": f"Bearer {token()}"})
    assert plain.status_code == 401


def test_what_a_good_caller_sends_is_checked_as_on_the_other_route(bridge: Running) -> None:
    url = f"{bridge.session['app']['url']}/api/secure/alerts"
    good = {"Authorization": f"Bearer {token()}"}
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"[" * 100, "application/json", 400),
        (b"[" * 65 + b"]" * 65, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}" + b" " * 1024 * 1024, "application/json", 413),
    ):
        answer = bridge.http.post(url, content=body, headers={**good, "Content-Type": kind})
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("route", ["alerts", "secure/alerts"])
def test_an_alert_of_another_subscription_is_taken_in_and_kept_in_quarantine(bridge: Running, route: str) -> None:
    body = json.dumps(Azure().metric(str(uuid4()))).replace(SUBSCRIPTION, OTHER_TENANT).encode()
    headers = {"Authorization": f"Bearer {token()}", "x-functions-key": NEW_KEY, "Content-Type": "application/json"}
    answer = bridge.http.post(f"{bridge.session['app']['url']}/api/{route}", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    (item,) = answer.json()["items"]
    event = bridge.outcome(item["id"])
    assert event["event"] == "signal_quarantined"
    assert event["reason"] == f"accept_only.subscriptions does not allow '{OTHER_TENANT}'"


def test_a_token_of_another_tenant_is_told_no_more_than_any_other(bridge: Running) -> None:
    told = {
        post(bridge, {}, f"Bearer {token(content)}").text
        for content in (claims(tenant=OTHER_TENANT), claims(aud="api://another"), claims(exp=1))
    }
    assert len(told) == 1


@pytest.mark.parametrize("key", [OLD_KEY, NEW_KEY])
def test_both_function_keys_open_while_they_rotate(bridge: Running, key: str) -> None:
    app = bridge.session["app"]
    assert bridge.http.post(app["preview_url"], json=[], headers={"x-functions-key": key}).status_code == 200
    assert bridge.http.post(f"{app['preview_url']}?code={key}", json=[]).status_code == 200


def test_the_old_function_key_opens_nothing_once_it_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"function": [OLD_KEY, NEW_KEY], "admin": "demo-admin-key"}))
    keys = make_keys([], None, file)
    assert (keys.open("function", OLD_KEY), keys.open("function", NEW_KEY)) == (True, True)
    file.write_text(json.dumps({"function": [NEW_KEY], "admin": "demo-admin-key"}))
    keys = make_keys([], None, file)
    assert (keys.open("function", OLD_KEY), keys.open("function", NEW_KEY)) == (False, True)
    assert not Keys((NEW_KEY,), "demo-admin-key").open("function", "")
