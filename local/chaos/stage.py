"""Storage on disk, simulator and several workers, each of which can be killed or restarted by itself.

``local up`` ends when one of its parts does; here that is the point.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from local import lifeline, log_store
from local.azurite import Azurite
from local.host import asleep
from local.scratch import scratch
from local.up import APP, ASLEEP, cloud_settings

#: Seconds for a child to tell where it serves, and for the app to be well.
_PATIENCE = 90.0

#: Seconds until the messages of a killed worker come back; an instance has a lease of its own.
QUEUE_LEASE = 3

#: How the local host says that it takes a message.
_DELIVERY = re.compile(r"message (\S+) of \S+, delivery \d+$")

Line = dict[str, Any]


class StageError(Exception):
    """Something does not start or stays away; the text says what."""


class Stage:
    """All of it as children of this process. A context manager.

    Attributes:
        servicenow: addresses and accounts of the simulator, as it tells them.
        clouds: the same of the simulator of Microsoft's services; empty where there is none.
        alerts_url, key: where to post, and the function key.
    """

    def __init__(
        self, config: str, workers: int, *, latency: float = 0.0, on_disk: bool = True, clouds: bool = False
    ) -> None:
        """
        Args:
            config: text of bridge.yaml.
            workers: processes that run the app.
            latency: seconds that the simulator takes for each call.
            on_disk: storage can be restarted; otherwise it is in memory, which is faster.
            clouds: Microsoft's services are there too, with a Log Analytics that takes rows.
        """
        self._config = config
        self._workers = workers
        self._latency = latency
        self._on_disk = on_disk
        self._with_clouds = clouds
        self._stack = contextlib.ExitStack()
        self._azurite: Azurite | None = None
        self._app: _Child | None = None
        self._folder = Path()
        self._file = Path()
        self.servicenow: dict[str, Any] = {}
        self.clouds: dict[str, Any] = {}
        self._cloud_settings: dict[str, str] = {}
        self._app_url = self._admin_key = ""
        self.alerts_url = self._health_url = self.key = self.storage = ""
        self.log = Log()
        self.http = httpx.Client(timeout=30, trust_env=False)

    def __enter__(self) -> Stage:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._stack.callback(self.http.close)
        self._folder = self._stack.enter_context(scratch("chaos"))
        self._azurite = Azurite(location=self._folder / "azurite" if self._on_disk else None)
        self._azurite.start()
        self._stack.callback(self._stop_storage)
        self.storage = self._azurite.connection_string
        arguments = ["--port", "0", "--https-port", "0", "--latency", str(self._latency)]
        self.servicenow = self._child("local.servicenow", arguments, None, _ignored).first_line()
        if self._with_clouds:
            self.clouds = self._child("local.azure", ["--port", "0", "--https-port", "0"], None, _ignored).first_line()
            self._cloud_settings = {**cloud_settings(self.clouds), **log_store.declare(self.clouds)}
        self._file = self._folder / "bridge.yaml"
        self._file.write_text(self._config, encoding="utf-8")
        self._app = self._host(self._workers, QUEUE_LEASE, self.log)
        told = self._app.first_line()
        self.alerts_url, self._health_url = f"{told['url']}/api/alerts", f"{told['url']}/api/health"
        self.key, self._app_url, self._admin_key = told["key"], told["url"], told["admin_key"]
        self.wait(self.serves, "the app to be well", _PATIENCE)

    def _host(self, workers: int, lease: float, log: Log) -> _Child:
        arguments = ["--app", str(APP), "--port", "0", "--workers", str(workers)]
        arguments += ["--queue-lease", str(lease), "--log-level", "info"]
        arguments += ["--asleep", str(self._folder / ASLEEP)]
        return self._child("local.host", arguments, self._settings(self._file), log.take)

    def _child(
        self, module: str, arguments: list[str], settings: Mapping[str, str] | None, heard: Callable[[str], None]
    ) -> _Child:
        child = _Child(module, arguments, {**os.environ, **(settings or {})}, heard)
        self._stack.callback(child.stop)
        return child

    def _settings(self, config: Path) -> dict[str, str]:
        return {
            **self._cloud_settings,
            "AzureWebJobsStorage": self.storage,
            "BRIDGE_CONFIG": str(config),
            "KEY_VAULT_URL": "",
            "SERVICENOW_URL": self.servicenow["url"],
            "SERVICENOW_USERNAME": self.servicenow["integration_username"],
            "SERVICENOW_PASSWORD": self.servicenow["integration_password"],
        }

    # What can be done to it

    def probe_writes(self) -> None:
        """Run the write test, after which creates may share calls. Raises StageError when it fails."""
        command = [sys.executable, "bridge.py", "check", "--probe-writes", "--only", "connections"]
        environment = {**os.environ, **self._settings(self._file), "NO_COLOR": "1"}
        check = subprocess.run(
            command, cwd=APP, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        if check.returncode or "creates share calls" not in check.stdout:
            raise StageError(f"the write test failed: {check.stdout}{check.stderr}")

    def sleep(self, *functions: str) -> None:
        """Azure calls these functions no more (``*``: none at all), and all others again."""
        asleep.write(self._folder / ASLEEP, functions)

    def start_instance(self, lease: float) -> Instance:
        """One more instance of the app on the same storage, which nobody replaces when it is killed.

        Args:
            lease: seconds for which a message that it takes is hidden from the others; it is renewed at a third.
        """
        log = Log()
        child = self._host(1, lease, log)
        told = child.first_line()
        return Instance(lease, log, child, told["url"], told["admin_key"])

    def timer(self, name: str, instance: Instance | None = None) -> None:
        """Call a timer's function, as the host does when it is time; it runs while this returns. Nothing happens where
        the app does not answer, because it was killed.

        Args:
            name: of the function.
            instance: that runs it; one of the workers when None.
        """
        url, key = (self._app_url, self._admin_key) if instance is None else (instance.url, instance.admin_key)
        with contextlib.suppress(httpx.TransportError):
            self.http.post(
                f"{url}/admin/functions/{name}", json={"input": ""}, headers={"x-functions-key": key}
            ).raise_for_status()

    def kill_worker(self, number: int) -> bool:
        """Kill one of the workers without warning; the supervisor starts another. False when none was there."""
        if self._app is None:
            return False
        workers = sorted(_children(self._app.pid, "local.host"))
        if not workers:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(workers[number % len(workers)], signal.SIGKILL)
        return True

    def restart_storage(self) -> None:
        """Stop Azurite, which writes what it holds to its disk, and start it there again."""
        if self._azurite is None or not self._on_disk:
            return
        urls = (self._azurite.blob_url, self._azurite.queue_url, self._azurite.table_url)
        blob, queues, tables = (urlsplit(url).port or 0 for url in urls)
        self._azurite.stop()
        self._azurite = Azurite(location=self._folder / "azurite", ports=(blob, queues, tables))
        self._azurite.start()

    def _stop_storage(self) -> None:
        if self._azurite is not None:
            self._azurite.stop()

    def control(self, method: str, path: str, **options: Any) -> Any:
        """Call the control API of ServiceNow's simulator."""
        return self._told(self.servicenow, method, path, options)

    def control_clouds(self, method: str, path: str, **options: Any) -> Any:
        """Call the control API of the simulator of Microsoft's services."""
        return self._told(self.clouds, method, path, options)

    def _told(self, simulator: Mapping[str, Any], method: str, path: str, options: Mapping[str, Any]) -> Any:
        answer = self.http.request(method, f"{simulator['control_url']}{path}", **options)
        answer.raise_for_status()
        return answer.json()

    def serves(self) -> bool:
        """Whether the app answers and can take signals in."""
        try:
            return self.http.get(self._health_url).status_code == 200
        except httpx.TransportError:
            return False

    def wait(self, true: Callable[[], bool], what: str, patience: float, pause: float = 0.2) -> None:
        """Wait for something. Raises StageError when it does not come true, or the app has ended."""
        deadline = time.monotonic() + patience
        while not true():
            if self._app is not None and self._app.exit_code() is not None:
                raise StageError(f"the app ended; its last lines: {''.join(self.log.last())}")
            if time.monotonic() > deadline:
                raise StageError(f"waited {patience:g} s for {what}")
            time.sleep(pause)


