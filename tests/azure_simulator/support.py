"""What the tests of the clouds' stand-in share."""

from __future__ import annotations

from typing import Any

import httpx

from tests.simulators import NO_AUTHORITIES as NO_AUTHORITIES  # the tests of the sources use it, too
from tests.simulators import ControlClient

ARM = "https://management.azure.com/.default"
GRAPH = "https://graph.microsoft.com/.default"
LOGS = "https://api.loganalytics.azure.com/.default"
MONITOR = "https://monitor.azure.com/.default"
ALERTS = "providers/Microsoft.AlertsManagement/alerts"
ALERTS_VERSION = "2019-05-05-preview"


class Control(ControlClient):
    """The control API of the clouds."""

    def refused(self, method: str, path: str, status: int = 400, **body: Any) -> str:
        return self.refusal(method, path, body, status)

    def journal(self, **wanted: str) -> list[dict[str, Any]]:
        return list(self.get("/journal", **wanted)["journal"])


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
