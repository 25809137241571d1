"""Some other server."""

from __future__ import annotations

from aiohttp import web


class Elsewhere:
    """Answers over TLS with the stand-in's certificate; keeps the headers of what it was asked, and from where."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[dict[str, str]] = []
        self.connections: set[object] = set()
        self.redirect = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.headers))
        self.connections.add(request.transport)
        await request.read()
        headers = {"Location": self.redirect} if self.redirect else {}
        return web.Response(status=307 if self.redirect else 204, headers=headers)
