"""What a function receives besides its trigger: output parameters and the invocation context.

The classes are those that azure.functions declares, filled as the Python worker fills them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func


class Out(func.Out[Any]):
    """An output parameter; None until the function sets it."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context of the request; empty texts when it had none."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetryContext:
    """There are no retry policies here, so this never counts."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


_thread_local = threading.local()


class Context(func.Context):
    """The ``context`` parameter of a function."""

    def __init__(self, invocation_id: str, name: str, directory: str, trace: TraceContext) -> None:
        self._invocation_id = invocation_id
        self._name = name
        self._directory = directory
        self._trace = trace

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        return _thread_local

    @property
    def function_name(self) -> str:
        return self._name

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return RetryContext()
