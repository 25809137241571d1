"""Stand-ins for the messages that the Functions host and its Python worker exchange.

In Azure they are protocol buffers (public schema: FunctionRpc.proto of Azure/azure-functions-language-worker-protobuf).
The library only constructs them by keyword, reads attributes, and asks which member of a "oneof" is set; that much is
here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

_ONEOF = {
    "data": (
        "string", "json", "bytes", "stream", "http", "int", "double", "collection_bytes", "collection_string",
        "collection_double", "collection_sint64", "model_binding_data", "collection_model_binding_data",
    ),
    "rpc_data": ("data", "rpc_shared_memory"),
}  # fmt: skip


class Message(SimpleNamespace):
    """Any message: its fields are what it was constructed with."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - the name that protocol buffers have
        """Name of the member of the group that is set."""
        return next((name for name in _ONEOF[group] if getattr(self, name, None) is not None), None)


class BindingInfo(Message):
    # Directions and the data type that none was given for, numbered as in the schema.
    out = 1
    inout = 2
    undefined = 0


class StatusResult(Message):
    Failure = 0
    Success = 1


class RpcHttpCookie(Message):
    class SameSite:
        # "None" is reached by name, for it is no identifier in Python.
        locals()["None"] = 0
        Lax = 1
        Strict = 2
        ExplicitNone = 3


class Protos:
    """The module of message classes, as the library receives it. Those without constants are all alike."""

    BindingInfo = BindingInfo
    StatusResult = StatusResult
    RpcHttpCookie = RpcHttpCookie

    def __getattr__(self, name: str) -> type[Message]:
        return type(name, (Message,), {})


PROTOS = Protos()


def typed(value: Any) -> Message:
    """TypedData of a text, bytes, a whole number, or anything else as JSON text."""
    if isinstance(value, str):
        return Message(string=value)
    if isinstance(value, bytes):
        return Message(bytes=value)
    if isinstance(value, int):
        return Message(int=value)
    raise TypeError(f"no TypedData for {type(value).__name__}")