class Log:
    """The app's lines, each event with the moment at which it was read.

    Attributes:
        events: of the app. deliveries: ids of the messages that the host took, each time.
    """

    def __init__(self) -> None:
        self.events: list[tuple[float, Line]] = []
        self.deliveries: list[tuple[float, str]] = []
        self._other: list[str] = []

    def take(self, line: str) -> None:
        """One line of the app's stderr."""
        _, found, rest = line.partition('{"event"')
        if found:
            with contextlib.suppress(ValueError):  # cut short by the death of its process
                self.events.append((time.time(), json.loads(found + rest)))
        elif delivery := _DELIVERY.search(line):
            self.deliveries.append((time.time(), delivery[1]))
        else:
            self._other = [*self._other[-40:], line]

    def named(self, *names: str) -> list[tuple[float, Line]]:
        """Events of these names so far."""
        return [(at, line) for at, line in list(self.events) if line["event"] in names]

    def last(self) -> list[str]:
        """The newest lines that are no events."""
        return self._other


class Instance:
    """One process that runs the whole app, as an instance in Azure does.

    Attributes:
        lease: seconds. log: what it wrote.
        url, admin_key: where it serves, and what opens everything there.
    """

    def __init__(self, lease: float, log: Log, child: _Child, url: str, admin_key: str) -> None:
        self.lease = lease
        self.log = log
        self.url = url
        self.admin_key = admin_key
        self._child = child

    def kill(self) -> float:
        """Kill it without warning; when that was (Unix seconds)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, signal.SIGKILL)
        return time.time()


class _Child:
    """A module that writes one line of JSON to stdout when it serves, and whose stderr is heard."""

    def __init__(
        self, module: str, arguments: list[str], environment: Mapping[str, str], heard: Callable[[str], None]
    ) -> None:
        self._module = module
        self._lines: queue.Queue[str] = queue.Queue()
        self._heard = heard
        command = [sys.executable, "-m", "local.lifeline", module, *arguments]
        options = {**lifeline.options(environment), "stderr": subprocess.PIPE}
        self._process: subprocess.Popen[str] = subprocess.Popen(command, **options)
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_stdout, self._read_stderr)]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        return self._process.poll()

    def first_line(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and (self.exit_code() is None or not self._lines.empty()):
            with contextlib.suppress(queue.Empty):
                found: dict[str, Any] = json.loads(self._lines.get(timeout=0.1))
                return found
        raise StageError(f"{self._module} does not start")

    def stop(self) -> None:
        lifeline.stop(self._process)
        for reader in self._readers:
            reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._heard(line)


def _ignored(line: str) -> None:
    del line


def _children(parent: int, word: str) -> Iterator[int]:
    """Process ids of a process's children whose command line has a word."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):  # it ended meanwhile
            ancestor = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if ancestor == parent and word in (entry / "cmdline").read_text():
                yield int(entry.name)
