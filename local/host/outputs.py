"""Queue outputs: what a function set becomes messages, written after it returned and before its caller is answered.

When storage does not take a message, an HTTP function's caller gets 500, as in Azure (issue 3269 of
Azure/azure-functions-dotnet-worker).

What becomes of a value is as in Azure, surprises included:

* A list becomes one message for each of its texts, in order.
* A single text that looks like JSON is parsed by the host. An array becomes several messages (issue 1492 of
  Azure/azure-functions-python-worker); an object is written anew with line breaks and indentation, which makes it
  longer (issue 9581 of Azure/azure-functions-host); what is not JSON after all fails the call (issue 9587 there).
  Texts in a list, and bytes, are left alone. Not reproduced: Azure also rewrites dates and some numbers in there.
* A QueueMessage becomes a JSON object with its id and body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import azure.functions as func

from local.host.bindings import QueueOutput
from local.storage_rest import Queue


class OutputWriter:
    """Writes to the queues of all outputs, and wakes this process's own listeners of the same queue."""

    def __init__(
        self, queues: Mapping[QueueOutput, Queue], *, base64_text: bool, wake: Callable[[str, str], None]
    ) -> None:
        """
        Args:
            queues: the opened queue of every output.
            base64_text: encode message texts as base64 (host.json: messageEncoding).
            wake: called with connection string and queue name after a message was written.
        """
        self._queues = queues
        self._base64 = base64_text
        self._wake = wake

    async def write(self, output: QueueOutput, value: Any) -> None:
        """Write what the function set; a missing queue is created.

        Raises:
            TypeError, ValueError: the value cannot become messages.
            StorageError: a message was not written; those before it were.
        """
        queue = self._queues[output]
        for content in contents(value):
            await queue.put(encode(content, base64_text=self._base64))
            self._wake(output.connection, output.queue)


def contents(value: Any) -> list[str | bytes]:
    """The contents of the messages that ``value`` stands for. Raises TypeError or ValueError."""
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, func.QueueMessage):
        return [_from_message(value)]
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [_from_item(item) for item in value]
    raise TypeError(f"a queue output cannot take {type(value).__name__}, only text, bytes, QueueMessage or a list")


def encode(content: str | bytes, *, base64_text: bool) -> str:
    """The message text as it is stored. Raises ValueError for bytes that are no text, when they have to be."""
    if base64_text:
        return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
    return content if isinstance(content, str) else content.decode()


def _from_item(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, func.QueueMessage):
        return _from_message(item)
    raise TypeError(f"a list for a queue output cannot hold {type(item).__name__}, only texts and QueueMessages")


def _from_message(message: func.QueueMessage) -> str:
    return json.dumps({"id": message.id, "body": message.get_body().decode()}, indent=2, ensure_ascii=False)


def _from_text(text: str) -> list[str | bytes]:
    edges = text.strip()[:1] + text.strip()[-1:]
    if edges not in ("{}", "[]"):
        return [text]
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return [_json_text(item) for item in (parsed if isinstance(parsed, list) else [parsed])]


def _json_text(item: Any) -> str:
    """As .NET writes a JSON value as text: bare strings, True and False, nothing for null."""
    if isinstance(item, dict | list):
        return json.dumps(item, indent=2, ensure_ascii=False)
    return "" if item is None else str(item)
