"""Several worker processes behind one port: starts them, replaces one that dies, stops them.

Every worker listens on the port itself (SO_REUSEPORT): the kernel gives each new connection to one of them. All poll
the queues; a timer runs in the one that holds its lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from pathlib import Path

from local import lifeline
from local.host.keys import Keys
from local.scratch import scratch

_logger = logging.getLogger("local.host")
#: Exit code of a process that cannot use its app; trying again would not help.
UNUSABLE = 2
#: No more than this many replacements in this many seconds; then something is wrong that a restart does not mend.
_MOST_RESTARTS, _WINDOW = 5, 60.0


class Supervisor:
    """Keeps ``count`` workers running."""

    def __init__(self, count: int, arguments: list[str], keys: Keys, port: int, patience: float) -> None:
        """
        Args:
            arguments: of ``python -m local.host`` for every worker, without port and keys.
            port: 0 for a free one.
            patience: seconds that workers have to stop in order before they are killed.
        """
        self._count = count
        self._arguments = arguments
        self._keys = keys
        self._port = port
        self._patience = patience
        self._reserved = socket.socket()
        self._workers: list[Process] = []
        self._restarts: deque[float] = deque()

    def reserve(self) -> str:
        """Take the port without listening on it, so that it stays ours while workers come and go; the URL.

        Raises OSError when it is taken.
        """
        with socket.socket() as probe:  # a port shared by strangers would be found free otherwise
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self._port))
            self._port = probe.getsockname()[1]
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):  # the first for what a run before left closing
            self._reserved.setsockopt(socket.SOL_SOCKET, option, 1)
        self._reserved.bind(("127.0.0.1", self._port))
        return f"http://127.0.0.1:{self._port}"

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> int:
        """Run until ``stop`` is set, calling ``ready`` once all workers serve; the exit code."""
        with scratch("host") as folder, self._reserved:
            keys_file = folder / "keys.json"  # not on the command line, which every user of the machine can read
            keys_file.touch(mode=0o600)
            keys_file.write_text(json.dumps({"function": self._keys.function, "admin": self._keys.admin}))
            code = 0
            try:
                code = await self._keep_running(stop, ready, keys_file)
            finally:
                await self._stop_all()
            return code

    async def _keep_running(self, stop: asyncio.Event, ready: Callable[[], None], keys_file: Path) -> int:
        """Returns when ``stop`` is set (0) or one place for a worker cannot be filled (its exit code)."""
        serving = _Countdown(self._count, ready)
        places = [asyncio.create_task(self._fill_place(keys_file, serving)) for _ in range(self._count)]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait((stopped, *places), return_when=asyncio.FIRST_COMPLETED)
            return 0 if stopped in done else next(place.result() for place in places if place in done)
        finally:
            for task in (stopped, *places):
                task.cancel()
            await asyncio.wait((stopped, *places))

    async def _fill_place(self, keys_file: Path, serving: _Countdown) -> int:
        """Keep one worker running; the exit code for all when that makes no sense any more."""
        first = True
        while True:
            worker = await self._start(keys_file)
            assert worker.stdout is not None
            if await worker.stdout.readline() and first:  # the line that it writes once it serves
                first = False
                serving.one_more()
            code = await worker.wait()
            self._workers.remove(worker)
            if code == UNUSABLE:
                return code
            if not self._may_restart():
                _logger.critical("workers died %d times within %g seconds, giving up", _MOST_RESTARTS + 1, _WINDOW)
                return 1
            _logger.error("worker %d died (exit code %s), starting another", worker.pid, code)

    def _may_restart(self) -> bool:
        now = asyncio.get_running_loop().time()
        while self._restarts and now - self._restarts[0] > _WINDOW:
            self._restarts.popleft()
        self._restarts.append(now)
        return len(self._restarts) <= _MOST_RESTARTS

    async def _start(self, keys_file: Path) -> Process:
        options = lifeline.options() | {"text": False}
        command = [sys.executable, "-m", lifeline.__name__, "local.host", "--worker", "--port", str(self._port)]
        worker = await asyncio.create_subprocess_exec(
            *command, "--keys-file", str(keys_file), *self._arguments, **options
        )
        self._workers.append(worker)
        return worker

    async def _stop_all(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        ends = [asyncio.create_task(worker.wait()) for worker in self._workers]
        if ends and (await asyncio.wait(ends, timeout=self._patience))[1]:
            for worker in self._workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
            await asyncio.wait(ends)


class _Countdown:
    """Calls ``then`` once, when ``count`` have been counted."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._left = count
        self._then = then

    def one_more(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._then()
