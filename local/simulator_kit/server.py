"""The listeners: http and https on the loopback interface, in front of one frontend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from local.simulator_kit.certificates import Certificates
from local.simulator_kit.faults import CallT
from local.simulator_kit.frontend import Frontend


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a running simulator; simulators add accounts and keys. ``ca_file`` is an absolute path."""

    url: str
    https_url: str
    ca_file: str
    control_url: str

    def as_json(self) -> dict[str, Any]:
        """The same as an object."""
        return asdict(self)


@asynccontextmanager
async def listening(
    frontend: Frontend[CallT], certificates: Certificates, *, port: int = 0, https_port: int = 0
) -> AsyncIterator[Endpoints]:
    """Serve while the context lasts. Port 0 is a free one.

    Raises:
        OSError: a port is taken.
    """
    app = web.Application(client_max_size=frontend.max_body)
    app.router.add_route("*", "/{path:.*}", frontend.handle)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=2.0,
        max_line_size=frontend.max_line,
        max_field_size=frontend.max_line,
        keepalive_timeout=75.0,
        auto_decompress=frontend.decompresses,
    )
    await runner.setup()
    try:
        http = await _listen(runner, port, None)
        https = await _listen(runner, https_port, certificates)
        yield Endpoints(
            url=f"http://127.0.0.1:{http}",
            https_url=f"https://127.0.0.1:{https}",
            ca_file=str(certificates.ca_file),
            control_url=f"http://127.0.0.1:{http}/control",
        )
    finally:
        frontend.stopping.set()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int, certificates: Certificates | None) -> int:
    context = certificates.server_context() if certificates else None
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    return int(runner.addresses[-1][1])
