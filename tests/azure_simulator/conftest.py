"""One simulator per test run, in a thread of its own so that blocking clients can use it; every test starts fresh."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest

from local.azure import Simulator, running
from tests.azure_simulator.support import ARM, GRAPH, Control
from tests.simulators import NO_AUTHORITIES, in_background

#: A client over TLS that shows the token of a client id and secret for a scope.
SignIn = Callable[[str, str, str, str], httpx.Client]


@pytest.fixture(scope="session")
def background_clouds() -> Iterator[Simulator]:
    with in_background(running) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def trust(background_clouds: Simulator) -> ssl.SSLContext:
    """Trusts the simulator's own authority and nothing else."""
    return ssl.create_default_context(cafile=background_clouds.ca_file)


@pytest.fixture
def clouds(background_clouds: Simulator) -> Simulator:
    """The simulator as on its first day."""
    httpx.post(f"{background_clouds.control_url}/reset", verify=NO_AUTHORITIES).raise_for_status()
    return background_clouds


@pytest.fixture
def control(clouds: Simulator) -> Iterator[Control]:
    with httpx.Client(base_url=clouds.control_url, verify=NO_AUTHORITIES) as client:
        yield Control(client)


@pytest.fixture
def anonymous(clouds: Simulator, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    """Calls over TLS without a token."""
    with httpx.Client(base_url=clouds.https_url, verify=trust) as client:
        yield client


@pytest.fixture
def sign_in(clouds: Simulator, trust: ssl.SSLContext, anonymous: httpx.Client) -> Iterator[SignIn]:
    opened: list[httpx.Client] = []

    def connect(tenant: str, client_id: str, secret: str, scope: str) -> httpx.Client:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": scope,
        }
        answer = anonymous.post(f"/{tenant}/oauth2/v2.0/token", data=form).raise_for_status()
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        client = httpx.Client(base_url=clouds.https_url, verify=trust, headers=headers)
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def arm(clouds: Simulator, sign_in: SignIn) -> httpx.Client:
    """Resource Manager as the bridge's application, with least privileges."""
    return sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, ARM)


@pytest.fixture
def other_arm(clouds: Simulator, sign_in: SignIn) -> httpx.Client:
    """The same application in the other tenant."""
    return sign_in(clouds.other_tenant_id, clouds.client_id, clouds.client_secret, ARM)


@pytest.fixture
def reader(clouds: Simulator, sign_in: SignIn) -> httpx.Client:
    """Resource Manager as someone who may only read."""
    return sign_in(clouds.tenant_id, clouds.reader_client_id, clouds.reader_client_secret, ARM)


@pytest.fixture
def stranger(clouds: Simulator, sign_in: SignIn) -> httpx.Client:
    """Resource Manager as someone without any role."""
    return sign_in(clouds.tenant_id, clouds.stranger_client_id, clouds.stranger_client_secret, ARM)


@pytest.fixture
def graph(clouds: Simulator, sign_in: SignIn) -> httpx.Client:
    """Graph as the bridge's application."""
    return sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, GRAPH)
