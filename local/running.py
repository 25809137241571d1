"""A running ``local up`` as a child, for programs that work with it: the demo, the benchmarks, the end-to-end tests."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import httpx

from local import lifeline

#: Seconds to start everything. Generous: the first start on a slow machine counts too.
_START = 90.0

#: Events of the app's log after which nothing more comes of a signal.
ENDINGS = ("signal_delivered", "signal_grouped", "signal_split", "signal_quarantined", "signal_dead_lettered")

Event = dict[str, Any]


class NotRunning(Exception):
    """It did not start, or did not do in time what was waited for."""


class Running:
    """``python -m local up`` with its one line of JSON (``session``) and the events that its app logs.

    Args:
        arguments: for ``local up``.
        environment: settings beside the environment of this process.
        heard: called with every line of its stderr that is no event.
    """

    def __init__(
        self,
        arguments: list[str],
        environment: Mapping[str, str] | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._heard = heard or (lambda _line: None)
        self.lines: list[str] = []
        self._events: dict[str, list[Event]] = {}
        self._news = threading.Condition()
        self._first: queue.Queue[str] = queue.Queue()
        command = [sys.executable, "-m", "local.lifeline", "local", "up", *arguments]
        options = lifeline.options({**os.environ, **(environment or {})})
        self.process: subprocess.Popen[str] = subprocess.Popen(command, **{**options, "stderr": subprocess.PIPE})
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_stdout, self._read_stderr)]
        for reader in self._readers:
            reader.start()
        self.http = httpx.Client(timeout=30, trust_env=False)
        try:
            self.session = self._await_session()
        except BaseException:
            self.close()
            raise

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._first.put(line)

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            _, found, rest = line.partition('{"event"')
            event = None
            if found:
                with contextlib.suppress(ValueError):
                    event = json.loads(found + rest)
            if event is None:
                self._heard(line.rstrip())
                continue
            with self._news:
                self._events.setdefault(event.get("id", ""), []).append(event)
                self._news.notify_all()

    def _await_session(self) -> dict[str, Any]:
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                found: dict[str, Any] = json.loads(self._first.get(timeout=0.2))
                return found
            if self.process.poll() is not None:
                raise NotRunning("local up did not start; its last lines: " + "".join(self.lines[-5:]))
        raise NotRunning(f"local up did not start within {_START:g} seconds")

    def request(self, name: str, **options: Any) -> httpx.Response:
        """POST to ``alerts``, ``recommendations`` or ``preview``, with the key unless ``headers`` are given."""
        app = self.session["app"]
        options.setdefault("headers", {"x-functions-key": app["key"]})
        return self.http.post(app[f"{name}_url"], **options)

    def serves(self) -> bool:
        """Whether the app answers, and can take signals in."""
        try:
            return self.http.get(self.session["app"]["health_url"]).status_code == 200
        except httpx.TransportError:
            return False

    def post(self, body: Any, to: str = "alerts") -> list[str]:
        """Send alerts; an id for each under which it can be followed. Raises NotRunning for any answer but 202."""
        answer = self.request(to, json=body)
        if answer.status_code != 202:
            raise NotRunning(f"the webhook answered {answer.status_code}: {answer.text[:300]}")
        return [item["id"] for item in answer.json()["items"]]

    def events(self, signal_id: str) -> list[Event]:
        """What the app has logged of a signal so far."""
        with self._news:
            return list(self._events.get(signal_id, ()))

    def outcome(self, signal_id: str, patience: float = 60.0) -> Event:
        """The event that ended a signal, once there is one. Raises NotRunning when none comes."""
        return self.event(signal_id, lambda event: event["event"] in ENDINGS, patience)

    def event(self, signal_id: str, wanted: Callable[[Event], bool], patience: float = 60.0) -> Event:
        """The last event of a signal that is wanted, once there is one. Raises NotRunning when none comes."""
        deadline = time.monotonic() + patience
        with self._news:
            while True:
                found = [event for event in self._events.get(signal_id, ()) if wanted(event)]
                if found:
                    return found[-1]
                if time.monotonic() >= deadline:
                    known = [event["event"] for event in self._events.get(signal_id, ())]
                    raise NotRunning(f"signal {signal_id} did not get there within {patience:g} s; events: {known}")
                self._news.wait(timeout=0.2)

    def close(self) -> int:
        """End everything in order; the exit code."""
        if hasattr(self, "http"):
            self.http.close()
        code = lifeline.stop(self.process)
        for reader in self._readers:
            reader.join(timeout=10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
