"""The running bridge against which the examples are run, and a folder like a user's checkout in which they run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from local.azure.demo.inventory import PRODUCTION
from local.demo.alerts import Azure
from local.demo.clouds import SECTIONS
from local.running import Running
from tests.docs.pages import ROOT

ALERT = ROOT / "tests/fixtures/azure_monitor/common/metric-static-fired.json"
#: What the Azure CLI would have written before the examples of docs/migrating-from-itsmc.md.
_EXPORTS = {"groups.json": "action-group-list.json", "rules.json": "resource-group-template.json"}
#: Seconds for one command, and for ``local up`` to start on a busy machine.
_COMMAND, _START = 60.0, 90.0
_CURL = "silent\nshow-error\nfail-with-body\nmax-time = 30\n"
_OURS = ("SERVICENOW_", "AZURE_", "AzureWebJobs", "IDENTITY_", "KEY_VAULT_URL", "BRIDGE_")


class Session:
    """``python -m local up --clouds`` with what the examples are about: tickets, dead letters, quarantine.

    Args:
        running: the bridge.
        checkout: the folder in which commands run.
    """

    def __init__(self, running: Running, checkout: Path) -> None:
        self._running = running
        self._checkout = checkout
        self.app: dict[str, Any] = running.session["app"]
        self.servicenow: dict[str, Any] = running.session["servicenow"]
        self.clouds: dict[str, Any] = running.session["clouds"]
        self._key = {"x-functions-key": self.app["key"]}
        self._azure = Azure()

    # What the examples find

    def prepare(self) -> None:
        """The first ticket from an alert, two dead letters, and a ticket from a recommendation that a rule assigns."""
        running = self._running
        (signal_id,) = running.post(json.loads(ALERT.read_text("utf-8")))
        running.outcome(signal_id)
        self.dead_letters(2)
        self._timer("poll_findings")
        self._until(lambda: self.request("GET", "/api/tickets?source=defender").json()["counts"]["total"])
        self._timer("resync")
        self._until(lambda: self.request("GET", "/api/tickets?owner=David Loo").json()["counts"]["total"])

    def _timer(self, name: str) -> None:
        """Call a timer's function, as the host does when it is time."""
        admin = {"x-functions-key": self.app["admin_key"]}
        url = f"{self.app['url']}/admin/functions/{name}"
        self._running.http.post(url, json={"input": ""}, headers=admin).raise_for_status()

    def dead_letters(self, count: int) -> list[str]:
        """Ids of dead letters, at least so many."""
        return self._parked("dead-letters", count, self._refuse)

    def quarantined(self, count: int) -> list[str]:
        """Ids of payloads in quarantine, at least so many."""
        return self._parked("quarantine", count, lambda: self._end(self._azure.unreadable()))

    def _parked(self, kind: str, count: int, make: Callable[[], None]) -> list[str]:
        while len(found := [item["id"] for item in self._list(kind)]) < count:
            make()
        return found

    def _list(self, kind: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.request("GET", f"/api/{kind}?replayed=false").json()["items"]
        return items

    def _refuse(self) -> None:
        order = {"type": "data_policy", "match": {"method": "POST", "table": "incident"}}
        self._running.http.post(f"{self.servicenow['control_url']}/scenarios", json=order).raise_for_status()
        self._end(self._azure.metric(os.urandom(8).hex()))
        self.calm()

    def _end(self, body: Any) -> None:
        (signal_id,) = self._running.post(body)
        self._running.outcome(signal_id)

    def calm(self) -> None:
        """End the faults that an example ordered."""
        self._running.http.delete(f"{self.servicenow['control_url']}/scenarios").raise_for_status()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to the app, with its function key."""
        return self._running.http.request(method, f"{self.app['url']}{path}", headers=self._key, **options)

    def _until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, "what the examples need is not there in time"
            time.sleep(0.1)

    # Placeholders

    def fill(self, text: str) -> str:
        """A text with the placeholders of the docs replaced by what they stand for here."""
        placeholders: tuple[tuple[str, str], ...] = (
            (r"https://(?:YOUR-)?APP\.azurewebsites\.net", self.app["url"]),
            (r"\bFUNCTION-KEY\b|(?<![\w-])KEY\b", self.app["key"]),
            (r"http://127\.0\.0\.1:PORT\b", self.servicenow["url"]),
            (r"https://dev00000\.service-now\.com", self.servicenow["url"]),
            (r"(?<=SERVICENOW_PASSWORD=)('the password'|\.\.\.)", self.servicenow["integration_password"]),
            (r"\bSUBSCRIPTION\b", PRODUCTION),
            (r"\bUP\.JSON\b", self._running.session["session_file"]),
            (r"--account STORAGE-ACCOUNT ", ""),  # here it is the storage of the settings
        )
        for placeholder, value in placeholders:
            text = re.sub(placeholder, lambda _, value=value: value, text)  # type: ignore[misc]
        ids = len(re.findall(r"\bID\b", text))
        if ids:
            found = iter(self.quarantined(ids) if "quarantine" in text else self.dead_letters(ids))
            text = re.sub(r"\bID\b", lambda _: next(found, "ID"), text)
        return text

    # Commands

    def run(self, script: str, *, configured: bool) -> subprocess.CompletedProcess[str]:
        """Run commands in the checkout; ``configured`` gives them the settings of the running bridge."""
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self._checkout,
            env=self._environment(configured),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND,
            check=False,
        )

    def _environment(self, configured: bool) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        own |= {"COLUMNS": "160", "NO_COLOR": "1", "CURL_HOME": str(self._checkout)}
        if not configured:
            return own
        app = {"BRIDGE_APP_URL": self.app["url"], "BRIDGE_APP_KEY": self.app["key"]}
        settings: dict[str, str] = self._running.session["settings"]
        return own | app | settings

    def start(self, script: str) -> str:
        """Start ``local up`` as printed, and stop it once it serves; why it does not, empty when it does."""
        with (self._checkout / "up.log").open("w+") as log:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self._checkout,
                env=self._environment(configured=False),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            try:
                line = _first_line(process)
                trouble = json.loads(line)["trouble"] if line else f"no line of JSON within {_START:g} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.communicate(timeout=30)
            log.seek(0)
            return f"{trouble}\n{log.read()[-2000:]}" if trouble else ""


def _first_line(process: subprocess.Popen[str]) -> str:
    """Its first line, empty when it ends or takes too long."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(timeout=_START) else ""


def make_checkout(folder: Path) -> Path:
    """A folder with everything of the repository, where examples may write files; and those that the docs name."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name != "local.settings.json":
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "alert.json").write_text(ALERT.read_text("utf-8"), "utf-8")
    for name, export in _EXPORTS.items():
        (folder / name).symlink_to(ROOT / "tests/itsm_import/exports" / export)
    (folder / ".curlrc").write_text(_CURL, "utf-8")
    return folder


@contextlib.contextmanager
def opened(checkout: Path) -> Iterator[Session]:
    """The shipped configuration with the demo's sections, and reconcile."""
    reconcile = f"\nreconcile:\n  subscriptions:\n    - id: {PRODUCTION}\n"
    file = checkout / "docs-bridge.yaml"
    file.write_text((ROOT / "bridge.yaml").read_text("utf-8") + SECTIONS.read_text("utf-8") + reconcile, "utf-8")
    with Running(["--clouds", "--config", str(file)]) as running:
        session = Session(running, checkout)
        session.prepare()
        yield session
