"""Microsoft Graph: app registrations, as far as their secrets and certificates go."""

from __future__ import annotations

import httpx
import pytest

from local.azure import Simulator
from local.azure.demo.identities import GRAPH_API
from tests.azure_simulator.conftest import SignIn
from tests.azure_simulator.support import GRAPH, Control, body, refusal


@pytest.fixture
def graph_with(clouds: Simulator, sign_in: SignIn, control: Control) -> httpx.Client:
    """Microsoft Graph as the bridge's application, which may read every registration."""
    control.post("/grants", identity="bridge", api=GRAPH_API, roles=["Application.Read.All"])
    return sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, GRAPH)


def address(client_id: str) -> str:
    return f"/v1.0/applications(appId='{client_id}')"


def test_the_owner_sees_ends_and_the_beginning_of_secrets_and_never_a_secret(
    graph_with: httpx.Client, clouds: Simulator
) -> None:
    answer = graph_with.get(address(clouds.client_id))
    whole = body(answer)
    (secret,) = whole["passwordCredentials"]
    assert (secret["hint"], secret["secretText"]) == (clouds.client_secret[:3], None)
    assert secret["endDateTime"].endswith("Z")
    assert [one["key"] for one in whole["keyCredentials"]] == [None]
    assert clouds.client_secret not in answer.text


def test_select_leaves_the_rest_out(graph_with: httpx.Client, clouds: Simulator) -> None:
    shown = body(graph_with.get(address(clouds.client_id), params={"$select": "appId,passwordCredentials"}))
    assert set(shown) == {"@odata.context", "appId", "passwordCredentials"}


def test_without_the_permission_it_is_403_and_an_owner_sees_only_its_own(
    clouds: Simulator, sign_in: SignIn, control: Control
) -> None:
    reader = sign_in(clouds.tenant_id, clouds.reader_client_id, clouds.reader_client_secret, GRAPH)
    assert "Authorization_RequestDenied" in refusal(reader.get(address(clouds.client_id)), 403)
    control.post("/grants", identity="reader", api=GRAPH_API, roles=["Application.ReadWrite.OwnedBy"])
    owner = sign_in(clouds.tenant_id, clouds.reader_client_id, clouds.reader_client_secret, GRAPH)
    body(owner.get(address(clouds.reader_client_id)))
    assert "Authorization_RequestDenied" in refusal(owner.get(address(clouds.client_id)), 403)


def test_another_tenant_does_not_know_the_registration(clouds: Simulator, sign_in: SignIn, control: Control) -> None:
    control.post("/grants", identity="bridge", api=GRAPH_API, roles=["Application.Read.All"])
    other = sign_in(clouds.other_tenant_id, clouds.client_id, clouds.client_secret, GRAPH)
    assert "Request_ResourceNotFound" in refusal(other.get(address(clouds.client_id)), 404)


def test_nothing_can_be_written(graph_with: httpx.Client, clouds: Simulator) -> None:
    refusal(graph_with.patch(address(clouds.client_id), json={"displayName": "other"}), 405)
