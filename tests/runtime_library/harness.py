"""Runs a function app in azure-functions-runtime, the library with which Azure runs Python 3.13 and later.

It indexes and validates the app as Azure does and turns what functions return into what the host receives. So an app
that passes here loads in Azure; the local host, which is our own, cannot prove that.

    async with run_app(Path("."), settings={...}) as app:
        answer = await app.http("alerts", body=b"{}")
        assert answer.status == 202
        assert len(answer.messages["queued"]) == 1

The library keeps its state in module globals: one app at a time. Its package is installed although it asks for a newer
Python; it works on 3.11.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import azure_functions_runtime as runtime
from azure_functions_runtime import handle_event
from azure_functions_runtime.functions import Registry

from local.host.outputs import contents
from tests.runtime_library.protos import PROTOS, Message, StatusResult, typed

_MODULE = "function_app"


class IndexingFailed(Exception):
    """Azure would not load the app; the text is what its log would say."""


class InvocationFailed(Exception):
    """The function raised, or returned what its bindings cannot take; the text is what Azure's log would say."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the host receives after a call. ``messages`` are the queue messages by output name, as the host makes
    them of it; ``status``, ``headers`` and ``body`` are of the HTTP response."""

    messages: Mapping[str, list[str | bytes]]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function. ``bindings`` are as in function.json; ``retry`` is its retry policy, None without."""

    name: str
    id: str
    bindings: tuple[Mapping[str, Any], ...]
    retry: Any

    @property
    def trigger(self) -> Mapping[str, Any]:
        """Its trigger's binding."""
        return next(binding for binding in self.bindings if str(binding["type"]).endswith("Trigger"))


class App:
    """The indexed app."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions

    async def http(
        self,
        name: str,
        *,
        method: str = "POST",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        route: Mapping[str, str] | None = None,
    ) -> Result:
        """Call an HTTP function. Raises InvocationFailed."""
        request = Message(
            method=method,
            url=f"http://localhost/api/{self.functions[name].trigger['route']}",
            headers=dict(headers or {}),
            query=dict(query or {}),
            params=dict(route or {}),
            body=typed(body),
        )
        return await self._call(name, Message(http=request), {})

    async def queue(self, name: str, text: str, *, dequeue_count: int = 1, message_id: str | None = None) -> Result:
        """Call a queue function with a message. Raises InvocationFailed."""
        now = datetime.now(UTC)
        metadata = {
            "Id": message_id or str(uuid4()),
            "DequeueCount": str(dequeue_count),
            "InsertionTime": now.isoformat(),
            "ExpirationTime": (now + timedelta(days=7)).isoformat(),
            "NextVisibleTime": (now + timedelta(minutes=10)).isoformat(),
            "PopReceipt": "demo-receipt",
        }
        return await self._call(name, typed(text), metadata)

    async def events(self, name: str, bodies: Sequence[bytes]) -> Result:
        """Call an Event Hub function with a batch of messages. Raises InvocationFailed."""
        properties = [{"SequenceNumber": number, "Offset": str(number)} for number, _ in enumerate(bodies)]
        metadata = {"SystemPropertiesArray": json.dumps(properties)}
        return await self._call(name, Message(collection_bytes=Message(bytes=list(bodies))), metadata)

    async def timer(self, name: str, *, past_due: bool = False) -> Result:
        """Call a timer function. Raises InvocationFailed."""
        request = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": past_due}
        return await self._call(name, Message(json=json.dumps(request)), {})

    async def _call(self, name: str, value: Message, metadata: Mapping[str, str]) -> Result:
        function = self.functions[name]
        request = Message(
            invocation_id=str(uuid4()),
            function_id=function.id,
            input_data=[Message(name=function.trigger["name"], data=value)],
            trigger_metadata={key: typed(text) for key, text in metadata.items()},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        response = await runtime.invocation_request(Message(request=Message(invocation_request=request)))
        _check(response.result, InvocationFailed)
        messages = {output.name: _messages(output.data) for output in response.output_data}
        returned = response.return_value
        if returned is None or returned.WhichOneof("data") is None:
            return Result(messages)
        if returned.WhichOneof("data") == "http":
            answer = returned.http
            return Result(messages, int(answer.status_code), dict(answer.headers), answer.body.bytes)
        if function.trigger["type"] == "httpTrigger":
            return Result(messages, 200, {}, _text(returned).encode())
        return Result({**messages, "$return": _messages(returned)})


def run_app(folder: Path, settings: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[App]:
    """Index and load the function app in ``folder``; inside, ``settings`` are in the environment.

    Raises IndexingFailed, when entered, with the message that Azure would log.
    """
    return _running(folder.resolve(), settings or {})


@asynccontextmanager
async def _running(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[App]:
    saved_environment, saved_path = dict(os.environ), list(sys.path)
    os.environ.update(settings)
    sys.path.insert(0, os.fspath(folder))
    sys.modules.pop(_MODULE, None)
    handle_event._functions = Registry()
    runtime.start_threadpool_executor()
    try:
        yield App(await _load(folder))
    finally:
        runtime.stop_threadpool_executor()
        sys.modules.pop(_MODULE, None)
        sys.path[:] = saved_path
        os.environ.clear()
        os.environ.update(saved_environment)


async def _load(folder: Path) -> dict[str, Function]:
    request = Message(worker_init_request=Message(capabilities={}, function_app_directory=str(folder)))
    properties = {"host": "127.0.0.1", "protos": PROTOS}
    started = await runtime.worker_init_request(Message(request=request, properties=properties))
    _check(started.result, IndexingFailed)
    indexed = await runtime.functions_metadata_request(Message())
    _check(indexed.result, IndexingFailed)
    functions = {}
    for one in indexed.function_metadata_results or ():
        load = Message(function_load_request=Message(function_id=one.function_id))
        _check((await runtime.function_load_request(Message(request=load))).result, IndexingFailed)
        bindings = tuple(json.loads(text) for text in one.raw_bindings)
        functions[one.name] = Function(one.name, one.function_id, bindings, one.retry_options)
    if not functions:
        raise IndexingFailed("No functions found")
    return functions


def _check(result: StatusResult, kind: type[Exception]) -> None:
    if result.status != StatusResult.Success:
        raise kind(result.exception.message)


def _text(data: Message) -> str:
    return str(getattr(data, data.WhichOneof("data") or ""))


def _messages(data: Message) -> list[str | bytes]:
    """The queue messages that the host makes of an output; a text that is JSON is taken apart, as in the local host."""
    kind = data.WhichOneof("data")
    if kind == "bytes":
        return [data.bytes]
    return contents(_text(data))
