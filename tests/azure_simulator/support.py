"""What the tests of the clouds' stand-in share."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

ARM = "https://management.azure.com/.default"
GRAPH = "https://graph.microsoft.com/.default"
ALERTS = "providers/Microsoft.AlertsManagement/alerts"
ALERTS_VERSION = "2019-05-05-preview"
#: For plain http: making httpx's own default, which loads every authority of the machine, takes longer than a test.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Control:
    """The control API, by its verbs."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **params: Any) -> Any:
        return self._done(self._client.get(path, params=params))

    def post(self, path: str, **body: Any) -> Any:
        return self._done(self._client.post(path, json=body))

    def delete(self, path: str, **body: Any) -> Any:
        return self._done(self._client.request("DELETE", path, json=body))

    def set(self, **settings: Any) -> None:
        self._done(self._client.patch("/settings", json=settings))

    def order(self, kind: str, **order: Any) -> str:
        return str(self.post("/scenarios", type=kind, **order)["id"])

    def refused(self, method: str, path: str, status: int = 400, **body: Any) -> str:
        answer = self._client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"])

    def journal(self, **wanted: str) -> list[dict[str, Any]]:
        return list(self.get("/journal", **wanted)["journal"])

    def last_request(self) -> dict[str, Any]:
        return dict(self.get("/requests", limit=1)["requests"][0])

    @staticmethod
    def _done(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()


def body(answer: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    assert answer.status_code == status, answer.text
    return answer.json()


def refusal(answer: httpx.Response, status: int) -> str:
    """The error code of an answer of Resource Manager or Graph that must have this status."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"]
    return str(error["code"])


def walk(client: httpx.Client, path: str, link: str = "nextLink", **params: Any) -> list[list[Any]]:
    """Every page of a list."""
    answer = body(client.get(path, params=params))
    pages = [answer["value"]]
    while answer.get(link):
        assert len(pages) < 100
        answer = body(client.get(answer[link]))
        pages.append(answer["value"])
    return pages
