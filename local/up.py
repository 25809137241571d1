"""``python -m local up``: storage emulator, simulators and function app, in the foreground.

Everything is a child of this process and ends with it, however it ends (``lifeline``, ``azurite``).
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from local import lifeline, log_store
from local.azurite import Azurite, AzuriteError
from local.host import asleep
from local.host.errors import HostError
from local.host.keys import Keys, make_keys
from local.host.settings import read_settings
from local.scratch import scratch

#: The function app is the repository itself.
APP = Path(__file__).resolve().parents[1]
#: In the session's folder: which functions sleep.
ASLEEP = "asleep.json"
_USUAL_PORT = 7071
_TAKEN = "port {} is taken by another program; stop that one or choose another port with --port"
#: Seconds for a child to answer; a cold disk and a busy machine included.
_PATIENCE = 60.0
#: Settings that the app may read, and where the simulator tells the value: the first that it has. The bridge is to
#: work with the rights of its own user, not with an administrator's.
_SIMULATOR_SETTINGS = {
    "SERVICENOW_USERNAME": ("integration_username", "username"),
    "SERVICENOW_PASSWORD": ("integration_password", "password"),
    "SERVICENOW_CLIENT_ID": ("client_id",),
    "SERVICENOW_CLIENT_SECRET": ("client_secret",),
    "SERVICENOW_API_KEY": ("api_key",),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said; see ``python -m local up --help``."""

    app: Path = APP
    port: int = 0
    config: Path | None = None
    servicenow_url: str | None = None
    servicenow_username: str | None = None
    data: Path | None = None
    workers: int = 1
    latency: float | None = None
    queue_lease: float = 30.0
    asleep: tuple[str, ...] = ()
    function_key: str | None = None
    clouds: bool = False
    log_level: str = "info"


class Failed(Exception):
    """It cannot start or go on; the text says why and what to do."""


class _Stop(BaseException):
    """SIGINT or SIGTERM came. Not an Exception, so that nothing on the way takes it for an error."""


def run(options: Options) -> int:
    """Start all, tell, wait, stop all in order; the exit code: 0 when asked to stop, 1 for any failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    try:
        with contextlib.ExitStack() as stack:
            watched = _start(options, stack)
            while True:
                time.sleep(0.2)
                for name, ended in watched:
                    if (code := ended()) is not None:
                        raise Failed(f"{name} ended unexpectedly (exit code {code}); what it said last is above")
    except _Stop:
        return 0
    except (Failed, AzuriteError, HostError) as error:
        print(f"local up: {error}", file=sys.stderr)
        return 1


def _on_signal(number: int, frame: FrameType | None) -> None:
    del frame
    for again in (signal.SIGINT, signal.SIGTERM):
        # Whoever asks twice is not kept waiting: this process dies at once, and its children stop by themselves.
        signal.signal(again, signal.SIG_DFL)
    raise _Stop(number)


_Ended = Callable[[], int | None]


def _start(options: Options, stack: contextlib.ExitStack) -> list[tuple[str, _Ended]]:
    """Start everything, print the line, write it to a file too; every child's name, and how to see that it ended."""
    say = _progress(options)
    folder = _folder(options, stack)
    _free_port(options.port)  # a port that was asked for and is taken is said before anything starts
    keys = _keys(options, folder)
    azurite = stack.enter_context(Azurite(location=folder / "azurite" if options.data else None))
    say(f"storage     {azurite.queue_url.rsplit('/', 1)[0]} (queues), {azurite.table_url.rsplit('/', 1)[0]} (tables)")
    watched: list[tuple[str, _Ended]] = [("Azurite", azurite.exit_code)]
    servicenow: dict[str, Any] = {"url": options.servicenow_url}
    if options.servicenow_url is None:
        simulator = _Child("the ServiceNow simulator", "local.servicenow", _simulator_arguments(options, folder), None)
        stack.callback(simulator.stop)
        servicenow = simulator.first_line()
        _wait_for(servicenow["control_url"], simulator, lambda status: status < 500)
        watched.append((simulator.name, simulator.exit_code))
        say(f"ServiceNow  {servicenow['url']} (simulator)")
    settings, config = _settings(options, azurite, servicenow)
    clouds = _start_clouds(stack, watched, say) if options.clouds else None
    if clouds is not None:
        settings |= {**cloud_settings(clouds), **log_store.declare(clouds)}
    environment = {**os.environ, **settings}
    if options.data is None:
        environment[lifeline.FOLDER] = str(folder)
    checks = _start_checks(options, environment, stack)
    asleep.write(folder / ASLEEP, options.asleep)
    app, url = _start_app(options, folder, environment, stack)
    _wait_for(f"{url}/api/health", app, lambda status: status == 200)
    watched.append((app.name, app.exit_code))
    say(f"app         {url}")
    session = {
        "app": {
            "url": url,
            "alerts_url": f"{url}/api/alerts",
            "secure_alerts_url": f"{url}/api/secure/alerts",
            "recommendations_url": f"{url}/api/recommendations",
            "assignments_url": f"{url}/api/assignments",
            "tickets_url": f"{url}/api/tickets",
            "preview_url": f"{url}/api/preview",
            "health_url": f"{url}/api/health",
            "key": keys.function[0],
            "admin_key": keys.admin,
            "pid": app.pid,
        },
        "servicenow": servicenow,
        "clouds": clouds,
        "storage": {
            "connection_string": azurite.connection_string,
            "blob_url": azurite.blob_url,
            "queue_url": azurite.queue_url,
            "table_url": azurite.table_url,
        },
        "data": None if options.data is None else str(folder),
        "config": config,
        "settings": settings,
        "asleep_file": str(folder / ASLEEP),
        "session_file": str(folder / "up.json"),
    }
    trouble, warnings = _checked(checks)
    for warning in warnings:
        say(warning)
    session["trouble"] = trouble
    _write_private(folder / "up.json", session)
    stack.callback((folder / "up.json").unlink, missing_ok=True)
    print(json.dumps(session), flush=True)
    if trouble:
        print(f"{trouble}\nnot ready: nothing is delivered until that is mended; stop with Ctrl-C", file=sys.stderr)
    else:
        say("ready; stop with Ctrl-C")
    return watched


