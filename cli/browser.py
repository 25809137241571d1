"""What a browser brings back from a consent: the code, at an address of this machine, or pasted.

Source: RFC 6749, 4.1.2 (answer of the authorisation endpoint); RFC 8252, 7.3 and 8.3 (loopback redirect: listen on the
loopback address only, while the answer is awaited).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

_LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}

#: Bytes of a request's head, and seconds that it may take to arrive.
_LONGEST_HEAD = 16_384
_PATIENCE = 10.0

_PAGE = (
    "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought: a code, or why there is none."""

    code: str = ""
    error: str = ""

    def __repr__(self) -> str:
        return f"<Answer {'with a code' if self.code else self.error}>"


def read_answer(address: str, state: str) -> Answer:
    """The answer in an address. Raises ValueError when it is none, or belongs to another request."""
    found = {name: values[0] for name, values in parse_qs(urlsplit(address.strip()).query).items()}
    if not hmac.compare_digest(found.get("state", "").encode(), state.encode()):
        raise ValueError("that is not the answer to this request")
    if found.get("code"):
        return Answer(found["code"])
    said = f"{found.get('error', 'there is no code')} {found.get('error_description', '')}".strip()
    return Answer(error="".join(character if character.isprintable() else " " for character in said)[:200])


@asynccontextmanager
async def listening(redirect: str, state: str) -> AsyncIterator[asyncio.Future[Answer]]:
    """Listen for the browser at a redirect URL of this machine; the first answer with the state is taken.

    Raises OSError when nobody can listen there, and ValueError for an address of another machine.
    """
    parts = urlsplit(redirect)
    host = _LOOPBACK.get(parts.hostname or "")
    if parts.scheme != "http" or host is None:
        raise ValueError("it is no http address of this machine")
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text = _served(head.split(b"\r\n")[0].decode("latin-1"), parts.path, state, answered)
                writer.write(_PAGE.format(status=status, length=len(text), text=text).encode())
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, parts.port or 80, limit=_LONGEST_HEAD)
    try:
        yield answered
    finally:
        server.close()


def _served(line: str, path: str, state: str, answered: asyncio.Future[Answer]) -> tuple[str, str]:
    """Status and text for the browser."""
    method, _, rest = line.partition(" ")
    target = rest.partition(" ")[0]
    if method != "GET" or target.partition("?")[0] != (path or "/"):
        return "404 Not Found", "Nothing is here."
    try:
        answer = read_answer(target, state)
    except ValueError as error:
        return "400 Bad Request", f"{error}. Begin again.".capitalize()
    if not answered.done():
        answered.set_result(answer)
    return "200 OK", "Go back to the terminal: it goes on there. You can close this window."
