"""Entra ID as its protocol describes it: errors, claims, documents, keys, tokens to order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from jwt import PyJWKSet

from local.azure import Simulator
from local.azure.entra.jws import encode
from tests.azure_simulator.support import ARM, GRAPH, Control, body, refusal

WEBHOOK_CALLER = "461e8683-5575-4561-ac7f-899cc907d62a"


def ask(client: httpx.Client, clouds: Simulator, tenant: str | None = None, **changes: str | None) -> httpx.Response:
    """A token request, with changes; None removes."""
    form = {
        "grant_type": "client_credentials",
        "client_id": clouds.client_id,
        "client_secret": clouds.client_secret,
        "scope": ARM,
    } | changes
    path = f"/{tenant or clouds.tenant_id}/oauth2/v2.0/token"
    return client.post(path, data={name: value for name, value in form.items() if value is not None})


def failed(answer: httpx.Response) -> tuple[int, str, int]:
    error = answer.json()
    assert f"AADSTS{error['error_codes'][0]}:" in error["error_description"]
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= error.keys()
    return answer.status_code, error["error"], error["error_codes"][0]


def checked(token: str, key_set: dict[str, Any], audience: str) -> dict[str, Any]:
    """Claims of a token that the published keys verify."""
    kid = jwt.get_unverified_header(token)["kid"]
    return dict(jwt.decode(token, PyJWKSet.from_dict(key_set)[kid], algorithms=["RS256"], audience=audience))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": "7d3ff5a5-0000-0000-0000-000000000000"}, (400, "unauthorized_client", 700016)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"scope": None}, (400, "invalid_request", 900144)),
        ({"scope": "https://management.azure.com/user_impersonation"}, (400, "invalid_scope", 1002012)),
        ({"scope": f"{ARM} {GRAPH}"}, (400, "invalid_scope", 70011)),
        ({"scope": "https://unknown.contoso.example/.default"}, (400, "invalid_resource", 500011)),
        ({"tenant": "11111111-2222-3333-4444-555555555555"}, (400, "invalid_request", 90002)),
        ({"tenant": "nowhere"}, (400, "invalid_request", 900023)),
        ({"tenant": "common"}, (400, "invalid_request", 50059)),
    ],
)
def test_every_wrong_request_has_its_own_error(
    anonymous: httpx.Client, clouds: Simulator, changes: dict[str, str | None], expected: tuple[int, str, int]
) -> None:
    assert failed(ask(anonymous, clouds, **changes)) == expected


def test_an_expired_secret_says_so(anonymous: httpx.Client, clouds: Simulator, control: Control) -> None:
    lapsed = {"client_id": clouds.lapsed_client_id, "client_secret": clouds.lapsed_client_secret}
    assert failed(ask(anonymous, clouds, **lapsed)) == (401, "invalid_client", 7000222)
    later = [{"value": "next-demo-secret", "expires": "2020-01-01T00:00:00Z"}, {"value": "newest-demo-secret"}]
    control.post("/identities", identity="bridge", secrets=later)
    assert failed(ask(anonymous, clouds)) == (401, "invalid_client", 7000215)
    assert failed(ask(anonymous, clouds, client_secret="next-demo-secret"))[2] == 7000222
    assert ask(anonymous, clouds, client_secret="newest-demo-secret").status_code == 200


def test_the_tenant_may_be_named_by_its_domain(anonymous: httpx.Client, clouds: Simulator) -> None:
    answer = body(ask(anonymous, clouds, tenant="fabrikam.example"))
    assert (answer["token_type"], answer["expires_in"], answer["ext_expires_in"]) == ("Bearer", 3599, 3599)
    assert jwt.decode(answer["access_token"], options={"verify_signature": False})["tid"] == clouds.other_tenant_id


def test_the_secret_may_come_by_http_basic(anonymous: httpx.Client, clouds: Simulator) -> None:
    form = {"grant_type": "client_credentials", "scope": ARM}
    path, credentials = f"/{clouds.tenant_id}/oauth2/v2.0/token", (clouds.client_id, clouds.client_secret)
    assert "access_token" in body(anonymous.post(path, data=form, auth=credentials))


def test_the_v1_endpoint_takes_a_resource_and_answers_with_texts(anonymous: httpx.Client, clouds: Simulator) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": clouds.client_id,
        "client_secret": clouds.client_secret,
        "resource": "https://management.core.windows.net/",
    }
    answer = body(anonymous.post(f"/{clouds.tenant_id}/oauth2/token", data=form))
    assert (answer["expires_in"], answer["resource"]) == ("3599", "https://management.core.windows.net/")
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["aud"] == "https://management.core.windows.net/"
    assert int(answer["expires_on"]) == claims["exp"]
    call = anonymous.get(
        "/subscriptions",
        params={"api-version": "2022-12-01"},
        headers={"Authorization": f"Bearer {answer['access_token']}"},
    )
    assert call.status_code == 200


def test_a_double_slash_before_default_stays_in_the_audience(anonymous: httpx.Client, clouds: Simulator) -> None:
    answer = body(ask(anonymous, clouds, scope="https://management.azure.com//.default"))
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["aud"] == "https://management.azure.com/"


def test_published_keys_verify_tokens_of_both_versions(
    anonymous: httpx.Client, clouds: Simulator, control: Control
) -> None:
    app_id = clouds.webhook_resource.removeprefix("api://")
    tenant = clouds.tenant_id
    expected = {
        1: (clouds.webhook_resource, f"https://sts.windows.net/{tenant}/", "1.0", "appid"),
        2: (app_id, f"https://login.microsoftonline.com/{tenant}/v2.0", "2.0", "azp"),
    }
    for version, (audience, issuer, ver, caller) in expected.items():
        control.set(webhook_token_version=version)
        token = body(ask(anonymous, clouds, scope=f"{clouds.webhook_resource}/.default"))["access_token"]
        middle = "v2.0/" if version == 2 else ""
        document = body(anonymous.get(f"/{tenant}/{middle}.well-known/openid-configuration"))
        claims = checked(token, body(anonymous.get(document["jwks_uri"])), audience)
        assert (claims["iss"], claims["ver"], claims[caller]) == (issuer, ver, clouds.client_id)
        assert document["issuer"] == issuer
        assert document["token_endpoint"].startswith(clouds.https_url)


def test_documents_of_an_unknown_tenant_are_refused(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration")
    assert failed(answer) == (400, "invalid_tenant", 90002)
    common = body(anonymous.get("/common/v2.0/.well-known/openid-configuration"))
    assert common["issuer"] == "https://login.microsoftonline.com/{tenantid}/v2.0"


def test_keys_roll_without_notice(anonymous: httpx.Client, clouds: Simulator, control: Control) -> None:
    path = f"/{clouds.tenant_id}/discovery/v2.0/keys"
    (before,) = body(anonymous.get(path))["keys"]
    control.post("/keys", rotate=True)
    token = body(ask(anonymous, clouds))["access_token"]
    assert jwt.get_unverified_header(token)["kid"] != before["kid"]
    assert len(body(anonymous.get(path))["keys"]) == 2
    control.post("/keys", kid=before["kid"], published=False)
    (after,) = body(anonymous.get(path))["keys"]
    assert checked(token, {"keys": [after]}, "https://management.azure.com")
    control.post("/keys", rotate=True, publish=False)
    hidden = jwt.get_unverified_header(body(ask(anonymous, clouds))["access_token"])["kid"]
    assert hidden not in {key["kid"] for key in body(anonymous.get(path))["keys"]}


def test_tokens_to_order_are_those_of_action_groups_unless_said_otherwise(
    anonymous: httpx.Client, clouds: Simulator, control: Control
) -> None:
    keys = body(anonymous.get(f"/{clouds.tenant_id}/discovery/keys"))
    good = control.post("/tokens", version=2)
    claims = checked(good["token"], keys, clouds.webhook_resource.removeprefix("api://"))
    assert (claims["azp"], claims["roles"]) == (WEBHOOK_CALLER, ["ActionGroupsSecureWebhook"])
    changed = control.post("/tokens", claims={"roles": None, "appid": "someone"}, header={"kid": "replayed"})
    assert "roles" not in changed["claims"]
    assert changed["header"]["kid"] == "replayed"


def test_tokens_to_order_can_be_every_kind_of_forgery(
    anonymous: httpx.Client, clouds: Simulator, control: Control
) -> None:
    keys = body(anonymous.get(f"/{clouds.tenant_id}/discovery/keys"))
    stranger = control.post("/tokens", key="stranger", header={"kid": keys["keys"][0]["kid"]})
    with pytest.raises(jwt.InvalidSignatureError):
        checked(stranger["token"], keys, clouds.webhook_resource)
    unsigned = control.post("/tokens", alg="none")["token"]
    assert unsigned.endswith(".")
    confused = control.post("/tokens", alg="HS256")["token"]
    for token in (unsigned, confused):
        with pytest.raises(jwt.InvalidAlgorithmError):
            checked(token, keys, clouds.webhook_resource)
    expired = control.post("/tokens", claims={"exp": 1_600_000_000})["token"]
    with pytest.raises(jwt.ExpiredSignatureError):
        checked(expired, keys, clouds.webhook_resource)
    assert "alg: one of" in control.refused("POST", "/tokens", alg="XX256")
    assert "someone" in control.refused("POST", "/tokens", 404, identity="someone")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "https://login.microsoftonline.com/{tenant}/v2.0"}, 0),
        ({"aud": "https://elsewhere.example/{tenant}/v2.0"}, 700023),
        ({"aud": "https://login.microsoftonline.com/common/v2.0"}, 700023),
        ({"exp": 1_600_000_000}, 700024),
        ({"sub": "someone"}, 700021),
        ({"signature": "spoilt"}, 700027),
        ({"thumbprint": "AAAA"}, 700027),
        ({"assertion": "not.a.token"}, 50027),
    ],
)
def test_client_assertions_are_really_checked(
    anonymous: httpx.Client, clouds: Simulator, control: Control, changes: dict[str, Any], code: int
) -> None:
    pem = Path(clouds.certificate_file).read_bytes()
    thumbprint = encode(x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()))
    now = int(control.get("/clock")["timestamp"])
    claims = {
        "iss": clouds.client_id,
        "sub": changes.get("sub", clouds.client_id),
        "aud": changes.get("aud", f"{clouds.https_url}/{{tenant}}/oauth2/v2.0/token").format(tenant=clouds.tenant_id),
        "nbf": now,
        "exp": changes.get("exp", now + 300),
        "jti": "1",
    }
    header = {"x5t#S256": changes.get("thumbprint", thumbprint)}
    assertion = changes.get("assertion") or jwt.encode(claims, pem, algorithm="PS256", headers=header)
    if "signature" in changes:
        assertion = assertion[:-20] + "A" * 20
    answer = ask(
        anonymous,
        clouds,
        client_secret=None,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion=assertion,
    )
    assert answer.status_code == 200 if not code else failed(answer) == (401, "invalid_client", code)


def test_the_token_endpoint_can_be_made_to_fail(anonymous: httpx.Client, clouds: Simulator, control: Control) -> None:
    control.order("throttle", match={"operation": "token"}, times=1, retry_after=7)
    answer = ask(anonymous, clouds)
    assert failed(answer) == (429, "temporarily_unavailable", 90055)
    assert answer.headers["Retry-After"] == "7"
    control.order("reject_credentials", times=1)
    assert failed(ask(anonymous, clouds)) == (401, "invalid_client", 7000215)
    control.order("fail", match={"service": "entra"}, times=1, html=True)
    assert ask(anonymous, clouds).headers["Content-Type"].startswith("text/html")
    assert ask(anonymous, clouds).status_code == 200


def test_secrets_and_assertions_stay_out_of_the_request_log(
    anonymous: httpx.Client, clouds: Simulator, control: Control
) -> None:
    ask(anonymous, clouds, client_assertion="a-long-assertion")
    logged = str(control.get("/requests"))
    assert clouds.client_secret not in logged
    assert "a-long-assertion" not in logged
    assert "grant_type=client_credentials" in logged


def test_shown_tokens_are_checked_by_everyone(anonymous: httpx.Client, clouds: Simulator, control: Control) -> None:
    def call(token: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return anonymous.get("/subscriptions", params={"api-version": "2022-12-01"}, headers=headers)

    missing = call(None)
    assert refusal(missing, 401) == "AuthenticationFailed"
    assert missing.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert refusal(call(body(ask(anonymous, clouds, scope=GRAPH))["access_token"]), 401) == (
        "InvalidAuthenticationTokenAudience"
    )
    order = {"identity": "bridge", "resource": "https://management.azure.com"}
    assert call(control.post("/tokens", **order)["token"]).status_code == 200
    for forgery in (
        {"alg": "none"},
        {"alg": "PS256"},
        {"key": "stranger"},
        {"claims": {"iss": "https://elsewhere.example/"}},
    ):
        assert refusal(call(control.post("/tokens", **order, **forgery)["token"]), 401) == "InvalidAuthenticationToken"
    token = body(ask(anonymous, clouds))["access_token"]
    control.post("/clock", advance=3600)
    assert refusal(call(token), 401) == "ExpiredAuthenticationToken"
    token = body(ask(anonymous, clouds))["access_token"]
    control.order("expire_tokens")
    assert refusal(call(token), 401) == "ExpiredAuthenticationToken"
