"""A stand-in for a Key Vault and for the identity endpoint of an app: https, the challenge, and the answers of the REST
API (Azure Key Vault REST API reference, "Get Secret" and "Error codes")."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web
from azure.core.credentials import AccessToken

TENANT = "11111111-1111-1111-1111-111111111111"
ACCESS = "demo-vault-token"


class Vault:
    """Secrets by name, and everything that was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.ca_file = ""
        self.identity_url = ""
        self.secrets: dict[str, str] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.may_list = True
        self.refusals: dict[str, tuple[int, str, str]] = {}
        self.reads: list[str] = []
        self.asked = asyncio.Event()
        self.identity_calls = 0
        self.gate: asyncio.Event | None = None
        self.denied = False
        self.blips = 0

    def store(self, name: str, value: str, created: int = 1700000000, ends: int | None = None) -> None:
        """A new version of a secret. Times in seconds since 1970."""
        self.secrets[name] = value
        attributes = {"enabled": True, "created": created, "updated": created, "exp": ends}
        self.versions.setdefault(name, []).append({key: one for key, one in attributes.items() if one is not None})

    async def get(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {ACCESS}" or self.denied:
            challenge = (
                f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="https://vault.azure.net"'
            )
            return _error(401, "Unauthorized", headers={"WWW-Authenticate": challenge})
        name = request.match_info["name"]
        listed = request.match_info["tail"] == "versions"
        self.reads.append(f"{name}/versions" if listed else name)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.blips:
            self.blips -= 1
            return _error(503, "ServiceUnavailable")
        if name in self.refusals:
            status, code, inner = self.refusals[name]
            return _error(status, code, inner)
        if listed and not self.may_list:
            return _error(403, "Forbidden", "AccessDenied")
        if name not in self.secrets:
            return web.json_response({"value": []}) if listed else _error(404, "SecretNotFound")
        kept = self.versions.get(name, [{"enabled": True, "created": 1700000000, "updated": 1700000000}])
        if listed:
            items = [
                {"id": f"{self.url}/secrets/{name}/{place:032x}", "attributes": one} for place, one in enumerate(kept)
            ]
            return web.json_response({"value": items, "nextLink": None})
        body = {
            "value": self.secrets[name],
            "id": f"{self.url}/secrets/{name}/{'0' * 32}",
            "attributes": kept[-1],
        }
        return web.json_response(body)

    async def identity(self, request: web.Request) -> web.Response:
        self.identity_calls += 1
        assert request.headers["X-IDENTITY-HEADER"] == "demo-identity-header"
        body = {
            "access_token": ACCESS,
            "expires_on": "4102444800",
            "resource": request.query["resource"],
            "token_type": "Bearer",
        }
        return web.json_response(body)


def _error(status: int, code: str, inner: str = "", headers: dict[str, str] | None = None) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": f"The vault says {code}: demo-value-in-message"}
    if inner:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status, headers=headers)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Vault]:
    """Serve a vault over https and an identity endpoint over http, on loopback."""
    vault = Vault()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    app = web.Application()
    app.router.add_get("/secrets/{name}/{tail:.*}", vault.get)
    app.router.add_get("/msi/token", vault.identity)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    secure = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    plain = web.TCPSite(runner, "127.0.0.1", 0)
    await secure.start()
    await plain.start()
    (_, https), (_, http) = (address[:2] for address in runner.addresses)
    vault.url, vault.ca_file = f"https://localhost:{https}", str(folder / "ca.pem")
    vault.identity_url = f"http://127.0.0.1:{http}/msi/token"
    try:
        yield vault
    finally:
        await runner.cleanup()


class Credential:
    """Gives the token that the stand-in takes."""

    def __init__(self) -> None:
        self.closed = False

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        return AccessToken(ACCESS, 4102444800)

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
