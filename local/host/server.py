"""The host: an app, its HTTP port, its queues and its timers, from start to stop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from aiohttp import web

from local.host.asleep import Asleep
from local.host.bindings import Function, HttpTrigger, QueueOutput, QueueTrigger, TimerTrigger
from local.host.errors import HostError
from local.host.host_json import HostJson, read_host_json
from local.host.http import HttpFrontend, body_limit
from local.host.invoke import Invoker, thread_count
from local.host.keys import Keys, make_keys
from local.host.loader import MODULE, find_functions, import_app
from local.host.outputs import OutputWriter
from local.host.queues import QueueListener
from local.host.routes import Router
from local.host.settings import connection_string, read_settings
from local.host.singleton import CONTAINER
from local.host.timers import TimerListener
from local.storage_rest import Account, Queue, Storage

_logger = logging.getLogger("local.host")


class Host:
    """One function app on one port of 127.0.0.1. An async context manager: serving inside, stopped after.

        async with Host(Path("."), settings={"AzureWebJobsStorage": azurite.connection_string}) as host:
            ... host.url, host.keys.function[0]

    The app's module is imported anew (``host.module``), and the environment holds its settings, from start to stop.
    Functions have no way to be told of the end: what the module keeps open, a test has to close.
    """

    def __init__(
        self,
        app: Path,
        *,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        keys: Keys | None = None,
        queue_lease: float = 30.0,
        asleep: Path | None = None,
        grace: float = 5.0,
        share_port: bool = False,
    ) -> None:
        """
        Args:
            app: folder with function_app.py and host.json.
            port: 0 for a free one.
            settings: win over the environment and local.settings.json.
            keys: None for new ones.
            queue_lease: seconds that a received message stays hidden when this process dies.
            asleep: file with the names of functions that are not called; see ``local.host.asleep``.
            grace: seconds that running functions have to finish when the host stops.
            share_port: other processes listen on the same port (SO_REUSEPORT).
        """
        self.app = app.resolve()
        self.keys = keys or make_keys([], None, None)
        self.url = ""
        self.functions: list[Function] = []
        self.module: ModuleType | None = None
        self._port = port
        self._settings = dict(settings or {})
        self._queue_lease = queue_lease
        self._asleep = Asleep(asleep)
        self._grace = grace
        self._share_port = share_port
        self._saved: dict[str, str | None] = {}
        self._path_added = False
        self._storages: dict[str, Storage] = {}
        self._listeners: list[QueueListener | TimerListener] = []
        self._started_by_hand: set[asyncio.Task[None]] = set()
        self._invoker: Invoker | None = None
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Host:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Load the app, listen, then begin with queues and timers.

        Raises HostError when the app cannot be used, OSError when the port is taken.
        """
        settings = read_settings(self.app, {**os.environ, **self._settings})
        self._set_environment(settings)
        options = read_host_json(self.app, settings)
        for warning in options.warnings:
            _logger.warning("host.json: %s", warning)
        if str(self.app) not in sys.path:
            sys.path.insert(0, str(self.app))
            self._path_added = True
        self.module = import_app(self.app)
        self.functions = find_functions(self.module, settings, options.functions)
        queues = self._output_queues()
        outputs = OutputWriter(queues, base64_text=options.queues.base64, wake=self._wake)
        self._invoker = Invoker(outputs, str(self.app), options.function_timeout, thread_count(settings))
        self._make_listeners(self._invoker, options, settings)
        frontend = HttpFrontend(
            Router(self.functions, options.http.route_prefix), self._invoker, self.keys, options.http, self._run_now
        )
        await self._listen(frontend, body_limit(settings))
        for listener in self._listeners:
            listener.start()
        _logger.info("%d functions of %s on %s", len(self.functions), self.app, self.url)

    async def stop(self) -> None:
        """Take nothing new, let what runs finish within the grace, close everything. May be called twice."""
        stopping = [listener.stop(self._grace) for listener in self._listeners]
        if self._runner is not None:
            stopping.append(self._runner.cleanup())
        self._listeners, self._runner = [], None
        try:
            await asyncio.gather(*stopping, self._end_started_by_hand())
        finally:
            if self._invoker is not None:
                self._invoker.close()
            for storage in self._storages.values():
                await storage.aclose()
            self._storages.clear()
            self._restore_environment()

    def _set_environment(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            if os.environ.get(name) != value:
                self._saved[name] = os.environ.get(name)
                os.environ[name] = value

    def _restore_environment(self) -> None:
        for name, value in self._saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._saved.clear()
        sys.modules.pop(MODULE, None)
        if self._path_added:
            sys.path.remove(str(self.app))
            self._path_added = False

    def _storage(self, connection: str) -> Storage:
        if connection not in self._storages:
            try:
                self._storages[connection] = Storage(Account.parse(connection))
            except ValueError as error:
                raise HostError(f"a storage connection cannot be used: {error}") from None
        return self._storages[connection]

    def _output_queues(self) -> dict[QueueOutput, Queue]:
        outputs = (output for function in self.functions for output in function.outputs)
        return {output: self._storage(output.connection).queue(output.queue) for output in outputs}

    def _make_listeners(self, invoker: Invoker, options: HostJson, settings: Mapping[str, str]) -> None:
        for function in self.functions:
            trigger = function.trigger
            if isinstance(trigger, QueueTrigger):
                storage = self._storage(trigger.connection)
                self._listeners.append(
                    QueueListener(
                        function, trigger, storage, invoker, options.queues, self._queue_lease, self._wake, self._asleep
                    )
                )
            elif isinstance(trigger, TimerTrigger):
                connection = connection_string("", settings, f"timer {function.name}")
                container = self._storage(connection).container(CONTAINER)
                host_id = _host_id(self.app, settings)
                self._listeners.append(
                    TimerListener(
                        function, trigger, container, host_id, invoker, options.singleton, asleep=self._asleep
                    )
                )

    async def _listen(self, frontend: HttpFrontend, limit: int) -> None:
        loop = asyncio.get_running_loop()

        def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)

        server = web.Server(
            frontend.handle, request_factory=request, access_log=None, lingering_time=2.0, auto_decompress=False
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=self._grace)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_port=self._share_port or None)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    def _wake(self, connection: str, queue: str) -> None:
        for listener in self._listeners:
            if isinstance(listener, QueueListener) and listener.serves(connection, queue):
                listener.wake()

    def _run_now(self, name: str, text: str) -> None:
        function = next((one for one in self.functions if one.name.lower() == name.lower()), None)
        if function is None:
            raise KeyError(name)
        if isinstance(function.trigger, HttpTrigger):
            raise ValueError("an HTTP function is called at its own URL")
        listener = next(listener for listener in self._listeners if listener.function is function)
        task = asyncio.create_task(listener.run_once(text), name=f"admin {name}")
        self._started_by_hand.add(task)
        task.add_done_callback(self._started_by_hand.discard)

    async def _end_started_by_hand(self) -> None:
        if self._started_by_hand:
            await asyncio.wait(self._started_by_hand, timeout=self._grace)
        for task in self._started_by_hand:
            task.cancel()
        if self._started_by_hand:
            await asyncio.wait(self._started_by_hand)


def _host_id(app: Path, settings: Mapping[str, str]) -> str:
    """Names the app in storage: setting AzureFunctionsWebHost__hostid, else from machine and folder, as func does."""
    given = settings.get("AzureFunctionsWebHost__hostid", "")
    digest = hashlib.sha256(str(app).encode()).hexdigest()[:8]
    return given or f"{socket.gethostname().lower()[:20]}-{digest}"
