"""What the tests of the simulator share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.simulators import NO_AUTHORITIES, ControlClient

INCIDENTS = "/api/now/table/incident"
PROBLEMS = "/api/now/table/problem"
CHANGES = "/api/now/table/change_request"
RESOLUTION = {"close_code": "Solution provided", "close_notes": "The disk was cleaned up."}


def get(url: str, **options: Any) -> httpx.Response:
    """A single GET over http, without a client."""
    return httpx.get(url, verify=NO_AUTHORITIES, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """A single POST over http, without a client."""
    return httpx.post(url, verify=NO_AUTHORITIES, **options)


def patch(url: str, **options: Any) -> httpx.Response:
    """A single PATCH over http, without a client."""
    return httpx.patch(url, verify=NO_AUTHORITIES, **options)


def connect(url: str, user: str = "", password: str = "") -> httpx.Client:
    """A client over http, with basic credentials when given."""
    return httpx.Client(base_url=url, auth=(user, password) if user else None, verify=NO_AUTHORITIES)


class Control(ControlClient):
    """The control API of an instance."""

    def set_property(self, name: str, value: Any) -> None:
        self.set(**{name: value})

    def reset(self, **order: Any) -> None:
        self.post("/reset", **order)

    def clock(self, **order: Any) -> Any:
        return self.post("/clock", **order)

    def insert(self, table: str, rows: list[dict[str, str]]) -> list[str]:
        return list(self.post("/rows", table=table, rows=rows)["sys_ids"])

    def refused(self, method: str, path: str, body: Any = None) -> str:
        return self.refusal(method, path, body, 400, 404, 405)

    def entries(self, table: str) -> list[dict[str, Any]]:
        return list(self.get("/journal", table=table)["journal"])


def result(answer: httpx.Response, status: int = 200) -> Any:
    """The ``result`` of an answer that must have this status."""
    assert answer.status_code == status, answer.text
    return answer.json()["result"]


def error(answer: httpx.Response, status: int) -> tuple[str, str | None]:
    """Message and detail of a refusal that must have this status."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["status"] == "failure"
    return body["error"]["message"], body["error"]["detail"]


def create(client: httpx.Client, path: str = INCIDENTS, **fields: Any) -> dict[str, Any]:
    """Create a record and return it."""
    return dict(result(client.post(path, json={"short_description": "Disk is full", **fields}), 201))


def update(client: httpx.Client, path: str, sys_id: str, **fields: Any) -> dict[str, Any]:
    """Change a record and return it."""
    return dict(result(client.patch(f"{path}/{sys_id}", json=fields)))


def numbers(client: httpx.Client, table: str, query: str, **params: str) -> list[str]:
    """Numbers of the records that an encoded query finds, in order."""
    return column(client, table, query, "number", **params)


def column(client: httpx.Client, table: str, query: str, name: str, **params: str) -> list[str]:
    """Values of one column of the records that an encoded query finds, in order."""
    answer = client.get(f"/api/now/table/{table}", params={"sysparm_query": query, "sysparm_fields": name, **params})
    return [row[name] for row in result(answer)]


def eventually(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
