"""Takes outcomes and events, and hands their measures to OpenTelemetry, once that is there.

OpenTelemetry and its exporter cost tenths of a second to import (docs/operations.md has the figures). So nothing of
them is imported before they are needed, and then on a thread of their own: until they are there, measures wait here.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from shared.operations.measures import Measure, Measures
from shared.platform.log import record

if TYPE_CHECKING:  # the webhook imports this module on its cold path
    from shared.core.outcome import Outcome

#: An instance that only answers webhooks starts its export this many seconds after its first event. On Flex
#: Consumption, HTTP and queue triggers run on different instances ("Event-driven scaling", per-function scaling).
PATIENCE = 20.0

#: Measures that wait at most; the oldest give way.
_MOST_WAITING = 10_000


class Meters(Protocol):
    """Where measures go."""

    def add(self, measure: Measure) -> None: ...


class Telemetry:
    """An ``OutcomeListener``, and with :meth:`heard` a listener for ``shared.platform.log.listen``."""

    def __init__(self, start: Callable[[], Meters], patience: float = PATIENCE) -> None:
        """
        Args:
            start: builds what takes the measures: imports, connects, may take long. Raises ValueError or ImportError
                when that cannot be, with a text that holds no secret.
            patience: seconds between the first event and the start, unless ``hurry`` is called.
        """
        self._start = start
        self._patience = patience
        self._measures = Measures()
        self._waiting: deque[Measure] = deque(maxlen=_MOST_WAITING)
        self._lock = threading.Lock()
        self._now = threading.Event()
        self._thread: threading.Thread | None = None
        self._meters: Meters | None = None

    async def ended(self, outcome: Outcome) -> None:
        """Count how a message ended."""
        self._add(self._measures.of_outcome(outcome))

    def heard(self, event: str, fields: Mapping[str, Any]) -> None:
        """Count one event of the log that is no outcome."""
        self._add(self._measures.of_event(event, fields))

    def _add(self, measures: Iterable[Measure]) -> None:
        with self._lock:
            for measure in measures:
                if self._meters is not None:
                    self._meters.add(measure)
                else:
                    self._waiting.append(measure)
                    self._wake()

    def hurry(self) -> None:
        """Start now: something is delivered here, which is not a cold path any more."""
        if not self._now.is_set():
            self._now.set()
            with self._lock:
                self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bridge-telemetry", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        self._now.wait(self._patience)
        try:
            meters = self._start()
        except (ValueError, ImportError) as error:
            meters = _Nowhere()
            record("telemetry_unavailable", logging.ERROR, reason=f"{type(error).__name__}: {error}")
        with self._lock:
            while self._waiting:
                meters.add(self._waiting.popleft())
            self._meters = meters


class _Nowhere:
    def add(self, measure: Measure) -> None:
        """Nothing: the log has said why."""