def _start_checks(
    options: Options, environment: Mapping[str, str], stack: contextlib.ExitStack
) -> list[subprocess.Popen[str]]:
    """Check the configuration, and an instance that is no simulator, while the app starts: the running commands."""
    program = options.app / "bridge.py"
    if not program.is_file():
        return []
    commands = [["validate"]] if options.servicenow_url is None else [["validate"], ["check", "--only", "connections"]]
    running = [
        subprocess.Popen(
            [sys.executable, str(program), *command],
            cwd=options.app,
            env={**environment, "COLUMNS": "120", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    for one in running:
        stack.callback(one.kill)
    return running


def _checked(checks: list[subprocess.Popen[str]]) -> tuple[str, list[str]]:
    """What the first check that failed printed, empty when all is well; and the warnings of those before."""
    warnings: list[str] = []
    for check in checks:
        try:
            said, _ = check.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return "bridge.py did not end in time; run 'bridge.py check' to see why", warnings
        if check.returncode != 0:
            return said.strip(), warnings
        warnings += [line for line in said.splitlines() if line.startswith("warning: ")]
    return "", warnings


def _start_clouds(
    stack: contextlib.ExitStack, watched: list[tuple[str, _Ended]], say: Callable[[str], None]
) -> dict[str, Any]:
    """The simulator of Entra, Resource Manager and Graph: what it tells of itself. Raises Failed."""
    simulator = _Child("the simulator of Azure and Graph", "local.azure", [], None)
    stack.callback(simulator.stop)
    clouds = simulator.first_line()
    watched.append((simulator.name, simulator.exit_code))
    say(f"Azure       {clouds['url']} (simulator of Entra, Resource Manager and Graph)")
    return clouds


def cloud_settings(clouds: Mapping[str, Any]) -> dict[str, str]:
    """Settings that lead the app to the simulator, signed in as the managed identity that App Service would give it."""
    return {
        "AZURE_RESOURCE_MANAGER_URL": clouds["url"],
        "MICROSOFT_GRAPH_URL": clouds["url"],
        "LOG_ANALYTICS_URL": clouds["url"],
        "AZURE_AUTHORITY": clouds["https_url"],
        "AZURE_CA_BUNDLE": clouds["ca_file"],
        "IDENTITY_ENDPOINT": clouds["identity_endpoint"],
        "IDENTITY_HEADER": clouds["identity_header"],
    }


def _start_app(
    options: Options, folder: Path, environment: Mapping[str, str], stack: contextlib.ExitStack
) -> tuple[_Child, str]:
    """The function app and its URL. Raises Failed."""
    port = _free_port(options.port)
    if port and not _claim(port, stack):
        if options.port:
            raise Failed(_TAKEN.format(port))
        port = 0
    while True:
        app = _Child("the function app", "local.host", _host_arguments(options, port, folder), environment)
        stack.callback(app.stop)
        try:
            return app, str(app.first_line()["url"])
        except Failed:
            if options.port or port == 0 or _is_free(port):
                raise
        port = 0  # somebody else took the usual port in this very moment: any will do


class _Child:
    """A Python module that writes one line of JSON to stdout when it serves."""

    def __init__(self, name: str, module: str, arguments: list[str], environment: Mapping[str, str] | None) -> None:
        self.name = name
        self._process = lifeline.start(module, arguments, environment)
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=module, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        lifeline.stop(self._process)
        self._reader.join(5)

    def first_line(self) -> dict[str, Any]:
        """Its line of JSON. Raises Failed when it ends without, or takes too long."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=0.1)
                try:
                    found: dict[str, Any] = json.loads(line)
                except ValueError:
                    raise Failed(f"{self.name} did not tell where it serves, but: {line.rstrip()}") from None
                return found
            if (code := self.exit_code()) is not None and self._lines.empty():
                raise Failed(f"{self.name} did not start (exit code {code}); what it said is above")
        raise Failed(f"{self.name} did not start within {_PATIENCE:g} seconds")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for number, line in enumerate(process.stdout):
                if number == 0:
                    self._lines.put(line)
                else:
                    sys.stderr.write(line)


def _wait_for(url: str, child: _Child, good: Callable[[int], bool]) -> None:
    """GET until the status is good. Raises Failed when the child ends or does not get there in time."""
    parts = urlsplit(url)
    deadline = time.monotonic() + _PATIENCE
    said = "no answer"
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=15)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", parts.path)
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
            if good(answer.status):
                return
            said = f"HTTP {answer.status} {body[:2000]}"
        if (code := child.exit_code()) is not None:
            raise Failed(f"{child.name} ended (exit code {code}); what it said last is above")
        time.sleep(0.1)
    raise Failed(f"{child.name} is not well after {_PATIENCE:g} seconds: {url} says: {said}")


def _progress(options: Options) -> Callable[[str], None]:
    def say(line: str) -> None:
        if options.log_level not in ("warning", "error"):
            print(line, file=sys.stderr, flush=True)

    return say


def _folder(options: Options, stack: contextlib.ExitStack) -> Path:
    """The data folder, locked against a second run, or one that goes when this ends."""
    if options.data is None:
        return stack.enter_context(scratch("up"))
    folder = options.data.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((folder / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed(f"{folder} is in use by another 'local up'; stop that one or choose another --data") from None
    return folder


def _free_port(wanted: int) -> int:
    """The port to use, 0 for any. Raises Failed when the one that was asked for is taken."""
    if wanted and not _is_free(wanted):
        raise Failed(_TAKEN.format(wanted))
    return wanted or (_USUAL_PORT if _is_free(_USUAL_PORT) else 0)


def _claim(port: int, stack: contextlib.ExitStack) -> bool:
    """Claim a port against every other ``local up``: of two that start at once, both would find it free, and several
    workers share a port by an option with which the other's workers could share it too. False when it is claimed."""
    # The UDP port of that number is the lock: nothing else uses it, and it is free again however this process ends.
    claim = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _keys(options: Options, folder: Path) -> Keys:
    """Keys from the command line, the data folder, or new; kept in the folder, where the host reads them."""
    file = folder / "keys.json"
    keys = make_keys([options.function_key] if options.function_key else [], None, file if file.exists() else None)
    _write_private(file, {"function": keys.function, "admin": keys.admin})
    return keys


def _write_private(file: Path, content: Any) -> None:
    """Write JSON that holds keys: readable by this user only, and never half written."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(file)


def _simulator_arguments(options: Options, folder: Path) -> list[str]:
    arguments = ["--port", "0", "--https-port", "0"]
    if options.data is not None:
        arguments += ["--data", str(folder / "servicenow")]
    if options.latency is not None:
        arguments += ["--latency", str(options.latency)]
    return arguments


def _host_arguments(options: Options, port: int, folder: Path) -> list[str]:
    return [
        *("--app", str(options.app.resolve()), "--port", str(port), "--keys-file", str(folder / "keys.json")),
        *("--workers", str(options.workers), "--queue-lease", str(options.queue_lease)),
        *("--asleep", str(folder / ASLEEP), "--log-level", options.log_level),
    ]


def _settings(options: Options, azurite: Azurite, servicenow: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """Settings for the app that win over the user's own, and the path of its configuration."""
    settings = {"AzureWebJobsStorage": azurite.connection_string, "SERVICENOW_URL": servicenow["url"]}
    if options.servicenow_username is not None:
        settings["SERVICENOW_USERNAME"] = options.servicenow_username
    if options.servicenow_url is None:
        for name, keys in _SIMULATOR_SETTINGS.items():
            if told := [servicenow[key] for key in keys if servicenow.get(key)]:
                settings[name] = told[0]
        settings["KEY_VAULT_URL"] = ""  # the simulator's secrets are in no vault
    own = read_settings(options.app, os.environ).get("BRIDGE_CONFIG")
    usual = options.app / "bridge.yaml"
    if options.config is not None:
        settings["BRIDGE_CONFIG"] = str(options.config.resolve())
    elif not own and usual.is_file():
        settings["BRIDGE_CONFIG"] = str(usual.resolve())
    config = settings.get("BRIDGE_CONFIG", own)
    return settings, None if config is None else str((options.app / config).resolve())
