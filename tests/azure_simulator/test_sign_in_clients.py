"""Microsoft's own clients sign in: azure-identity and msal, over TLS with the simulator's authority."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from local.azure import Simulator
from tests.azure_simulator.support import ARM, GRAPH, Control

# msal has no types.
ConfidentialClientApplication = importlib.import_module("msal").ConfidentialClientApplication


@pytest.fixture
def over_tls(clouds: Simulator) -> Iterator[requests.Session]:
    """What msal is given to make its requests: an environment that names other authorities has no say."""
    with requests.Session() as session:
        session.verify = clouds.ca_file
        session.trust_env = False
        yield session


def claims_of(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def test_azure_identity_gets_a_token_for_a_secret(clouds: Simulator, control: Control) -> None:
    with ClientSecretCredential(
        clouds.tenant_id,
        clouds.client_id,
        clouds.client_secret,
        authority=clouds.https_url,
        disable_instance_discovery=True,
        connection_verify=clouds.ca_file,
    ) as credential:
        token = credential.get_token(ARM)
        assert credential.get_token(ARM).token == token.token
    claims = claims_of(token.token)
    assert (claims["aud"], claims["tid"], claims["appid"]) == (
        "https://management.azure.com",
        clouds.tenant_id,
        clouds.client_id,
    )
    assert claims["appidacr"] == "1"
    assert control.get("/counters")["by_method_and_operation"]["POST token"] == 1


async def test_azure_identity_gets_a_token_without_blocking(clouds: Simulator) -> None:
    async with AsyncClientSecretCredential(
        clouds.other_tenant_id,
        clouds.client_id,
        clouds.client_secret,
        authority=clouds.https_url,
        disable_instance_discovery=True,
        connection_verify=clouds.ca_file,
    ) as credential:
        token = await credential.get_token(GRAPH)
    claims = claims_of(token.token)
    assert (claims["tid"], claims["roles"]) == (clouds.other_tenant_id, ["SecurityEvents.ReadWrite.All"])


def test_azure_identity_gets_a_token_for_a_certificate(clouds: Simulator) -> None:
    with CertificateCredential(
        clouds.tenant_id,
        clouds.client_id,
        clouds.certificate_file,
        authority=clouds.https_url,
        disable_instance_discovery=True,
        connection_verify=clouds.ca_file,
    ) as credential:
        claims = claims_of(credential.get_token(ARM).token)
    assert claims["appidacr"] == "2"


@pytest.mark.parametrize(
    ("trusted", "audience", "code"),
    [
        (True, "api://AzureADTokenExchange", ""),
        (False, "api://AzureADTokenExchange", "AADSTS700213"),
        (True, "https://management.azure.com", "AADSTS700212"),
    ],
)
def test_a_managed_identity_stands_for_the_secret_of_an_application_that_trusts_it(
    clouds: Simulator, monkeypatch: pytest.MonkeyPatch, trusted: bool, audience: str, code: str
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", clouds.identity_header)
    with ManagedIdentityCredential(client_id=clouds.user_identity_client_id if trusted else None) as identity:
        assertion = identity.get_token(f"{audience}/.default").token
    with ClientAssertionCredential(
        clouds.other_tenant_id,
        clouds.client_id,
        lambda: assertion,
        authority=clouds.https_url,
        disable_instance_discovery=True,
        connection_verify=clouds.ca_file,
    ) as credential:
        if code:
            with pytest.raises(ClientAuthenticationError, match=code):
                credential.get_token(ARM)
        else:
            claims = claims_of(credential.get_token(ARM).token)
            assert (claims["tid"], claims["appid"]) == (clouds.other_tenant_id, clouds.client_id)


def test_azure_identity_tells_why_a_wrong_secret_was_refused(clouds: Simulator) -> None:
    credential = ClientSecretCredential(
        clouds.tenant_id,
        clouds.client_id,
        "wrong",
        authority=clouds.https_url,
        disable_instance_discovery=True,
        connection_verify=clouds.ca_file,
    )
    with credential, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(ARM)


@pytest.mark.parametrize("user_assigned", [False, True])
def test_managed_identity_works_as_on_app_service(
    clouds: Simulator, monkeypatch: pytest.MonkeyPatch, user_assigned: bool
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", clouds.identity_header)
    client_id = clouds.user_identity_client_id if user_assigned else None
    with ManagedIdentityCredential(client_id=client_id) as credential:
        claims = claims_of(credential.get_token(GRAPH).token)
    assert claims["aud"] == "https://graph.microsoft.com"
    assert (claims["appid"] == clouds.user_identity_client_id) is user_assigned


def test_managed_identity_needs_the_right_header(
    clouds: Simulator, monkeypatch: pytest.MonkeyPatch, control: Control
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with ManagedIdentityCredential() as credential, pytest.raises(ClientAuthenticationError):
        credential.get_token(ARM)
    assert control.last_request()["status"] == 401


def test_msal_signs_in_with_a_secret_and_keeps_the_token(
    clouds: Simulator, over_tls: requests.Session, control: Control
) -> None:
    client = ConfidentialClientApplication(
        clouds.client_id,
        clouds.client_secret,
        authority=f"{clouds.https_url}/{clouds.tenant_id}",
        instance_discovery=False,
        http_client=over_tls,
    )
    first = client.acquire_token_for_client([GRAPH])
    assert claims_of(first["access_token"])["roles"] == ["SecurityEvents.ReadWrite.All"]
    control.delete("/requests")
    assert client.acquire_token_for_client([GRAPH])["access_token"] == first["access_token"]
    assert control.get("/counters")["total"] == 0


def test_msal_reads_the_discovery_document_of_the_simulator(clouds: Simulator, over_tls: requests.Session) -> None:
    client = ConfidentialClientApplication(
        clouds.client_id,
        clouds.client_secret,
        authority=f"{clouds.https_url}/{clouds.tenant_id}",
        instance_discovery=f"{clouds.https_url}/common/discovery/instance",
        http_client=over_tls,
    )
    assert client.authority.token_endpoint == f"{clouds.https_url}/{clouds.tenant_id}/oauth2/v2.0/token"
    assert "access_token" in client.acquire_token_for_client([ARM])


@pytest.mark.parametrize("newer", [False, True])
def test_msal_signs_in_with_a_certificate(clouds: Simulator, over_tls: requests.Session, newer: bool) -> None:
    pem = Path(clouds.certificate_file).read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    # The newer way signs with PS256 and names the key by its SHA-256 thumbprint.
    proof: dict[str, str] = {"private_key": pem.decode(), "thumbprint": certificate.fingerprint(hashes.SHA1()).hex()}
    if newer:
        proof = {"private_key": pem.decode(), "public_certificate": pem.decode()}
    client = ConfidentialClientApplication(
        clouds.client_id,
        proof,
        authority=f"{clouds.https_url}/{clouds.tenant_id}",
        instance_discovery=False,
        http_client=over_tls,
    )
    answer = client.acquire_token_for_client([ARM])
    assert "access_token" in answer, answer
    assert claims_of(answer["access_token"])["appidacr"] == "2"


def test_msal_hands_on_what_entra_said(clouds: Simulator, over_tls: requests.Session, control: Control) -> None:
    client = ConfidentialClientApplication(
        clouds.lapsed_client_id,
        clouds.lapsed_client_secret,
        authority=f"{clouds.https_url}/{clouds.tenant_id}",
        instance_discovery=False,
        http_client=over_tls,
    )
    answer = client.acquire_token_for_client([ARM])
    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [7000222])
    assert answer["correlation_id"]
    assert clouds.lapsed_client_secret not in str(control.last_request())
