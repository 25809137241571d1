"""Tokens of Secure Webhook: what gets in, and everything that must not."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.core.clouds import CloudName
from shared.web.trust.gate import WebhookGate
from shared.web.trust.tokens import LONGEST, TokenDenied, bearer, unproven
from tests.trust.entra import (
    ACTION_GROUPS,
    AUDIENCE,
    CLIENT_ID,
    OTHER_TENANT,
    ROLE,
    TENANT,
    Entra,
    claims,
    jwk,
    public_pem,
    settings,
    token,
)

HOUR = 3600


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged(header: dict[str, Any], content: object = None, signature: str = "") -> str:
    """A token put together by hand."""
    return f"{part(header)}.{part(claims() if content is None else content)}.{signature}"


def keyed_with_the_public_key() -> str:
    """The classic: HS256, with the public key as its secret. The library refuses to make one, so by hand."""
    import hashlib
    import hmac

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'current'})}.{part(claims())}"
    digest = hmac.new(public_pem("current"), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{part(claims(roles=[ROLE, 'more']))}.{signature}"


def now() -> int:
    return int(time.time())


#: name: (Authorization header, status, check)
HOSTILE: dict[str, tuple[Callable[[], str], int, str]] = {
    "nothing": (lambda: "", 401, "header"),
    "only the scheme": (lambda: "Bearer", 401, "header"),
    "only the scheme and a blank": (lambda: "Bearer  ", 401, "header"),
    "another scheme": (lambda: "Basic YXp1cmU6YnJpZGdl", 401, "header"),
    "two headers joined": (lambda: f"Bearer {token()},Bearer {token()}", 401, "format"),
    "no token": (lambda: "Bearer garbage", 401, "format"),
    "dots": (lambda: "Bearer ..", 401, "format"),
    "two parts": (lambda: "Bearer " + ".".join(token().split(".")[:2]), 401, "format"),
    "five parts, as encrypted tokens have": (lambda: f"Bearer {token()}.x.y", 401, "format"),
    "not ASCII": (lambda: "Bearer ü.ü.ü", 401, "format"),
    "a lone surrogate": (lambda: "Bearer \ud800.a.b", 401, "format"),
    "a huge header": (lambda: "Bearer " + "A" * LONGEST, 401, "size"),
    "a header nested without end": (
        lambda: f"Bearer {base64.urlsafe_b64encode(b'[' * 3000).rstrip(b'=').decode()}.e30.x",
        401,
        "format",
    ),
    "claims nested without end": (
        lambda: f"Bearer {part({'alg': 'RS256'})}.{base64.urlsafe_b64encode(b'[' * 3000).decode().rstrip('=')}.x",
        401,
        "format",
    ),
    "claims that are a list": (lambda: f"Bearer {forged({'alg': 'RS256', 'kid': 'current'}, [1])}", 401, "format"),
    "a header that is a list": (lambda: f"Bearer {part([1])}.{part(claims())}.x", 401, "format"),
    "alg none": (lambda: f"Bearer {forged({'alg': 'none', 'kid': 'current'})}", 401, "algorithm"),
    "alg None in other letters": (lambda: f"Bearer {forged({'alg': 'nOnE', 'kid': 'current'})}", 401, "algorithm"),
    "alg none with a real signature": (
        lambda: f"Bearer {forged({'alg': 'none', 'kid': 'current'}, None, token().split('.')[2])}",
        401,
        "algorithm",
    ),
    "alg as a list": (lambda: f"Bearer {forged({'alg': ['RS256'], 'kid': 'current'})}", 401, "algorithm"),
    "no alg": (lambda: f"Bearer {forged({'kid': 'current'})}", 401, "algorithm"),
    "HS256 with the public key": (lambda: f"Bearer {keyed_with_the_public_key()}", 401, "algorithm"),
    "an extension that is critical": (lambda: f"Bearer {token(headers={'crit': ['exp'], 'exp': 1})}", 401, "format"),
    "signed by a stranger's key": (
        lambda: f"Bearer {token(signed_by='strange', headers={'kid': 'current'})}",
        401,
        "signature",
    ),
    "tampered with": (lambda: f"Bearer {tampered()}", 401, "signature"),
    "no signature": (lambda: f"Bearer {forged({'alg': 'RS256', 'kid': 'current'})}", 401, "signature"),
    "a key that Entra does not know": (lambda: f"Bearer {token(signed_by='strange')}", 401, "key"),
    "the key in the header, as jwk": (
        lambda: f"Bearer {token(signed_by='strange', headers={'jwk': jwk('strange')})}",
        401,
        "key",
    ),
    "keys at an address in the header (jku)": (
        lambda: f"Bearer {token(signed_by='strange', headers={'jku': 'https://keys.example/jwks'})}",
        401,
        "key",
    ),
    "a certificate at an address in the header (x5u)": (
        lambda: f"Bearer {token(signed_by='strange', headers={'kid': 'current', 'x5u': 'https://keys.example/c'})}",
        401,
        "signature",
    ),
    "a kid that climbs paths": (
        lambda: f"Bearer {token(signed_by='strange', headers={'kid': '../../common/discovery/keys'})}",
        401,
        "key",
    ),
    "a kid that is an address": (
        lambda: f"Bearer {token(signed_by='strange', headers={'kid': 'https://keys.example/'})}",
        401,
        "key",
    ),
    "a kid that is a number": (lambda: f"Bearer {forged({'alg': 'RS256', 'kid': 7})}", 401, "format"),
    "an empty kid": (lambda: f"Bearer {token(headers={'kid': ''})}", 401, "key"),
    "no kid": (lambda: f"Bearer {forged({'alg': 'RS256'})}", 401, "key"),
    "another tenant": (lambda: f"Bearer {token(claims(tenant=OTHER_TENANT))}", 401, "tenant"),
    "another tenant's issuer": (
        lambda: f"Bearer {token(claims(iss=f'https://login.microsoftonline.com/{OTHER_TENANT}/v2.0'))}",
        401,
        "issuer",
    ),
    "a tenant that climbs paths": (lambda: f"Bearer {token(claims(tid=f'{TENANT}/../common'))}", 401, "tenant"),
    "a tenant that is a list": (lambda: f"Bearer {token(claims(tid=[TENANT]))}", 401, "tenant"),
    "no tenant": (lambda: f"Bearer {token(claims(tid=None))}", 401, "tenant"),
    "wrong audience": (lambda: f"Bearer {token(claims(aud='api://another'))}", 401, "audience"),
    "audience that begins right": (lambda: f"Bearer {token(claims(aud=CLIENT_ID + '0'))}", 401, "audience"),
    "no audience": (lambda: f"Bearer {token(claims(aud=None))}", 401, "claims"),
    "audience that is a number": (lambda: f"Bearer {token(claims(aud=7))}", 401, "audience"),
    "wrong issuer": (lambda: f"Bearer {token(claims(iss='https://accounts.example/'))}", 401, "issuer"),
    "issuer that begins right": (
        lambda: f"Bearer {token(claims(iss=claims()['iss'] + '.example'))}",
        401,
        "issuer",
    ),
    "issuer of another cloud": (lambda: f"Bearer {token(claims(cloud='us_government'))}", 401, "issuer"),
    "no issuer": (lambda: f"Bearer {token(claims(iss=None))}", 401, "claims"),
    "issuer that is a list": (lambda: f"Bearer {forged_and_signed(iss=['x'])}", 401, "issuer"),
    "expired": (lambda: f"Bearer {token(claims(exp=now() - HOUR))}", 401, "expiry"),
    "expired beyond the leeway": (lambda: f"Bearer {token(claims(exp=now() - 150))}", 401, "expiry"),
    "not yet valid": (lambda: f"Bearer {token(claims(nbf=now() + HOUR))}", 401, "not yet"),
    "no expiry": (lambda: f"Bearer {token(claims(exp=None))}", 401, "claims"),
    "no beginning": (lambda: f"Bearer {token(claims(nbf=None))}", 401, "claims"),
    "an expiry that is text": (lambda: f"Bearer {token(claims(exp='tomorrow'))}", 401, "format"),
    "an expiry without end": (lambda: f"Bearer {token(claims(exp=float('inf')))}", 401, "format"),
    "no role": (lambda: f"Bearer {token(claims(roles=None))}", 403, "role"),
    "another role": (lambda: f"Bearer {token(claims(roles=['Reader']))}", 403, "role"),
    "the role as text, not as a list": (lambda: f"Bearer {token(claims(roles=ROLE + 'Not'))}", 403, "role"),
    "the role as a scope": (lambda: f"Bearer {token(claims(roles=None, scp=ROLE))}", 403, "role"),
    "another application": (lambda: f"Bearer {token(claims(azp=CLIENT_ID))}", 403, "caller"),
    "no application": (lambda: f"Bearer {token(claims(azp=None))}", 403, "caller"),
    "version 2 with the claim of version 1": (
        lambda: f"Bearer {token(claims(azp=CLIENT_ID, appid=ACTION_GROUPS))}",
        403,
        "caller",
    ),
    "version 1 with the claim of version 2": (
        lambda: f"Bearer {token(claims(1, appid=None, azp=ACTION_GROUPS))}",
        403,
        "caller",
    ),
}


def forged_and_signed(**more: Any) -> str:
    """Claims that the library would not sign, in a token that is signed all the same."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    from tests.trust.entra import key

    signed = f"{part({'alg': 'RS256', 'kid': 'current'})}.{part(claims(**more))}"
    signature = key("current").sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_refused_with_the_check_that_it_failed(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, status, check = HOSTILE[name]
    header = make()
    caplog.set_level(logging.INFO)
    entra = Entra()
    with pytest.raises(TokenDenied) as caught:
        await WebhookGate(settings(), transport=entra.transport).admit(header)
    assert all(url.startswith(f"https://login.microsoftonline.com/{TENANT}/") for url in entra.asked)
    assert (caught.value.status, caught.value.check) == (status, check), caught.value
    told = json.loads(next(r.getMessage() for r in caplog.records if "token_refused" in r.getMessage()))
    assert (told["check"], told["status"]) == (check, status)
    for piece in header.removeprefix("Bearer ").split("."):
        assert len(piece) < 12 or piece not in caplog.text, "a part of the token is in the log"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("cloud", ["public", "us_government", "china"])
async def test_good_tokens_of_both_versions_get_in_in_every_cloud(cloud: CloudName, version: int) -> None:
    callers = {"callers": [ACTION_GROUPS]} if cloud == "china" else {}
    found = settings(cloud=cloud, **callers)
    hosts = {
        "public": "https://login.microsoftonline.com",
        "us_government": "https://login.microsoftonline.us",
        "china": "https://login.partner.microsoftonline.cn",
    }
    entra = Entra(authority=hosts[cloud])
    caller = await WebhookGate(found, transport=entra.transport).admit(f"Bearer {token(claims(version, cloud))}")
    assert caller.tenant == TENANT
    assert caller.application == claims(version, cloud)["appid" if version == 1 else "azp"]
    assert entra.asked[0] == f"{hosts[cloud]}/{TENANT}/v2.0/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "content",
    [
        lambda: claims(tid=TENANT.upper()),
        lambda: claims(azp=ACTION_GROUPS.upper()),
        lambda: claims(roles=["Reader", ROLE]),
        lambda: claims(aud=AUDIENCE),
        lambda: claims(exp=now() - 60),
        lambda: claims(nbf=now() + 60, iat=now() + 60),
    ],
    ids=["tenant in capitals", "caller in capitals", "several roles", "other audience", "just over", "just before"],
)
async def test_what_differs_within_reason_gets_in(content: Callable[[], dict[str, Any]]) -> None:
    await WebhookGate(settings(), transport=Entra().transport).admit(f"Bearer {token(content())}")


