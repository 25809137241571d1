"""Starts an instance: http and https listeners in front of one set of data."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.servicenow.certificates import Certificates, ensure_certificates
from local.servicenow.demo.people import BRIDGE_USER, USERS, password_of
from local.servicenow.demo.platform import API_KEY, BROAD, CLIENT_CERTIFICATE_SUBJECT, JWT_KEY_ID, SCOPED, USERLESS
from local.servicenow.front import MAX_BODY, Front
from local.servicenow.instance import Instance

#: Longest request line and header the web server reads; the simulated one refuses earlier, with its own page.
_LINE_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running instance, and everything a client needs to work with it.

    ``username`` is the administrator, ``integration_username`` has least privileges. The ``client_*`` pair may use any
    grant; the ``scoped_*`` client meets the scope gate, the ``userless_*`` client has no OAuth Application User. Files
    are absolute paths.
    """

    url: str
    https_url: str
    ca_file: str
    control_url: str
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

    def as_json(self) -> dict[str, Any]:
        """The same as an object."""
        return asdict(self)


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
    with tempfile.TemporaryDirectory(prefix="servicenow-") as scratch:
        directory = _prepare(data)
        certificates = ensure_certificates(directory or Path(scratch))
        instance = Instance(certificates.jwt_public_key, directory)
        if latency:
            instance.settings.latency_ms = latency * 1000
        front = Front(instance)
        runner = await _start(front)
        try:
            http = await _listen(runner, port, None)
            https = await _listen(runner, https_port, certificates)
            yield _describe(http, https, certificates)
        finally:
            front.stopping.set()
            await runner.cleanup()
            instance.close()


def _prepare(data: Path | str | None) -> Path | None:
    if data is None:
        return None
    directory = Path(data).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    return directory


async def _start(front: Front) -> web.AppRunner:
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=2.0,
        max_line_size=_LINE_LIMIT,
        max_field_size=_LINE_LIMIT,
        keepalive_timeout=75.0,
    )
    await runner.setup()
    return runner


async def _listen(runner: web.AppRunner, port: int, certificates: Certificates | None) -> int:
    context = certificates.server_context() if certificates else None
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    return int(runner.addresses[-1][1])


def _describe(http: int, https: int, certificates: Certificates) -> Simulator:
    return Simulator(
        url=f"http://127.0.0.1:{http}",
        https_url=f"https://127.0.0.1:{https}",
        ca_file=str(certificates.ca_file),
        control_url=f"http://127.0.0.1:{http}/control",
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
