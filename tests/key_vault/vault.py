"""A stand-in for a Key Vault and for the identity endpoint of an app: https, the challenge, and the answers of the REST
API (Azure Key Vault REST API reference, "Get Secret", "Get Secret Versions", "Set Secret", "Update Secret"
and "Error codes")."""

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

_LONG_AGO = 1700000000


class Vault:
    """Secrets by name, and everything that was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.ca_file = ""
        self.identity_url = ""
        self.secrets: dict[str, str] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.may_list = True
        self.written: list[str] = []
        self.deleted: set[str] = set()
        self.read_only = False
        self.away = False
        self.refusals: dict[str, tuple[int, str, str]] = {}
        self.reads: list[str] = []
        self.asked = asyncio.Event()
        self.identity_calls = 0
        self.gate: asyncio.Event | None = None
        self.denied = False
        self.blips = 0

    def store(self, name: str, value: str, created: int = _LONG_AGO, ends: int | None = None) -> None:
        """A new version of a secret. Times in seconds since 1970."""
        self.secrets[name] = value
        attributes = {"enabled": True, "created": created, "updated": created, "exp": ends}
        self.versions.setdefault(name, []).append({key: one for key, one in attributes.items() if one is not None})

    def present(self, name: str) -> dict[str, Any]:
        """The attributes of a secret's present version: ``enabled``, and ``exp`` where its end is noted."""
        if name not in self.versions:
            self.versions[name] = [{"enabled": True, "created": _LONG_AGO, "updated": _LONG_AGO}]
        return self.versions[name][-1]

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.away:
            return _error(503, "ServiceUnavailable")
        if request.headers.get("Authorization") != f"Bearer {ACCESS}" or self.denied:
            challenge = (
                f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="https://vault.azure.net"'
            )
            return _error(401, "Unauthorized", headers={"WWW-Authenticate": challenge})
        return None

    def _shown(self, name: str, *, value: bool) -> web.Response:
        body = {"id": f"{self.url}/secrets/{name}/{'0' * 32}", "attributes": self.present(name)}
        return web.json_response(body | ({"value": self.secrets[name]} if value else {}))

    async def put(self, request: web.Request) -> web.Response:
        """A new version."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name, body = request.match_info["name"], await request.json()
        if self.read_only:
            return _error(403, "Forbidden", "ForbiddenByRbac")
        if name in self.deleted:
            return _error(409, "Conflict", "ObjectIsDeletedButRecoverable")
        created = self.present(name)["created"] + 1 if name in self.secrets else _LONG_AGO
        self.store(name, body["value"], created, body.get("attributes", {}).get("exp"))
        self.written.append(name)
        return self._shown(name, value=True)

    async def patch(self, request: web.Request) -> web.Response:
        """Other attributes of the present version."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        name, body = request.match_info["name"], await request.json()
        if self.read_only:
            return _error(403, "Forbidden", "ForbiddenByRbac")
        if name not in self.secrets:
            return _error(404, "SecretNotFound")
        given = {key: one for key, one in body.get("attributes", {}).items() if one is not None}
        self.present(name).update(given)
        return self._shown(name, value=False)

    async def get(self, request: web.Request) -> web.Response:
        """The present version."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
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
        present = self.present(name)
        if listed:
            items = [
                {"id": f"{self.url}/secrets/{name}/{place:032x}", "attributes": one}
                for place, one in enumerate(self.versions[name])
            ]
            return web.json_response({"value": items, "nextLink": None})
        if not present["enabled"]:
            return _error(403, "Forbidden", "SecretDisabled")
        return self._shown(name, value=True)

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
    app.router.add_put("/secrets/{name}", vault.put)
    app.router.add_patch("/secrets/{name}/{tail:.*}", vault.patch)
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