async def test_the_scheme_is_read_without_case() -> None:
    await WebhookGate(settings(), transport=Entra().transport).admit(f"bearer {token()}")


async def test_callers_and_role_come_from_the_configuration() -> None:
    found = settings(callers=[CLIENT_ID], role="Alerts.Send")
    content = claims(azp=CLIENT_ID, roles=["Alerts.Send"])
    await WebhookGate(found, transport=Entra().transport).admit(f"Bearer {token(content)}")
    with pytest.raises(TokenDenied, match="caller"):
        await WebhookGate(found, transport=Entra().transport).admit(f"Bearer {token(claims(roles=['Alerts.Send']))}")


async def test_a_token_for_a_strange_tenant_makes_nobody_fetch_anything() -> None:
    entra = Entra()
    gate = WebhookGate(settings(), transport=entra.transport)
    for hostile in (claims(tenant=OTHER_TENANT), claims(tid=f"{TENANT}/../x")):
        with pytest.raises(TokenDenied):
            await gate.admit(f"Bearer {token(hostile)}")
    assert entra.asked == []


async def test_a_key_of_another_tenant_with_a_known_kid_proves_nothing() -> None:
    """Replay: the other tenant's key bears the kid that our tenant's key has."""
    gate = WebhookGate(settings(tenants=[TENANT, OTHER_TENANT]), transport=Entra().transport)
    await gate.admit(f"Bearer {token()}")
    with pytest.raises(TokenDenied) as caught:
        await gate.admit(f"Bearer {token(claims(tenant=TENANT), signed_by='theirs', headers={'kid': 'current'})}")
    assert caught.value.check == "signature"


