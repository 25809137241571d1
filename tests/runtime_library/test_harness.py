"""A sample app, and broken ones, in Microsoft's library."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from local.host.outputs import contents
from tests.local_host.support import write_app
from tests.runtime_library.harness import IndexingFailed, InvocationFailed, run_app

APP = """
@app.route(route="alerts/{id}", methods=["POST"])
@app.queue_output(arg_name="queued", queue_name="work", connection=STORAGE)
async def alerts(req: func.HttpRequest, queued: func.Out[typing.List[str]]) -> func.HttpResponse:
    if req.params.get("fail"):
        raise ValueError("a detail")
    queued.set([f"{req.route_params['id']}: {item}" for item in req.get_json()])
    headers = {"X-Kind": req.headers["kind"]}
    return func.HttpResponse("{}", status_code=202, mimetype="application/json", headers=headers)

@app.route(route="ping", auth_level=func.AuthLevel.ANONYMOUS)
def ping(req: func.HttpRequest) -> str:
    return os.environ["ANSWER"]

@app.queue_trigger(arg_name="message", queue_name="work", connection=STORAGE)
async def work(message: func.QueueMessage) -> None:
    seen.append([message.id, message.get_body(), message.dequeue_count, message.insertion_time.tzinfo is not None])

@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
@app.queue_output(arg_name="$return", queue_name="ticks", connection=STORAGE)
def tick(timer: func.TimerRequest) -> str:
    return f"past due: {timer.past_due}"
"""


async def test_an_app_is_indexed_with_all_its_bindings(tmp_path: Path) -> None:
    async with run_app(write_app(tmp_path, APP)) as app:
        assert set(app.functions) == {"alerts", "ping", "work", "tick"}
        assert app.functions["alerts"].trigger["route"] == "alerts/{id}"
        assert app.functions["alerts"].trigger["authLevel"] == "FUNCTION"
        assert app.functions["ping"].trigger["authLevel"] == "ANONYMOUS"
        assert app.functions["work"].trigger["queueName"] == "work"
        assert app.functions["tick"].trigger["schedule"] == "0 */5 * * * *"
        assert {binding["type"] for binding in app.functions["alerts"].bindings} == {"httpTrigger", "http", "queue"}


async def test_functions_are_called_and_their_outputs_come_back(tmp_path: Path) -> None:
    async with run_app(write_app(tmp_path, APP), {"ANSWER": "pong"}) as app:
        answer = await app.http("alerts", body=b"[1, 2]", headers={"kind": "demo"}, route={"id": "7"})
        assert (answer.status, answer.body) == (202, b"{}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["X-Kind"] == "demo"
        assert answer.messages == {"queued": ["7: 1", "7: 2"]}

        pong = await app.http("ping", method="GET")
        assert (pong.status, pong.body) == (200, b"pong")

        await app.queue("work", "body", dequeue_count=3, message_id="the-id")
        assert sys.modules["function_app"].__dict__["seen"] == [["the-id", b"body", 3, True]]

        ticked = await app.timer("tick", past_due=True)
        assert ticked.messages == {"$return": ["past due: True"]}


async def test_a_function_that_raises_is_a_failed_invocation(tmp_path: Path) -> None:
    async with run_app(write_app(tmp_path, APP)) as app:
        with pytest.raises(InvocationFailed, match="ValueError: a detail"):
            await app.http("alerts", query={"fail": "1"})


HTTP = '@app.route(route="x")\n'
OUTPUT = '@app.queue_output(arg_name="out", queue_name="work", connection=STORAGE)\n'
QUEUE = '@app.queue_trigger(arg_name="message", queue_name="work", connection=STORAGE)\n'


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import a_module_that_is_not_there", r"Cannot find module. Please check the requirements\.txt"),
        (f"{HTTP}def a(req): ...\n{QUEUE}def a(message): ...", "Function a does not have a unique function name"),
        (f"{HTTP}def a(req, more): ...", "parameters are declared in Python but not in the function definition"),
        (f"{HTTP}def a(): ...", "Extra parameters in binding definition"),
        (f"{HTTP}def a(req: int): ...", "do not match the corresponding function parameter's Python type annotation"),
        (f"{OUTPUT}{HTTP}def a(req, out: func.Out[list[str]]): ...", "invalid non-type annotation"),
        ("@app.function_name('a')\ndef a(): ...", "Function a does not have a trigger"),
        ("app = None", "Could not find top level function app instances"),
        ("other = func.FunctionApp()", "More than one"),
    ],
)
async def test_a_broken_app_is_refused_with_azures_words(tmp_path: Path, source: str, complaint: str) -> None:
    with pytest.raises(IndexingFailed, match=complaint):
        async with run_app(write_app(tmp_path, source)):
            raise AssertionError("it was loaded")


async def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexingFailed, match="No functions found"):
        async with run_app(tmp_path):
            raise AssertionError("it was loaded")


async def test_nothing_of_an_app_is_left_behind(tmp_path: Path) -> None:
    path, environment = list(sys.path), dict(os.environ)
    async with run_app(write_app(tmp_path / "one", APP), {"ANSWER": "one"}):
        pass
    assert "function_app" not in sys.modules
    assert (sys.path, dict(os.environ)) == (path, environment)
    async with run_app(write_app(tmp_path / "two", f"{HTTP}def other(req): ...")) as app:
        assert set(app.functions) == {"other"}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("str", "plain"),
        ("str", '{"a": {"b": [1, "\\u00e4"]}}'),
        ("str", '[1, "two", {"three": 3}, null, true]'),
        ("bytes", b'{"a": 1}'),
        ("typing.List[str]", ["one", '{"two":2}', "[3]"]),
        ("typing.List[str]", []),
        ("typing.List[str]", "one alone"),
    ],
)
async def test_the_local_host_makes_the_same_messages_of_a_value(tmp_path: Path, annotation: str, value: Any) -> None:
    source = f"""
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
@app.queue_output(arg_name="out", queue_name="work", connection=STORAGE)
def f(timer: func.TimerRequest, out: func.Out[{annotation}]) -> None:
    out.set({value!r})
"""
    async with run_app(write_app(tmp_path, source)) as app:
        result = await app.timer("f")
    assert result.messages["out"] == contents(value)


@pytest.mark.parametrize("made", ["func.QueueMessage(id='7', body='x')", "[func.QueueMessage(body='x'), 'text']"])
async def test_and_of_queue_messages(tmp_path: Path, made: str) -> None:
    source = f"""
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
@app.queue_output(arg_name="out", queue_name="work", connection=STORAGE)
def f(timer: func.TimerRequest, out: func.Out[func.QueueMessage]) -> None:
    out.set({made})
"""
    async with run_app(write_app(tmp_path, source)) as app:
        result = await app.timer("f")
    assert result.messages["out"] == contents(eval(made, {"func": func}))


@pytest.mark.parametrize("value", [[1], [b"bytes"]])
async def test_and_both_refuse_the_rest(tmp_path: Path, value: Any) -> None:
    source = f"""
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
@app.queue_output(arg_name="out", queue_name="work", connection=STORAGE)
def f(timer: func.TimerRequest, out: func.Out[typing.List[str]]) -> None:
    out.set({value!r})
"""
    async with run_app(write_app(tmp_path, source)) as app:
        with pytest.raises(InvocationFailed):
            await app.timer("f")
    with pytest.raises(TypeError):
        contents(value)
