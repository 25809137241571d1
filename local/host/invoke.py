"""One call of a function: arguments, time limit, outputs, and one log line."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

from local.host import log
from local.host.bindings import Function, HttpTrigger
from local.host.context import Context, Out, TraceContext
from local.host.errors import HostError, InvocationFailed, OutputFailed
from local.host.outputs import OutputWriter
from local.storage_rest import StorageError

_logger = logging.getLogger("local.host")
_NO_TRACE = TraceContext()


class Invoker:
    """Calls functions. Asynchronous ones run on the event loop, others in a pool of threads."""

    def __init__(self, outputs: OutputWriter, directory: str, timeout: float | None, threads: int | None) -> None:
        """
        Args:
            outputs: takes what functions set.
            directory: of the app.
            timeout: seconds that a call may take, None for no limit (host.json: functionTimeout).
            threads: for functions that are not async; None for Python's default, as in Azure.
        """
        self._outputs = outputs
        self._directory = directory
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="function")

    def close(self) -> None:
        """Start no more threads. One that still runs a function cannot be stopped and is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def call(self, function: Function, value: Any, trace: TraceContext = _NO_TRACE) -> Any:
        """Call with the trigger's value, write the outputs, return the function's result (HTTP functions only).

        Raises:
            InvocationFailed: the function raised, took too long, or gave what its bindings cannot take.
            OutputFailed: it succeeded, but storage did not take its output.
        """
        invocation_id = str(uuid4())
        token = log.current.set((function.name, invocation_id))
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            result = await self._call(function, value, invocation_id, trace)
            outcome = "ok"
            return result
        except InvocationFailed:
            outcome = "failed"
            raise
        except OutputFailed:
            outcome = "output failed"
            raise
        finally:
            ms = (time.perf_counter() - started) * 1000
            extra = {"ms": round(ms, 1), "outcome": outcome}
            _logger.info("%s in %.1f ms", outcome, ms, extra=extra)
            log.current.reset(token)

    async def _call(self, function: Function, value: Any, invocation_id: str, trace: TraceContext) -> Any:
        outs = {output.arg: Out() for output in function.outputs if output.arg != "$return"}
        args: dict[str, Any] = {function.trigger.arg: value, **outs}
        if function.wants_context:
            args["context"] = Context(invocation_id, function.name, self._directory, trace)
        result = await self._run(function, args)
        if function.outputs:
            await self._write(function, outs, result)
        if isinstance(function.trigger, HttpTrigger):
            return result
        if result is not None and not any(output.arg == "$return" for output in function.outputs):
            _logger.error("it returned a value, but has no $return binding to take it")
            raise InvocationFailed(function.name)
        return None

    async def _run(self, function: Function, args: Mapping[str, Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                if function.is_async:
                    return await function.call(**args)
                work = partial(contextvars.copy_context().run, partial(function.call, **args))
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except Exception as error:  # the app's own code runs here and may raise anything
            if isinstance(error, TimeoutError) and limit.expired():
                _logger.error("stopped after %g seconds (host.json: functionTimeout)", self._timeout)
            else:
                _logger.exception("it raised %s", type(error).__name__)
            raise InvocationFailed(function.name) from None

    async def _write(self, function: Function, outs: Mapping[str, Out], result: Any) -> None:
        for output in function.outputs:
            value = result if output.arg == "$return" else outs[output.arg].get()
            if value is None:
                continue
            try:
                await self._outputs.write(output, value)
            except StorageError as error:
                _logger.error("output %s was not written: %s", output.arg, error)
                raise OutputFailed(function.name) from None
            except (TypeError, ValueError) as error:
                _logger.error("output %s cannot be written: %s", output.arg, error)
                raise InvocationFailed(function.name) from None


def thread_count(settings: Mapping[str, str]) -> int | None:
    """Setting PYTHON_THREADPOOL_THREAD_COUNT, None when it is not set. Raises HostError.

    Source: Microsoft Learn, "App settings reference for Azure Functions".
    """
    text = settings.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise HostError(f"PYTHON_THREADPOOL_THREAD_COUNT has to be a whole number above 0, not {text!r}")
    return int(text)
