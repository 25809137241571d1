"""Starts an instance: http and https listeners in front of one set of data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local.scratch import scratch
from local.servicenow.demo.people import BRIDGE_USER, USERS, password_of
from local.servicenow.demo.platform import API_KEY, BROAD, JWT_KEY_ID, SCOPED, USERLESS
from local.servicenow.frontend import Frontend
from local.servicenow.instance import Instance
from local.simulator_kit.certificates import CLIENT_CERTIFICATE_SUBJECT, Certificates, ensure_certificates
from local.simulator_kit.server import Endpoints, listening


@dataclass(frozen=True, slots=True)
class Simulator(Endpoints):
    """A running instance, and everything a client needs to work with it.

    ``username`` is the administrator, ``integration_username`` has least privileges. The ``client_*`` pair may use any
    grant; the ``scoped_*`` client meets the scope gate, the ``userless_*`` client has no OAuth Application User. Files
    are absolute paths.
    """

    username: str
    password: str
    integration_username: str
    integration_password: str
    client_id: str
    client_secret: str
    scoped_client_id: str
    scoped_client_secret: str
    userless_client_id: str
    userless_client_secret: str
    api_key: str
    client_certificate: str
    client_key: str
    client_certificate_subject: str
    jwt_key_file: str
    jwt_key_id: str
    accounts: dict[str, str]


@asynccontextmanager
async def running(
    *,
    port: int = 0,
    https_port: int = 0,
    data: Path | str | None = None,
    latency: float = 0.0,
) -> AsyncIterator[Simulator]:
    """Run an instance on the loopback interface while the context lasts.

    Args:
        port: of the http listener, 0 for a free one.
        https_port: of the https listener, 0 for a free one.
        data: directory that keeps state across restarts; without one, nothing is kept.
        latency: seconds of service time added to every API call.

    Raises:
        OSError: a port is taken, or the directory cannot be written.
    """
    with scratch("servicenow") as folder:
        certificates = ensure_certificates(Path(data or folder))
        instance = Instance(certificates.jwt_public_key, certificates.ca_file.parent if data else None)
        if latency:
            instance.settings.latency_ms = latency * 1000
        try:
            async with listening(Frontend(instance), certificates, port=port, https_port=https_port) as endpoints:
                yield _describe(endpoints, certificates)
        finally:
            instance.close()


def _describe(endpoints: Endpoints, certificates: Certificates) -> Simulator:
    return Simulator(
        **endpoints.as_json(),
        username="admin",
        password=password_of("admin"),
        integration_username=BRIDGE_USER,
        integration_password=password_of(BRIDGE_USER),
        client_id=BROAD.client_id,
        client_secret=BROAD.client_secret,
        scoped_client_id=SCOPED.client_id,
        scoped_client_secret=SCOPED.client_secret,
        userless_client_id=USERLESS.client_id,
        userless_client_secret=USERLESS.client_secret,
        api_key=API_KEY,
        client_certificate=str(certificates.client_certificate),
        client_key=str(certificates.client_key),
        client_certificate_subject=CLIENT_CERTIFICATE_SUBJECT,
        jwt_key_file=str(certificates.jwt_key),
        jwt_key_id=JWT_KEY_ID,
        accounts={name: password_of(name) for name in USERS},
    )
