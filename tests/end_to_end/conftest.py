"""One running bridge per test module: Azurite, simulator, app, over real processes and sockets."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.demo.alerts import Azure
from local.running import Event, Running

#: As shipped, but quick to try again, and with a second way out for what the tests want refused.
_CONNECTION = """
    type: servicenow
    url: ${SERVICENOW_URL}
    auth: {type: basic, username: "${SERVICENOW_USERNAME}", password: {secret: servicenow-password}}
    read_timeout: 3s
    total_timeout: 10s
"""

#: Faults after which all workers leave a connection alone for a while, at once or when most calls got no answer; each
#: has a connection of its own, so that no other test meets its pause or its open circuit. Pauses are
#: no longer than the window of the budget.
PAUSING = (
    "hibernate",
    "throttle",
    "throttle_bare",
    "cut_before_commit",
    "maintenance",
    "reject_credentials",
    "scope_gate",
    "session_queue",
    "wrong_content_type",
)

CONFIG = f"""
version: 1
connections:
  servicenow:{_CONNECTION}
{"".join(f"  {fault}:{_CONNECTION}    budget: {{calls: 100000, per: 20s}}{chr(10)}" for fault in PAUSING)}
routes:
{
    "".join(
        f"  - {{name: {fault}, when: {{custom_properties: {{desk: {fault}}}}}, connection: {fault}}}{chr(10)}"
        for fault in PAUSING
    )
}  - name: problems
    when: {{custom_properties: {{kind: problem}}}}
    connection: servicenow
    ticket: problem
  - name: changes
    when: {{custom_properties: {{kind: change}}}}
    connection: servicenow
    ticket: change_request
  - name: events
    when: {{custom_properties: {{kind: event}}}}
    connection: servicenow
    ticket: event
default:
  connection: servicenow
  fields: {{category: software, cmdb_ci: null}}  # no look-up: the tests count calls
delivery: {{first_retry: 1s, longest_retry: 2s, missing_after: 4s}}
"""


class Bridge:
    """A running bridge with the simulator's control API at hand."""

    def __init__(self, running: Running) -> None:
        self.running = running
        desk = running.session["servicenow"]
        self.url: str = desk["url"]
        self.control_url: str = desk["control_url"]
        self._admin = (desk["username"], desk["password"])

    def control(self, method: str, path: str, **options: Any) -> Any:
        """Call the simulator's control API."""
        answer = self.running.http.request(method, f"{self.control_url}{path}", **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def scenario(self, kind: str, **parameters: Any) -> None:
        """Order a fault of the simulator."""
        self.control("POST", "/scenarios", json={"type": kind, **parameters})

    def calm(self) -> None:
        """No faults, empty request log."""
        self.control("DELETE", "/scenarios")
        self.control("DELETE", "/requests")

    def calls(self) -> int:
        """API calls since the last calm."""
        total: int = self.control("GET", "/counters")["total"]
        return total

    def heard_of(self) -> set[str]:
        """Ids of all signals that the app's log has named so far."""
        return set(re.findall(r'"id": ?"([0-9a-f]{32})"', "".join(self.running.lines)))

    def violations(self) -> dict[str, Any]:
        """Writes on closed tickets, and tickets that share a correlation."""
        found: dict[str, Any] = self.control("GET", "/violations")
        return found

    def tickets(self, alert: str, table: str = "incident") -> list[dict[str, str]]:
        """Tickets that bear an alert's key, oldest first, as an administrator sees them."""
        return self.rows(table, f"correlation_idLIKE{alert}")

    def rows(self, table: str, query: str) -> list[dict[str, str]]:
        """Rows of a table, oldest first, as an administrator sees them."""
        answer = self.running.http.get(
            f"{self.url}/api/now/table/{table}",
            params={
                "sysparm_query": f"{query}^ORDERBYsys_created_on",
                "sysparm_display_value": "true",
                "sysparm_exclude_reference_link": "true",
                "sysparm_limit": "100",
            },
            auth=self._admin,
        )
        rows: list[dict[str, str]] = answer.json()["result"]
        return rows

    def change(self, sys_id: str, fields: dict[str, str], table: str = "incident") -> None:
        """An administrator changes a ticket."""
        answer = self.running.http.patch(f"{self.url}/api/now/table/{table}/{sys_id}", json=fields, auth=self._admin)
        assert answer.status_code == 200, answer.text

    def health_report(self) -> Any:
        """Why the bridge is well or not; at most ten seconds old."""
        app = self.running.session["app"]
        return self.running.http.get(f"{app['health_url']}/report", headers={"x-functions-key": app["key"]}).json()

    def send(self, body: Any) -> str:
        """Post one alert; the id of its signal."""
        (found,) = self.running.post(body)
        return found

    def deliver(self, body: Any) -> Event:
        """Post one alert and wait for what became of it."""
        return self.running.outcome(self.send(body))

    def postponed(self, signal_id: str) -> Event:
        """Wait until a signal was postponed."""
        return self.running.event(signal_id, lambda event: event["event"] == "signal_postponed")


def _free_port() -> int:
    """Of two bridges that start in the same second, both may find the usual port free, and then share it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "bridge.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def running(config_file: Path) -> Iterator[Running]:
    arguments = ["--config", str(config_file), "--workers", "2", "--queue-lease", "6", "--port", str(_free_port())]
    with Running(arguments) as found:
        yield found


@pytest.fixture
def bridge(running: Running) -> Iterator[Bridge]:
    found = Bridge(running)
    found.calm()
    yield found
    found.calm()
    violations = found.violations()
    assert not any(violations.values()), violations


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.fixture
def alert() -> str:
    """The id of a new alert."""
    return str(uuid4())


def until(true: Callable[[], object], patience: float = 30.0) -> None:
    """Wait for something to become true; fails when it does not."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
