"""The running app with the simulators around it, as the stories of the demo use them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from local.running import NotRunning, Running

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table: what happened, the ticket and its state then, and what the source says of it."""

    what: str
    ticket: str = ""
    state: str = ""
    source: str = ""


class Surroundings:
    """App, ServiceNow and clouds. Raises NotRunning when something does not come in time."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.app = running.session["app"]
        self.desk = running.session["servicenow"]
        self.clouds = running.session["clouds"]

    def post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to the app with its key; the answer. Raises NotRunning for any but 200 and 201."""
        answer = self.running.http.post(url, json=body, headers={"x-functions-key": self.app["key"]})
        if answer.status_code not in (200, 201):
            raise NotRunning(f"{url} answered {answer.status_code}: {answer.text[:400]}")
        found: dict[str, Any] = answer.json()
        return found

    def timer(self, name: str) -> None:
        """Call a timer's function, as the host does when it is time."""
        url = f"{self.app['url']}/admin/functions/{name}"
        answer = self.running.http.post(url, json={"input": ""}, headers={"x-functions-key": self.app["admin_key"]})
        if answer.status_code != 202:
            raise NotRunning(f"timer {name}: {answer.status_code} {answer.text[:200]}")

    def rows(self, table: str, query: str, fields: str) -> list[dict[str, str]]:
        """Rows of a table of ServiceNow, as people see them."""
        answer = self.running.http.get(
            f"{self.desk['url']}/api/now/table/{table}",
            params={"sysparm_query": query, "sysparm_fields": fields, "sysparm_display_value": "true"},
            auth=(self.desk["username"], self.desk["password"]),
        )
        rows: list[dict[str, str]] = answer.json()["result"]
        return rows

    def state(self, number: str, table: str = "incident") -> str:
        """The state of a ticket as people see it."""
        rows = self.rows(table, f"number={number}", "state")
        return rows[0]["state"] if rows else "gone"

    def change(self, sys_id: str, fields: dict[str, str], table: str) -> None:
        """A person changes a ticket."""
        answer: httpx.Response = self.running.http.patch(
            f"{self.desk['url']}/api/now/table/{table}/{sys_id}",
            json=fields,
            auth=(self.desk["username"], self.desk["password"]),
        )
        if answer.status_code != 200:
            raise NotRunning(f"{table} {sys_id}: {answer.status_code} {answer.text[:300]}")

    def control(self, what: str, body: dict[str, Any]) -> None:
        """Tell the simulator of Azure."""
        answer = self.running.http.post(f"{self.clouds['control_url']}/{what}", json=body)
        if answer.status_code != 200:
            raise NotRunning(f"the simulator of Azure: {answer.status_code} {answer.text[:200]}")

    def until(self, there: Callable[[], bool], what: str) -> None:
        """Wait until something is there, for a minute at most."""
        end = time.monotonic() + _SECONDS
        while not there():
            if time.monotonic() > end:
                raise NotRunning(f"waited {_SECONDS:g} s for {what}")
            time.sleep(0.2)
