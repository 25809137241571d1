"""Log lines: to stderr, as text or as JSON, each with the invocation it belongs to."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

#: Name of the function that runs in this context and id of its invocation.
current: ContextVar[tuple[str, str] | None] = ContextVar("invocation", default=None)

#: Libraries that write a paragraph per request at level INFO.
_CHATTY = ("azure", "httpx", "msal", "urllib3")
_EXTRA = ("function", "invocation_id", "ms", "outcome")


def configure(form: Literal["text", "json"], level: int, *, show_pid: bool = False) -> None:
    """Send all log lines of this process to stderr.

    Args:
        form: ``json`` writes one object per line: time, level, logger, message, pid and, where known, function,
            invocation_id, ms, outcome and exception.
        level: the least important level that is written, as in :mod:`logging`.
        show_pid: put the process id into text lines; several processes share a terminal.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines(show_pid))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Facts about each line that are not written need not be found out (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if level > logging.DEBUG:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(max(level, logging.WARNING))


class _TextLines(logging.Formatter):
    def __init__(self, show_pid: bool) -> None:
        super().__init__()
        self._pid = f"{os.getpid()} " if show_pid else ""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        running = current.get()
        name = f"{running[0]} {running[1][:8]}" if running else record.name
        line = (
            f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {self._pid}{record.levelname:<7} {name}: {record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": os.getpid(),
        }
        if running := current.get():
            line |= {"function": running[0], "invocation_id": running[1]}
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
