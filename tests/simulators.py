"""What the tests of all simulators share: a simulator in a thread, and a client of its control API."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

#: For plain http: making httpx's own default, which loads every authority of the machine, takes longer than a test.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def in_background(running: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Run a simulator on an event loop of its own in a thread, so that blocking clients can use it."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()
    started: list[T] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        async with running() as simulator:
            started.append(simulator)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # handed to the waiting test run, whatever it is
            failures.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="simulator")
    thread.start()
    ready.wait(timeout=30)
    assert started, failures
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert not failures, failures


class ControlClient:
    """The control API, by its methods; every answer but a refusal must be 200."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **params: Any) -> Any:
        return self._json(self._client.get(path, params=params or None))

    def post(self, path: str, **body: Any) -> Any:
        return self._json(self._client.post(path, json=body))

    def delete(self, path: str, **body: Any) -> Any:
        return self._json(self._client.request("DELETE", path, json=body))

    def set(self, **settings: Any) -> None:
        self._json(self._client.patch("/settings", json=settings))

    def order(self, kind: str, **order: Any) -> str:
        """Add a scenario; returns its id."""
        return str(self.post("/scenarios", type=kind, **order)["id"])

    def refusal(self, method: str, path: str, body: Any, *statuses: int) -> str:
        """The text of a refusal that must have one of these statuses."""
        answer = self._client.request(method, path, json=body)
        assert answer.status_code in statuses, answer.text
        return str(answer.json()["error"])

    def last_request(self) -> dict[str, Any]:
        return dict(self.get("/requests", limit=1)["requests"][0])

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()
