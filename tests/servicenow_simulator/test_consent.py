"""Authorisation code grant: the page on which a person allows access, and what the code is worth."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import Control, result

REDIRECT = "http://127.0.0.1:8400/"
VERIFIER = "demo-verifier-" * 4
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PERSON = "interactive.user"


@pytest.fixture
def browser(simulator: Simulator) -> Iterator[httpx.Client]:
    """Keeps cookies; follows redirects within the instance only when told."""
    with support.connect(simulator.url) as client:
        yield client


def asked(simulator: Simulator, **more: str) -> dict[str, str]:
    query = {"response_type": "code", "client_id": simulator.client_id, "redirect_uri": REDIRECT, "state": "xyz"}
    return query | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | more


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def log_in(browser: httpx.Client, page: httpx.Response, simulator: Simulator, user: str = PERSON) -> httpx.Response:
    """Fill in the log-in form to which a page led, and follow where it leads."""
    form = hidden(page.text) | {"user_name": user, "user_password": simulator.accounts[user]}
    return browser.post("/login.do", data=form, follow_redirects=True)


def choose(browser: httpx.Client, page: httpx.Response, choice: str) -> dict[str, str]:
    """Press a button of the consent page; the parameters with which the browser goes back to the application."""
    answer = browser.post("/oauth_auth.do", data=hidden(page.text) | {"choice": choice})
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(REDIRECT + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def redeem(simulator: Simulator, code: str, **more: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    client = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    return support.post(f"{simulator.url}/oauth_token.do", data=client | form | more)


def refreshed(simulator: Simulator, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    client = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    return support.post(f"{simulator.url}/oauth_token.do", data=client | form)


def tokens(browser: httpx.Client, simulator: Simulator) -> dict[str, Any]:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    code = choose(browser, log_in(browser, page, simulator), "allow")["code"]
    return dict(redeem(simulator, code).json())


def test_the_person_logs_in_and_allows_and_the_code_works_once(simulator: Simulator, browser: httpx.Client) -> None:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    assert "Log in" in page.text
    page = log_in(browser, page, simulator)
    assert f"({PERSON})" in page.text
    back = choose(browser, page, "allow")
    assert back["state"] == "xyz"
    issued = redeem(simulator, back["code"]).json()
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    query = {"sysparm_query": "sys_id=javascript:gs.getUserID()", "sysparm_fields": "user_name"}
    me = result(support.get(f"{simulator.url}/api/now/table/sys_user", params=query, headers=headers))
    assert me == [{"user_name": PERSON}]
    assert redeem(simulator, back["code"]).status_code == 401


def test_who_denies_sends_the_application_away(simulator: Simulator, browser: httpx.Client) -> None:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    back = choose(browser, log_in(browser, page, simulator), "deny")
    assert back == {"error": "access_denied", "state": "xyz"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "nobody"},
        {"redirect_uri": "http://127.0.0.1:9/"},
        {"redirect_uri": REDIRECT + "more"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
    ],
)
def test_a_wrong_request_leads_nowhere(simulator: Simulator, browser: httpx.Client, wrong: dict[str, str]) -> None:
    answer = browser.get("/oauth_auth.do", params=asked(simulator, **wrong))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.parametrize("wrong", [{"code_verifier": "another"}, {"redirect_uri": "https://contoso.example/callback"}])
def test_a_code_needs_its_verifier_and_its_redirect(
    simulator: Simulator, browser: httpx.Client, wrong: dict[str, str]
) -> None:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    code = choose(browser, log_in(browser, page, simulator), "allow")["code"]
    assert redeem(simulator, code, **wrong).status_code == 401


def test_a_form_of_another_session_is_refused(simulator: Simulator, browser: httpx.Client) -> None:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    form = hidden(log_in(browser, page, simulator).text) | {"choice": "allow", "sysparm_ck": "0" * 64}
    assert browser.post("/oauth_auth.do", data=form).status_code == 403


def test_not_you_leads_to_the_log_in_and_back_to_the_consent(simulator: Simulator, browser: httpx.Client) -> None:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    page = log_in(browser, page, simulator)
    found = re.search(r'id="not_you" href="([^"]+)"', page.text)
    assert found is not None
    page = browser.get(unescape(found[1]), follow_redirects=True)
    page = log_in(browser, page, simulator, "admin")
    assert "(admin)" in page.text
    assert choose(browser, page, "allow")["state"] == "xyz"


def test_an_account_for_web_services_cannot_consent(
    simulator: Simulator, browser: httpx.Client, admin: httpx.Client
) -> None:
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    page = log_in(browser, page, simulator, simulator.integration_username)
    assert page.status_code == 403
    assert "for web services only" in page.text


def test_single_sign_on_takes_the_person_at_the_machine_unless_she_goes_through_the_side_door(
    simulator: Simulator, browser: httpx.Client, control: Control
) -> None:
    control.set(sso_user="admin")
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    assert "(admin)" in page.text
    found = re.search(r'id="not_you" href="([^"]+)"', page.text)
    assert found is not None
    page = browser.get(unescape(found[1]), follow_redirects=True)
    assert "(interactive.user)" in log_in(browser, page, simulator).text


def test_single_sign_on_of_somebody_unknown_to_the_instance_fails(
    simulator: Simulator, browser: httpx.Client, control: Control
) -> None:
    control.set(sso_user="somebody.else")
    page = browser.get("/oauth_auth.do", params=asked(simulator), follow_redirects=True)
    assert (page.status_code, "User not found" in page.text) == (403, True)


def test_the_end_of_a_refresh_token_stays_unless_the_instance_moves_it(
    simulator: Simulator, browser: httpx.Client, control: Control
) -> None:
    refresh = tokens(browser, simulator)["refresh_token"]
    control.clock(advance=8_600_000)
    assert refreshed(simulator, refresh).json()["refresh_token"] == refresh
    control.clock(advance=100_000)
    assert refreshed(simulator, refresh).status_code == 401

    control.post("/reset")
    control.set(refresh_extends=True)
    browser.cookies.clear()
    refresh = tokens(browser, simulator)["refresh_token"]
    for _ in range(5):
        control.clock(advance=8_600_000)
        assert refreshed(simulator, refresh).status_code == 200


def test_a_rotated_refresh_token_lives_anew_and_the_old_one_for_its_grace(
    simulator: Simulator, browser: httpx.Client, control: Control
) -> None:
    control.set(refresh_rotates=True, rotation_grace_s=60.0)
    first = tokens(browser, simulator)["refresh_token"]
    control.clock(advance=8_600_000)
    second = refreshed(simulator, first).json()["refresh_token"]
    assert second != first
    assert refreshed(simulator, first).status_code == 200
    control.clock(advance=61)
    assert refreshed(simulator, first).status_code == 401


def test_a_revoked_refresh_token_is_dead(simulator: Simulator, browser: httpx.Client) -> None:
    refresh = tokens(browser, simulator)["refresh_token"]
    support.get(f"{simulator.url}/oauth_revoke_token.do", params={"token": refresh}).raise_for_status()
    assert refreshed(simulator, refresh).status_code == 401
