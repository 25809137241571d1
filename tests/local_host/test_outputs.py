from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

from local.host.outputs import contents, encode


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("plain text", ["plain text"]),
        ("", [""]),
        (b"\x00\xff", [b"\x00\xff"]),
        (["one", "two"], ["one", "two"]),
        (("one",), ["one"]),
        ([], []),
        # Texts in a list are left alone, whatever they hold.
        (['{"a":1}', "[1,2]"], ['{"a":1}', "[1,2]"]),
        (b'{"a":1}', [b'{"a":1}']),
        # A single text that is JSON is not (azure-functions-host 9581, azure-functions-python-worker 1492).
        ('{"a":1,"b":["\u00e4"]}', ['{\n  "a": 1,\n  "b": [\n    "\u00e4"\n  ]\n}']),
        ('[1, "two", {"three": 3}, null, true]', ["1", "two", '{\n  "three": 3\n}', "", "True"]),
        ("[]", []),
    ],
)
def test_what_messages_a_value_becomes(value: Any, messages: list[str | bytes]) -> None:
    assert contents(value) == messages


def test_a_queue_message_becomes_json_with_id_and_body() -> None:
    message = func.QueueMessage(id="7", body="text")
    assert [json.loads(text) for text in contents(message)] == [{"id": "7", "body": "text"}]
    assert [json.loads(text) for text in contents([message])] == [{"id": "7", "body": "text"}]


@pytest.mark.parametrize("value", [7, 1.5, {"a": 1}, [1], [b"bytes"], [["nested"]], object()])
def test_what_cannot_be_messages_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="queue output"):
        contents(value)


def test_text_that_only_looks_like_json_is_refused_as_in_azure() -> None:
    with pytest.raises(ValueError, match="Extra data"):
        contents('{"a": 1}\n{"a": 2}')


def test_text_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        contents("[" * 100_000 + "]" * 100_000)


def test_encoding() -> None:
    assert encode("ä", base64_text=True) == "w6Q="
    assert encode(b"\xff", base64_text=True) == "/w=="
    assert encode("ä", base64_text=False) == "ä"
    assert encode("ä".encode(), base64_text=False) == "ä"
    with pytest.raises(ValueError, match="decode"):
        encode(b"\xff", base64_text=False)