@given(st.text(max_size=300) | st.lists(st.text(max_size=40), min_size=3, max_size=3).map(".".join))
def test_no_header_whatever_makes_more_than_a_refusal(text: str) -> None:
    with pytest.raises(TokenDenied) as caught:
        unproven(bearer(f"Bearer {text}"), settings())
    assert caught.value.status == 401


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_claim_whatever_makes_more_than_a_refusal(value: Any) -> None:
    for name in ("tid", "alg", "kid"):
        header = {"alg": "RS256", "kid": "current", **({name: value} if name != "tid" else {})}
        content = claims(tid=value) if name == "tid" else claims()
        text = ".".join(
            base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in (header, content)
        )
        with suppress(TokenDenied):
            unproven(f"{text}.x", settings())


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"tenants": []}, "tenants"),
        ({"tenants": ["contoso.example"]}, "not a GUID"),
        ({"audiences": []}, "audiences"),
        ({"audiences": [""]}, "audiences"),
        ({"cloud": "china"}, "callers is missing"),
        ({"callers": []}, "callers"),
        ({"leeway": "1h"}, "leeway"),
        ({"authority": "http://login.example"}, "authority"),
        ({"authority": "https://login.example/path"}, "authority"),
        ({"authority": "https://user@login.example"}, "authority"),
        ({"tenant": TENANT}, "tenant"),
    ],
)
def test_a_section_that_would_let_anybody_in_is_a_mistake(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**section)


def test_the_library_still_signs_what_these_tests_think_it_signs() -> None:
    assert jwt.get_unverified_header(token())["kid"] == "current"
