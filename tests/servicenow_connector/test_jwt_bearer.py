"""The JWT bearer grant: what is signed, and what is said of keys that do not fit."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.core.errors import NotAuthorised
from shared.core.ticket_system import CheckStatus, Needs, TicketKind
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.scripted import Instance, result, token

ID = "0123456789abcdef0123456789abcdef"
FOUND = result({"sys_id": ID, "correlation_id": "alert:1:a", "state": "1", "active": "true"})
AUTH: dict[str, Any] = {
    "type": "oauth_jwt_bearer",
    "client_id": "bridge-client",
    "private_key": {"secret": "demo-key"},
    "key_id": "key-1",
    "subject": "azure.bridge@contoso.example",
}
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"])
async def test_the_assertion_is_signed_as_the_verifier_map_expects(
    instance: Instance, connect: Connect, algorithm: str
) -> None:
    key = RSA if algorithm.startswith("RS") else ec.generate_private_key(CURVES[algorithm])
    instance.says(token("demo-access"), FOUND)
    connector = connect(
        auth={**AUTH, "algorithm": algorithm, "lifetime": "2m", "client_secret": {"secret": "demo-client-secret"}},
        secrets={"DEMO_KEY": pem(key), "DEMO_CLIENT_SECRET": "demo-client-secret"},
    )
    before = int(time.time())
    await connector.find(TicketKind.INCIDENT, ID, "alert:1:a")
    form = instance.asked[0].form
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (form["client_id"], form["client_secret"]) == ("bridge-client", "demo-client-secret")
    assert jwt.get_unverified_header(form["assertion"]) == {"alg": algorithm, "kid": "key-1", "typ": "JWT"}
    claims = jwt.decode(form["assertion"], key.public_key(), algorithms=[algorithm], audience="bridge-client")
    assert (claims["iss"], claims["sub"]) == ("bridge-client", "azure.bridge@contoso.example")
    assert claims["exp"] - claims["iat"] == 120
    assert before <= claims["iat"] <= time.time()


async def test_every_exchange_has_its_own_jti_because_the_instance_remembers_them(
    instance: Instance, connect: Connect
) -> None:
    instance.says(token("demo-access", 0), FOUND, token("demo-access", 0), FOUND)
    connector = connect(auth=AUTH, secrets={"DEMO_KEY": pem(RSA)})
    for _ in range(2):
        await connector.find(TicketKind.INCIDENT, ID, "alert:1:a")
    forms = [asked.form for asked in instance.asked if asked.path == "/oauth_token.do"]
    ids = [jwt.decode(form["assertion"], options={"verify_signature": False})["jti"] for form in forms]
    assert len(set(ids)) == 2
    assert "client_secret" not in forms[0]


async def test_a_key_on_one_line_with_escaped_line_ends_works(instance: Instance, connect: Connect) -> None:
    """As application settings hold it."""
    instance.says(token("demo-access"), FOUND)
    connector = connect(auth=AUTH, secrets={"DEMO_KEY": pem(RSA).replace("\n", "\\n")})
    assert await connector.find(TicketKind.INCIDENT, ID, "alert:1:a") is not None


@pytest.mark.parametrize(
    "key",
    [
        "no key at all",
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(RSA)[:300],
        pem(RSA).replace("PRIVATE", "PUBLIC"),
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode(),
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ],
)
async def test_a_key_that_does_not_fit_is_named_and_never_quoted(
    instance: Instance, connect: Connect, key: str
) -> None:
    with pytest.raises(NotAuthorised, match="'demo-key' is no private key for RS256") as caught:
        await connect(auth=AUTH, secrets={"DEMO_KEY": key}).find(TicketKind.INCIDENT, ID, "alert:1:a")
    assert key[:40] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert instance.asked == []


async def test_the_check_names_a_public_key_where_a_private_one_belongs(instance: Instance, connect: Connect) -> None:
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    connector = connect(auth=AUTH, secrets={"DEMO_KEY": public})
    needs = Needs(frozenset({TicketKind.INCIDENT}), {})
    (failed,) = [line for line in await connector.check(needs) if line.verdict is CheckStatus.FAILED]
    assert (failed.name, "PEM form" in failed.fix) == ("authenticated", True)
    assert "'demo-key' is no private key for RS256" in failed.detail
    assert instance.asked == []
