"""OAuth: tokens are shared, renewed in time, and bought again when they die."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.servicenow import ServiceNow, ServiceNowSettings
from connectors.servicenow.auth.credentials import CredentialSecrets, Redactor
from connectors.servicenow.auth.grants import ClientCredentials
from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.settings import OAuthClientCredentials
from connectors.servicenow.wire import ServiceNowReply
from shared.core.errors import NotAuthorised, NotSent, Throttled, TicketSystemError, Unavailable
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import TicketKind
from tests.servicenow_connector.conftest import SETTINGS, Connect
from tests.servicenow_connector.scripted import (
    HANG_UP,
    HIBERNATING,
    Asked,
    Instance,
    Say,
    not_authenticated,
    page,
    result,
    token,
)

ID = "0123456789abcdef0123456789abcdef"
FOUND = result({"sys_id": ID, "correlation_id": "alert:1:a", "state": "1", "active": "true"})
CLIENT: dict[str, Any] = {
    "type": "oauth_client_credentials",
    "client_id": "bridge-client",
    "client_secret": {"secret": "demo-client-secret"},
}
PASSWORD: dict[str, Any] = {
    **CLIENT,
    "type": "oauth_password",
    "username": "azure.bridge",
    "password": {"secret": "demo-password"},
}
DENIED = Say(401, '{"error":"server_error","error_description":"access_denied"}')


class Issuer:
    """A token endpoint and an API behind it. Knows which tokens live."""

    def __init__(self, expires_in: int = 1799) -> None:
        self.expires_in = expires_in
        self.alive: set[str] = set()
        self.forms: list[dict[str, str]] = []
        self.revoked: list[str] = []
        self.refresh_token: str | None = None
        self.refresh_alive = True
        self.accepts: Callable[[Mapping[str, str]], bool] = lambda form: True

    def __call__(self, asked: Asked) -> Say:
        if asked.path == "/oauth_token.do":
            return self._issue(asked.form)
        if asked.path == "/oauth_revoke_token.do":
            self.revoked.append(asked.query["token"])
            return Say(200)
        known = asked.headers.get("Authorization", "").removeprefix("Bearer ") in self.alive
        return FOUND if known else not_authenticated()

    def _issue(self, form: dict[str, str]) -> Say:
        self.forms.append(form)
        if form["grant_type"] == "refresh_token":
            if not (self.refresh_alive and form["refresh_token"] == self.refresh_token):
                return DENIED
        elif not self.accepts(form):
            return DENIED
        access = f"demo-access-{len(self.forms)}"
        self.alive.add(access)
        return token(access, self.expires_in, self.refresh_token)


async def look(connector: ServiceNow) -> None:
    assert await connector.find(TicketKind.INCIDENT, ID, "alert:1:a") is not None


async def test_one_token_serves_all_calls_at_once(instance: Instance, connect: Connect) -> None:
    issuer = instance.handler = Issuer()
    connector = connect(auth=CLIENT)
    await asyncio.gather(*(look(connector) for _ in range(8)))
    assert len(issuer.forms) == 1
    assert Counter(asked.method for asked in instance.asked) == {"POST": 1, "GET": 8}


async def test_client_credentials_form(instance: Instance, connect: Connect) -> None:
    issuer = instance.handler = Issuer()
    await look(connect(auth={**CLIENT, "scope": "useraccount"}))
    assert issuer.forms == [
        {
            "grant_type": "client_credentials",
            "client_id": "bridge-client",
            "client_secret": "demo-client-secret",
            "scope": "useraccount",
        }
    ]
    assert instance.asked[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert instance.asked[0].query == {}


async def test_password_form(instance: Instance, connect: Connect) -> None:
    issuer = instance.handler = Issuer()
    await look(connect(auth=PASSWORD, secrets={**SETTINGS, "DEMO_PASSWORD": "p&ss=w+rd ü"}))
    assert issuer.forms == [
        {
            "grant_type": "password",
            "client_id": "bridge-client",
            "client_secret": "demo-client-secret",
            "username": "azure.bridge",
            "password": "p&ss=w+rd ü",
        }
    ]


async def test_a_token_about_to_end_is_refreshed_first(instance: Instance, connect: Connect) -> None:
    issuer = instance.handler = Issuer(expires_in=0)
    issuer.refresh_token = "demo-refresh"
    connector = connect(auth=PASSWORD)
    await look(connector)
    await look(connector)
    assert [form["grant_type"] for form in issuer.forms] == ["password", "refresh_token"]
    assert issuer.forms[1] == {
        "grant_type": "refresh_token",
        "client_id": "bridge-client",
        "client_secret": "demo-client-secret",
        "refresh_token": "demo-refresh",
    }


async def test_a_dead_refresh_token_gives_way_to_the_password(instance: Instance, connect: Connect) -> None:
    issuer = instance.handler = Issuer(expires_in=0)
    issuer.refresh_token = "demo-refresh"
    connector = connect(auth=PASSWORD)
    await look(connector)
    issuer.refresh_alive = False
    await look(connector)
    assert [form["grant_type"] for form in issuer.forms] == ["password", "refresh_token", "password"]


async def test_a_refresh_that_fails_for_now_does_not_log_in_anew(instance: Instance, connect: Connect) -> None:
    instance.says(token("demo-access", 0, "demo-refresh"), FOUND, page("<html>busy</html>", 503))
    connector = connect(auth=PASSWORD)
    await look(connector)
    with pytest.raises(Unavailable):
        await look(connector)
    assert instance.asked[2].form["grant_type"] == "refresh_token"


async def test_a_refused_token_is_renewed_once_however_many_calls_meet_the_refusal(
    instance: Instance, connect: Connect
) -> None:
    issuer = instance.handler = Issuer()
    connector = connect(auth=CLIENT, max_in_flight=8)
    await look(connector)
    issuer.alive.clear()
    await asyncio.gather(*(look(connector) for _ in range(8)))
    assert len(issuer.forms) == 2


async def test_a_refused_token_is_renewed_by_the_refresh_token_while_that_lives(
    instance: Instance, connect: Connect
) -> None:
    issuer = instance.handler = Issuer()
    issuer.refresh_token = "demo-refresh"
    connector = connect(auth=PASSWORD)
    await look(connector)
    issuer.alive.clear()
    await look(connector)
    assert [form["grant_type"] for form in issuer.forms] == ["password", "refresh_token"]
    assert issuer.revoked == []


async def test_a_second_refusal_is_final(instance: Instance, connect: Connect) -> None:
    issuer = Issuer()
    instance.handler = lambda asked: issuer(asked) if asked.path == "/oauth_token.do" else not_authenticated()
    with pytest.raises(NotAuthorised):
        await look(connect(auth=CLIENT))
    assert len(issuer.forms) == 2
    assert len(instance.asked) == 4


class Rotating(SettingSecrets):
    """A source with a cache: it gives the old values until it is asked to read anew."""

    def __init__(self) -> None:
        super().__init__(dict(SETTINGS))
        self.latest = dict(SETTINGS)

    async def get(self, name: str, *, refresh: bool = False) -> str:
        if refresh:
            self._settings = dict(self.latest)
        return await super().get(name)


async def test_when_secrets_were_rotated_the_old_tokens_are_revoked_and_the_new_secrets_used(
    instance: Instance,
) -> None:
    issuer = instance.handler = Issuer()
    issuer.refresh_token = "demo-refresh"
    secrets = Rotating()
    settings = ServiceNowSettings.model_validate({"type": "servicenow", "url": instance.url, "auth": PASSWORD})
    connector = ServiceNow("contoso", settings, secrets)
    await look(connector)
    issuer.alive.clear()
    issuer.refresh_token = "demo-refresh-2"
    secrets.latest["DEMO_PASSWORD"] = "demo-password-2"
    await look(connector)
    assert issuer.revoked == ["demo-refresh", "demo-access-1"]
    assert [form.get("password") for form in issuer.forms] == ["demo-password", "demo-password-2"]
    await connector.aclose()


async def test_secrets_that_rotate_quietly_cost_the_old_tokens_too_but_not_what_is_given_again(
    instance: Instance,
) -> None:
    """The instance gives a refresh token again that it gave before: that one must live on."""
    issuer = instance.handler = Issuer(expires_in=0)
    issuer.refresh_token = "demo-refresh"
    secrets = Rotating()
    settings = ServiceNowSettings.model_validate({"type": "servicenow", "url": instance.url, "auth": PASSWORD})
    connector = ServiceNow("contoso", settings, secrets)
    await look(connector)
    secrets.latest["DEMO_PASSWORD"] = "demo-password-2"
    await secrets.get("demo-password", refresh=True)  # the source's own cache ran out
    await look(connector)
    assert [form["grant_type"] for form in issuer.forms] == ["password", "password"]
    assert issuer.revoked == ["demo-access-1"]
    await connector.aclose()


async def test_new_secrets_that_are_not_valid_yet_do_not_cost_the_old_tokens(instance: Instance) -> None:
    issuer = instance.handler = Issuer(expires_in=0)
    issuer.refresh_token = "demo-refresh"
    secrets = Rotating()
    settings = ServiceNowSettings.model_validate({"type": "servicenow", "url": instance.url, "auth": PASSWORD})
    connector = ServiceNow("contoso", settings, secrets)
    await look(connector)
    secrets.latest["DEMO_PASSWORD"] = "demo-password-2"
    await secrets.get("demo-password", refresh=True)
    issuer.accepts = lambda form: form["password"] == "demo-password"
    with pytest.raises(NotAuthorised):
        await look(connector)
    assert issuer.revoked == []
    secrets.latest["DEMO_PASSWORD"] = "demo-password"
    await look(connector)
    await connector.aclose()


async def test_secrets_rotated_before_the_first_login_are_read_anew(instance: Instance) -> None:
    issuer = instance.handler = Issuer()
    issuer.accepts = lambda form: form["client_secret"] == "demo-client-secret-2"
    secrets = Rotating()
    secrets.latest["DEMO_CLIENT_SECRET"] = "demo-client-secret-2"
    settings = ServiceNowSettings.model_validate({"type": "servicenow", "url": instance.url, "auth": CLIENT})
    connector = ServiceNow("contoso", settings, secrets)
    await look(connector)
    assert [form["client_secret"] for form in issuer.forms] == ["demo-client-secret", "demo-client-secret-2"]
    await connector.aclose()


async def test_wrong_secrets_that_stay_wrong_are_tried_once(instance: Instance, connect: Connect) -> None:
    issuer = instance.handler = Issuer()
    issuer.accepts = lambda form: False
    with pytest.raises(NotAuthorised):
        await look(connect(auth=CLIENT))
    assert len(issuer.forms) == 1


@pytest.mark.parametrize("answer", [HANG_UP, page("<html>no</html>", 500)])
async def test_a_revocation_that_fails_is_logged_and_no_more(
    instance: Instance, connect: Connect, answer: Say, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(expires_in=0)
    asked: list[str] = []

    def handler(request: Asked) -> Say:
        asked.append(request.path)
        return answer if request.path == "/oauth_revoke_token.do" else issuer(request)

    instance.handler = handler
    secrets = dict(SETTINGS)
    connector = connect(auth=CLIENT, secrets=secrets)
    await look(connector)
    secrets["DEMO_CLIENT_SECRET"] = "demo-client-secret-2"
    await look(connector)
    assert asked.count("/oauth_revoke_token.do") == 1
    assert "could not be revoked" in caplog.text


@pytest.mark.parametrize(
    ("auth", "cause"),
    [
        (CLIENT, "client.credential.grant_type.enabled"),
        (PASSWORD, "ropc.grant_type.disabled"),
    ],
)
async def test_the_one_error_of_the_token_endpoint_lists_its_many_causes(
    instance: Instance, connect: Connect, auth: dict[str, Any], cause: str
) -> None:
    instance.handler = lambda asked: DENIED
    with pytest.raises(NotAuthorised) as caught:
        await look(connect(auth=auth))
    for part in (cause, "client id and secret", "locked out", "password reset", "scope"):
        assert part in caught.value.advice
    assert caught.value.upstream == "server_error: access_denied"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (DENIED, NotAuthorised),
        (Say(400, '{"error":"invalid_request"}'), NotAuthorised),
        (Say(401, '{"error":"invalid_grant","error_description":"User not found"}'), NotAuthorised),
        (Say(200, '{"error":"server_error"}'), NotAuthorised),
        (page("<html>denied</html>", 403), NotAuthorised),
        (page(HIBERNATING), Unavailable),
        (page("<html>Log in</html>"), Unavailable),
        (page("<html>not found</html>", 404), Unavailable),
        (Say(302, headers={"Location": "https://developer.servicenow.com/"}), Unavailable),
        (Say(200, '{"access_token":"", "expires_in": 5}'), Unavailable),
        (Say(200, '{"access_token":"demo\\ntoken"}'), Unavailable),
        (Say(200, "[]"), Unavailable),
        (Say(200, '{"access_token":"demo-cut'), Unavailable),
        (page("<html>busy</html>", 503), Unavailable),
        (Say(500, '{"error":"server_error"}'), Unavailable),
        (Say(429, headers={"Retry-After": "7"}), Throttled),
        (HANG_UP, Unavailable),
    ],
)
async def test_what_an_answer_of_the_token_endpoint_means(
    instance: Instance, connect: Connect, answer: Say, expected: type[TicketSystemError]
) -> None:
    """None of them ever leaves the outcome of the call open: it was not sent."""
    instance.handler = lambda asked: answer
    with pytest.raises(TicketSystemError) as caught:
        await look(connect(auth=CLIENT))
    assert type(caught.value) is expected
    assert not caught.value.applied
    if expected is Throttled:
        assert caught.value.retry_after == 7.0
    assert {asked.path for asked in instance.asked} == {"/oauth_token.do"}


class Told:
    """An endpoint that gives tokens of the lives it is told."""

    def __init__(self, *lives: object) -> None:
        self.lives = list(lives)
        self.asked = 0

    async def token(self, form: Mapping[str, str]) -> ServiceNowReply:
        life = self.lives[self.asked]
        self.asked += 1
        body = f'{{"access_token": "demo-{self.asked}", "expires_in": {life}}}'
        return ServiceNowReply(200, {"content-type": "application/json"}, body.encode())

    async def revoke(self, token: str) -> ServiceNowReply:
        raise AssertionError("nothing is revoked here")


@pytest.mark.parametrize(
    ("life", "renewed_at"),
    [(1800, 1740), (600, 540), (100, 90), ('"1800"', 1740), ("null", 270), ('"soon"', 270), ("NaN", 270), (-5, 0)],
)
async def test_a_token_is_renewed_a_minute_or_a_tenth_of_its_life_before_it_ends(
    life: object, renewed_at: float
) -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    settings = OAuthClientCredentials.model_validate(CLIENT)
    secrets = CredentialSecrets(SettingSecrets(SETTINGS), Redactor(), "contoso")
    endpoint = Told(life, 1800)
    oauth = OAuthCredential(ClientCredentials(settings, secrets), secrets, now=lambda: now)
    await oauth.authenticate(endpoint)
    if renewed_at:
        now += timedelta(seconds=renewed_at - 1)
        await oauth.authenticate(endpoint)
        assert endpoint.asked == 1
        now += timedelta(seconds=1)
    assert (await oauth.authenticate(endpoint)).headers["Authorization"] == "Bearer demo-2"


async def test_a_secret_source_that_fails_means_that_nothing_was_sent(instance: Instance, connect: Connect) -> None:
    with pytest.raises(NotSent, match="demo-client-secret"):
        await look(connect(auth=CLIENT, secrets={"OTHER": "x"}))
    assert instance.asked == []
