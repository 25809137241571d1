"""Signing in: the OAuth grants, basic, API keys, certificates, one-time codes, and the gates behind them."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, Control, create, error, result

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DENIED = {"error": "server_error", "error_description": "access_denied"}


def ask_token(simulator: Simulator, **form: str) -> httpx.Response:
    client = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    return support.post(f"{simulator.url}/oauth_token.do", data=client | form)


def token(simulator: Simulator, **form: str) -> dict[str, Any]:
    answer = ask_token(simulator, **form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def password_form(simulator: Simulator) -> dict[str, str]:
    return {
        "grant_type": "password",
        "username": simulator.integration_username,
        "password": simulator.integration_password,
    }


def call(simulator: Simulator, access_token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {access_token}"}
    return support.get(simulator.url + INCIDENTS, params={"sysparm_limit": "1"}, headers=headers)


def assertion(simulator: Simulator, **claims: Any) -> str:
    now = int(time.time())
    client = simulator.client_id
    content = {"iss": client, "aud": client, "sub": "azure.bridge", "iat": now, "exp": now + 60, "jti": str(now)}
    key = Path(simulator.jwt_key_file).read_text()
    return jwt.encode(content | claims, key, algorithm="RS256", headers={"kid": simulator.jwt_key_id})


def test_f1_password_grant_gives_the_documented_fields(simulator: Simulator) -> None:
    answer = token(simulator, **password_form(simulator))
    assert answer.keys() == {"access_token", "refresh_token", "scope", "token_type", "expires_in"}
    assert (answer["scope"], answer["token_type"], answer["expires_in"]) == ("useraccount", "Bearer", 1799)
    assert call(simulator, answer["access_token"]).status_code == 200


def test_f1_a_repeated_password_grant_gives_the_same_token_with_less_time_left(
    simulator: Simulator, control: Control
) -> None:
    first = token(simulator, **password_form(simulator))
    control.clock(advance=100)
    second = token(simulator, **password_form(simulator))
    assert second["access_token"] == first["access_token"]
    assert second["refresh_token"] == first["refresh_token"]
    assert first["expires_in"] - second["expires_in"] == pytest.approx(100, abs=2)


def test_f1_refreshing_keeps_the_refresh_token_and_does_not_move_its_end(
    simulator: Simulator, control: Control
) -> None:
    first = token(simulator, **password_form(simulator))
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    control.clock(advance=8_640_000 - 600)
    second = token(simulator, **refresh)
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] == first["refresh_token"]
    control.clock(advance=700)
    assert ask_token(simulator, **refresh).json() == DENIED


def test_f1_the_switch_makes_refresh_tokens_rotate(simulator: Simulator, control: Control) -> None:
    control.set(refresh_rotates=True)
    first = token(simulator, **password_form(simulator))
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert token(simulator, **refresh)["refresh_token"] != first["refresh_token"]
    assert ask_token(simulator, **refresh).status_code == 401


def test_f1_client_credentials_act_as_the_application_user_without_refresh_token(simulator: Simulator) -> None:
    answer = token(simulator, grant_type="client_credentials")
    assert "refresh_token" not in answer
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    made = result(support.post(simulator.url + INCIDENTS, json={}, headers=headers), 201)
    assert made["sys_created_by"] == "azure.bridge"


def test_f1_jwt_bearer_works_once_per_jti(simulator: Simulator) -> None:
    signed = assertion(simulator)
    answer = token(simulator, grant_type=JWT_GRANT, assertion=signed)
    assert "refresh_token" not in answer
    assert call(simulator, answer["access_token"]).status_code == 200
    replay = ask_token(simulator, grant_type=JWT_GRANT, assertion=signed)
    assert (replay.status_code, replay.json()) == (401, DENIED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "somebody-else"},
        {"iss": "somebody-else"},
        {"sub": "nobody.here"},
        {"exp": 1_600_000_000},
        {"iat": 4_000_000_000},
        {"jti": ""},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_f1_a_jwt_with_a_wrong_claim_is_refused(simulator: Simulator, wrong: dict[str, Any]) -> None:
    answer = ask_token(simulator, grant_type=JWT_GRANT, assertion=assertion(simulator, **wrong))
    assert (answer.status_code, answer.json()) == (401, DENIED)


def test_f1_a_jwt_within_the_clock_skew_is_taken(simulator: Simulator) -> None:
    late = int(time.time()) - 200
    assert token(simulator, grant_type=JWT_GRANT, assertion=assertion(simulator, exp=late, iat=late - 60))


def test_f1_client_id_and_secret_by_http_basic(simulator: Simulator) -> None:
    answer = support.post(
        f"{simulator.url}/oauth_token.do",
        data={"grant_type": "client_credentials"},
        auth=(simulator.client_id, simulator.client_secret),
    )
    assert answer.json()["access_token"]


def test_f1_every_failure_of_the_token_endpoint_looks_the_same(simulator: Simulator, control: Control) -> None:
    form = password_form(simulator)
    control.set_property("glide.oauth.inbound.client.credential.grant_type.enabled", "true")
    failures = [
        ask_token(simulator, **form | {"password": "wrong"}),
        ask_token(simulator, **form | {"client_secret": "wrong"}),
        ask_token(simulator, **form | {"client_id": "unknown"}),
        ask_token(simulator, **form | {"username": "needs.reset", "password": "demo-needs.reset-password"}),
        ask_token(simulator, **form | {"username": "locked.out", "password": "demo-locked.out-password"}),
        ask_token(simulator, **form | {"username": "inactive.user", "password": "demo-inactive.user-password"}),
        ask_token(simulator, **form | {"scope": "everything"}),
        ask_token(simulator, grant_type="implicit"),
        ask_token(
            simulator,
            grant_type="client_credentials",
            client_id=simulator.userless_client_id,
            client_secret=simulator.userless_client_secret,
        ),
        support.post(f"{simulator.url}/oauth_token.do", json={"grant_type": "client_credentials"}),
    ]
    assert [answer.status_code for answer in failures] == [401] * len(failures)
    assert all(answer.json() == DENIED for answer in failures)
    assert all(answer.headers["Content-Type"].startswith("application/json") for answer in failures)


@pytest.mark.parametrize(
    ("name", "value", "grant"),
    [
        ("glide.oauth.inbound.client.credential.grant_type.enabled", False, "client_credentials"),
        ("glide.oauth.inbound.ropc.grant_type.disabled", True, "password"),
    ],
)
def test_f1_properties_switch_grants_off(
    simulator: Simulator, control: Control, name: str, value: bool, grant: str
) -> None:
    control.set_property(name, value)
    assert ask_token(simulator, **password_form(simulator) | {"grant_type": grant}).json() == DENIED


def test_f1_an_instance_that_tells_more(simulator: Simulator, control: Control) -> None:
    control.set(oauth_errors="specific")
    answer = ask_token(simulator, **password_form(simulator) | {"client_secret": "wrong"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    unknown = assertion(simulator, sub="nobody.here")
    answer = ask_token(simulator, grant_type=JWT_GRANT, assertion=unknown)
    assert answer.json() == {"error": "invalid_grant", "error_description": "User not found"}


def test_f1_the_reason_of_a_refusal_is_in_the_system_log(simulator: Simulator, admin: httpx.Client) -> None:
    ask_token(simulator, **password_form(simulator) | {"client_secret": "wrong"})
    rows = result(admin.get("/api/now/table/syslog", params={"sysparm_query": "messageLIKEOAuth"}))
    assert "wrong client secret" in rows[0]["message"]


def test_f2_without_credentials(simulator: Simulator) -> None:
    answer = support.get(simulator.url + INCIDENTS)
    assert error(answer, 401) == ("User Not Authenticated", "Required to provide Auth information")
    assert answer.headers["WWW-Authenticate"] == 'BASIC realm="Service-now"'
    assert answer.headers["X-Is-Logged-In"] == "false"


def test_f2_wording_and_challenge_of_newer_instances(simulator: Simulator, control: Control) -> None:
    control.set(unauthenticated_message="User is not authenticated", challenge='BEARER realm="Service-now"')
    answer = support.get(simulator.url + INCIDENTS)
    assert error(answer, 401)[0] == "User is not authenticated"
    assert answer.headers["WWW-Authenticate"] == 'BEARER realm="Service-now"'


@pytest.mark.parametrize("user", ["inactive.user", "locked.out", "needs.reset", "nobody"])
def test_f2_accounts_that_may_not_sign_in(simulator: Simulator, user: str) -> None:
    answer = support.get(simulator.url + INCIDENTS, auth=(user, f"demo-{user}-password"))
    assert error(answer, 401)[0] == "User Not Authenticated"


def test_f2_an_expired_token_gives_401_and_a_new_one_works(simulator: Simulator, control: Control) -> None:
    old = token(simulator, **password_form(simulator))["access_token"]
    control.clock(advance=1801)
    assert call(simulator, old).status_code == 401
    new = token(simulator, **password_form(simulator))["access_token"]
    assert new != old
    assert call(simulator, new).status_code == 200


def test_f2_a_revoked_token_gives_401(simulator: Simulator) -> None:
    access = token(simulator, **password_form(simulator))["access_token"]
    assert support.get(f"{simulator.url}/oauth_revoke_token.do", params={"token": access}).status_code == 200
    assert call(simulator, access).status_code == 401
    assert token(simulator, **password_form(simulator))["access_token"] != access


def test_f2_a_token_as_query_parameter_is_taken(simulator: Simulator, control: Control) -> None:
    access = token(simulator, grant_type="client_credentials")["access_token"]
    assert support.get(simulator.url + INCIDENTS, params={"access_token": access}).status_code == 200
    assert access not in str(control.get("/requests"))


def scoped_call(simulator: Simulator) -> httpx.Response:
    form = {"client_id": simulator.scoped_client_id, "client_secret": simulator.scoped_client_secret}
    return call(simulator, token(simulator, grant_type="client_credentials", **form)["access_token"])


def test_f21_a_securely_scoped_client_meets_the_scope_gate(simulator: Simulator) -> None:
    answer = scoped_call(simulator)
    assert error(answer, 403) == ("User Not Authorized", "Access to unscoped api is not allowed")
    assert answer.headers["X-Is-Logged-In"] == "true"


def test_f21_the_property_opens_the_gate(simulator: Simulator, control: Control) -> None:
    control.set_property("glide.security.oauth_allow_unscoped_clients", True)
    assert scoped_call(simulator).status_code == 200


def test_f21_the_scope_is_judged_when_the_call_comes(simulator: Simulator, admin: httpx.Client) -> None:
    form = {"client_id": simulator.scoped_client_id, "client_secret": simulator.scoped_client_secret}
    access = token(simulator, grant_type="client_credentials", **form)["access_token"]
    assert call(simulator, access).status_code == 403
    query = {"sysparm_query": f"client_id={simulator.scoped_client_id}"}
    client = result(admin.get("/api/now/table/oauth_entity", params=query))[0]
    change = {"scopes": "x_demo_scope"}
    admin.patch(f"/api/now/table/oauth_entity/{client['sys_id']}", json=change).raise_for_status()
    assert "Missing required api access scope" in str(error(call(simulator, access), 403)[1])
    change = {"scopes": "useraccount"}
    admin.patch(f"/api/now/table/oauth_entity/{client['sys_id']}", json=change).raise_for_status()
    assert call(simulator, access).status_code == 200


def test_f21_the_gate_is_not_for_basic_authentication(bridge: httpx.Client) -> None:
    assert bridge.get(INCIDENTS).status_code == 200


def test_f35_an_api_key_acts_as_its_user(simulator: Simulator) -> None:
    headers = {"x-sn-apikey": simulator.api_key}
    made = result(support.post(simulator.url + INCIDENTS, json={}, headers=headers), 201)
    assert made["sys_created_by"] == "azure.bridge"
    assert error(support.get(simulator.url + INCIDENTS, headers={"x-sn-apikey": "wrong"}), 401)


def test_f35_an_api_key_in_the_query_only_when_switched_on(simulator: Simulator, control: Control) -> None:
    params = {"x-sn-apikey": simulator.api_key}
    assert support.get(simulator.url + INCIDENTS, params=params).status_code == 401
    control.set(api_key_in_query=True)
    assert support.get(simulator.url + INCIDENTS, params=params).status_code == 200


def test_f35_a_client_certificate_signs_in_without_authorization_header(
    simulator: Simulator, tls: ssl.SSLContext
) -> None:
    tls.load_cert_chain(simulator.client_certificate, simulator.client_key)
    with httpx.Client(base_url=simulator.https_url, verify=tls) as client:
        assert create(client)["sys_created_by"] == "azure.bridge"


def test_f35_https_without_certificate_needs_other_credentials(simulator: Simulator, tls: ssl.SSLContext) -> None:
    with httpx.Client(base_url=simulator.https_url, verify=tls) as client:
        assert error(client.get(INCIDENTS), 401)


def test_f35_an_mfa_user_appends_the_code_to_the_password(simulator: Simulator, control: Control) -> None:
    user, password = "mfa.user", simulator.accounts["mfa.user"]
    refused = support.get(simulator.url + INCIDENTS, auth=(user, password))
    assert error(refused, 401)
    assert refused.headers["X-MFA_TOKEN"] == "invalid"
    assert support.get(simulator.url + INCIDENTS, auth=(user, password + "246810")).status_code == 200
    control.set(mfa_code="135791")
    assert support.get(simulator.url + INCIDENTS, auth=(user, password + "246810")).status_code == 401
    assert support.get(simulator.url + INCIDENTS, auth=(user, password + "135791")).status_code == 200


def test_f35_restricted_basic_authentication(simulator: Simulator, control: Control, bridge: httpx.Client) -> None:
    control.set_property("glide.authenticate.basic_auth.restriction.default_decision", "deny")
    person = ("interactive.user", simulator.accounts["interactive.user"])
    assert error(support.get(simulator.url + INCIDENTS, auth=person), 401)[0] == "User Not Authenticated"
    assert bridge.get(INCIDENTS).status_code == 200
