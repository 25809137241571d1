"""Sample apps written to a folder, and waiting for something with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from local.host.server import Host
from local.storage_rest import Message, Queue, Storage

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_KEY = "demo-function-key"
ADMIN_KEY = "demo-admin-key"

#: What every sample app begins with. ``seen`` is where it notes what happened, for hosts in this process;
#: ``note`` does so in a file, for others.
_PREAMBLE = """\
import asyncio, json, logging, os, time, typing
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
STORAGE = "AzureWebJobsStorage"
seen = []

def note(*what):
    with open(os.environ["NOTES"], "a") as file:
        file.write(json.dumps(what) + "\\n")

"""


class RunHost(Protocol):
    def __call__(
        self,
        source: str,
        host_json: Mapping[str, object] | None = None,
        *,
        settings: dict[str, str] | None = None,
        queue_lease: float = 30.0,
        grace: float = 5.0,
    ) -> Awaitable[Host]: ...


def write_app(folder: Path, source: str, host_json: Mapping[str, object] | None = None) -> Path:
    """A function app of the sample preamble and ``source``. Queues are polled at least every 200 ms."""
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(_PREAMBLE + textwrap.dedent(source))
    queues = {"maxPollingInterval": "00:00:00.2"}
    content: dict[str, Any] = {"version": "2.0", **(host_json or {})}
    extensions = content.get("extensions", {})
    content["extensions"] = {**extensions, "queues": {**queues, **extensions.get("queues", {})}}
    (folder / "host.json").write_text(json.dumps(content))
    return folder


def seen() -> list[Any]:
    """What the app of the host in this process noted."""
    found: list[Any] = sys.modules["function_app"].__dict__["seen"]
    return found


def notes(file: Path) -> list[list[Any]]:
    """What apps in other processes noted."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def eventually(check: Callable[[], Any], within: float = 20.0) -> Any:
    """Poll until ``check`` returns something true, and return that; fail after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return result


def eventually_sync(check: Callable[[], Any], within: float = 20.0) -> Any:
    """As :func:`eventually`, outside an event loop."""
    deadline = time.monotonic() + within
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return result


async def receive(queue: Queue, count: int = 1, within: float = 20.0) -> list[Message]:
    """Receive exactly ``count`` messages and delete them."""
    messages: list[Message] = []
    deadline = time.monotonic() + within
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} messages instead of {count}"
        for message in await queue.get(32, 30):
            messages.append(message)
            await queue.delete(message.id, message.pop_receipt)
        await asyncio.sleep(0.02)
    return messages


async def emptied(storage: Storage, queue: str, within: float = 20.0) -> None:
    """Wait until no message is on the queue, not even a hidden one.

    Source: Queue Storage REST API, Get Queue Metadata.
    """
    url = f"{storage.account.queue_url}/{queue}"
    deadline = time.monotonic() + within
    while True:
        headers, _ = await storage.call("count messages", "GET", url, {"comp": "metadata"})
        if headers["x-ms-approximate-messages-count"] == "0":
            return
        assert time.monotonic() < deadline, "messages are left"
        await asyncio.sleep(0.02)


async def stays_empty(queue: Queue, seconds: float) -> None:
    """Fail when a message can be received within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert await queue.get(32, 30) == []
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def process(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run ``python -m module`` with its output piped; killed after the test, with its children, if it still runs."""
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        for pid in (*_descendants(child.pid), *((child.pid,) if child.poll() is None else ())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.communicate(timeout=20)


def _descendants(parent: int) -> list[int]:
    """Children of a process, their children and so on. They are in process groups of their own."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if file.read_text().rsplit(")", 1)[1].split()[1] == str(parent):
                pid = int(file.parent.name)
                found += [*_descendants(pid), pid]
    return found


def first_line(child: subprocess.Popen[str]) -> dict[str, Any]:
    """The line of JSON that the child writes to stdout when it is ready."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise AssertionError(f"it ended without a line: {child.communicate()[1]}")
    found: dict[str, Any] = json.loads(line)
    return found


def is_running(pid: int) -> bool:
    """Does the process exist and is it no zombie?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    found = re.search(r"\) (\S)", state)
    return found is not None and found[1] != "Z"
