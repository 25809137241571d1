"""Azurite, Microsoft's storage emulator: installed from npm when needed, started, stopped, never left behind.

    with Azurite() as azurite:              # or: async with
        ... azurite.connection_string

Azurite stops when its parent does, even when that is killed: it watches its standard input, whose other end the parent
holds (``watchdog.cjs``); the kernel closes that end together with the parent.
Source: Azurite's README (command line options, connection strings, OAuth).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from local.storage_rest import EMULATOR_ACCOUNT, EMULATOR_KEY

_HERE = Path(__file__).resolve().parent
_MODULES = _HERE / "node_modules"
_LISTENING = re.compile(
    r"Azurite (Blob|Queue|Table) service is successfully listening at (https?)://127\.0\.0\.1:(\d+)"
)
_IN_USE = re.compile(r"EADDRINUSE.*?:(\d+)")
_NODE_MISSING = "Node.js is needed for Azurite and was not found; install version 20 (with npm)"
#: Seconds that idle connections stay open: longer than a client's pool keeps them, so that none is used half closed.
_KEEP_ALIVE = "60"
#: Seconds to stop in order, writing its data, before it is killed.
_PATIENCE = 10.0


class AzuriteError(Exception):
    """Azurite cannot be installed or started; the text says why and how to mend it."""


class Azurite:
    """One Azurite process with all three services. A context manager, plain or async."""

    def __init__(
        self,
        *,
        location: Path | None = None,
        ports: tuple[int, int, int] = (0, 0, 0),
        certificate: tuple[Path, Path] | None = None,
        oauth: bool = False,
        start_within: float = 60.0,
    ) -> None:
        """
        Args:
            location: folder for its data; in memory when None.
            ports: of blobs, queues and tables; 0 for a free one.
            certificate: PEM files of a certificate for 127.0.0.1 or localhost and its key; serves https.
            oauth: accept bearer tokens as well, checking their form and not their signature; needs ``certificate``.
            start_within: seconds that it may take to start.
        """
        if oauth and certificate is None:
            raise ValueError("Azurite accepts bearer tokens over https only: give a certificate")
        self._location = location
        self._ports = ports
        self._certificate = certificate
        self._oauth = oauth
        self._start_within = start_within
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self._urls: dict[str, str] = {}
        self._said: list[str] = []

    @property
    def blob_url(self) -> str:
        """Of the account, without a slash at the end, as are the other two."""
        return self._urls["Blob"]

    @property
    def queue_url(self) -> str:
        """Of the account's queues."""
        return self._urls["Queue"]

    @property
    def table_url(self) -> str:
        """Of the account's tables."""
        return self._urls["Table"]

    @property
    def connection_string(self) -> str:
        """For AzureWebJobsStorage and the storage SDKs."""
        return (
            f"DefaultEndpointsProtocol={self.blob_url.split(':')[0]};AccountName={EMULATOR_ACCOUNT};"
            f"AccountKey={EMULATOR_KEY};BlobEndpoint={self.blob_url};QueueEndpoint={self.queue_url};"
            f"TableEndpoint={self.table_url};"
        )

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Install it if needed, start it, return when all three services listen. Raises AzuriteError."""
        install()
        node = shutil.which("node")
        if node is None:
            raise AzuriteError(_NODE_MISSING)
        self._process = subprocess.Popen(
            [node, "--require", str(_HERE / "watchdog.cjs"), str(_script()), *self._arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{EMULATOR_ACCOUNT}:{EMULATOR_KEY}"},
            start_new_session=True,  # a Ctrl-C is for the parent, who stops it after those that use it
        )
        listening = threading.Event()
        self._urls, self._said = {}, []
        self._reader = threading.Thread(target=self._read, args=(self._process, listening), name="azurite", daemon=True)
        self._reader.start()
        if not listening.wait(self._start_within) or len(self._urls) < 3:
            self.stop()
            raise AzuriteError(self._explain())

    def stop(self) -> None:
        """Stop it in order (it writes its data); kill it when that takes too long. May be repeated."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # already closed at the other end
            self._process.stdin.close()
        self._reader.join(5)
        self._process = None

    def __enter__(self) -> Azurite:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Azurite:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _arguments(self) -> Iterator[str]:
        # The storage SDKs send a newer API version than Azurite knows; what we use of it has not changed.
        yield from ("--silent", "--disableTelemetry", "--skipApiVersionCheck")
        for service, port in zip(("blob", "queue", "table"), self._ports, strict=True):
            yield from (f"--{service}Port", str(port), f"--{service}KeepAliveTimeout", _KEEP_ALIVE)
        if self._location is None:
            yield "--inMemoryPersistence"
        else:
            self._location.mkdir(parents=True, exist_ok=True)
            yield from ("--location", str(self._location))
        if self._certificate is not None:
            yield from ("--cert", str(self._certificate[0]), "--key", str(self._certificate[1]))
        if self._oauth:
            yield from ("--oauth", "basic")

    def _read(self, process: subprocess.Popen[str], listening: threading.Event) -> None:
        """Collect the URLs that Azurite announces, and keep its pipe empty afterwards."""
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if match := _LISTENING.search(line):
                    self._urls[match[1]] = f"{match[2]}://127.0.0.1:{match[3]}/{EMULATOR_ACCOUNT}"
                    if len(self._urls) == 3:
                        listening.set()
                elif len(self._said) < 50:
                    self._said.append(line.rstrip())
        listening.set()  # it ended

    def _explain(self) -> str:
        said = "\n".join(self._said)
        if taken := _IN_USE.search(said):
            return f"port {taken[1]} is taken by another program; stop that one or give Azurite another port"
        return f"Azurite did not start within {self._start_within:g} seconds; it said:\n{said}"


def install(say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> None:
    """Install the version that package-lock.json pins, if it is missing or another one. Raises AzuriteError.

    Needs the network only then. ``say`` receives a progress line.
    """
    with _one_at_a_time():
        if _is_installed():
            return
        npm = shutil.which("npm")
        if npm is None:
            raise AzuriteError(_NODE_MISSING)
        say("fetching Azurite with npm, once; this takes about 20 seconds ...")
        command = [npm, "ci", "--prefix", str(_HERE), "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not _is_installed():
            raise AzuriteError(f"npm ci --prefix local failed:\n{done.stderr.strip() or done.stdout.strip()}")


def _script() -> Path:
    return _MODULES / "azurite" / "dist" / "src" / "azurite.js"


def _is_installed() -> bool:
    """Is each package there in the version of the lock file? npm keeps a list of what it installed."""
    try:
        wanted, present = (
            json.loads(file.read_text())["packages"]
            for file in (_HERE / "package-lock.json", _MODULES / ".package-lock.json")
        )
    except FileNotFoundError:
        return False
    return _script().is_file() and all(
        present.get(path, {}).get("version") == entry.get("version")
        for path, entry in wanted.items()
        if path and not entry.get("optional")  # those depend on the system
    )


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two processes that start together (parallel tests) must not both install. The lock is on a file that is there
    anyway, so none is left behind."""
    with (_HERE / "package-lock.json").open() as lock:
        deadline = time.monotonic() + 300
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AzuriteError("another process has been installing Azurite for five minutes") from None
                time.sleep(0.2)
        yield
