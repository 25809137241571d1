"""What the host refuses when it starts: as Azure would, or because it cannot do it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.host.errors import HostError
from local.host.server import Host
from tests.local_host.support import RunHost, write_app

HTTP = '@app.route(route="x")\n'
QUEUE = '@app.queue_trigger(arg_name="message", queue_name="work", connection=STORAGE)\n'
TIMER = '@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")\n'
OUTPUT = '@app.queue_output(arg_name="out", queue_name="work", connection=STORAGE)\n'


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import a_module_that_is_not_there", "cannot be imported: ModuleNotFoundError"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("app = None", "exactly one function app, it defines 0"),
        ("other = func.FunctionApp()", "exactly one function app, it defines 2"),
        ("", "defines no functions"),
        (f"{HTTP}def f(req): ...\n{QUEUE}def f(message): ...", "f does not have a unique function name"),
        ("@app.function_name('f')\ndef f(): ...", "f does not have a trigger"),
        (f"{HTTP}def f(request): ...", r"no binding for its parameters \['request'\]"),
        (f"{OUTPUT}{HTTP}def f(req): ...", r"no parameters for its bindings \['out'\]"),
        (f"{HTTP}def f(req: str): ...", "parameter req has to be annotated as HttpRequest"),
        (f"{QUEUE}def f(message: bytes): ...", "parameter message has to be annotated as QueueMessage or str"),
        (f"{TIMER}def f(timer: dict): ...", "parameter timer has to be annotated as TimerRequest"),
        (f"{HTTP}def f(req: 'Nobody'): ...", "annotations cannot be resolved: name 'Nobody' is not defined"),
        (f"{OUTPUT}{HTTP}def f(req, out: str): ...", r"out is an output and has to be annotated as func.Out"),
        (f"{OUTPUT}{HTTP}def f(req, out: func.Out[list[str]]): ...", r"write func\.Out\[typing\.List\[str\]\]"),
        (TIMER.replace("0 * * * * *", "00:05:00") + "def f(timer): ...", "f: schedule '00:05:00' is a TimeSpan"),
        (TIMER.replace("0 * * * * *", "%WHEN%") + "def f(timer): ...", "'%WHEN%' does not resolve"),
        (QUEUE.replace("work", "Not_A_Queue") + "def f(message): ...", "'Not_A_Queue' is no queue name"),
        (QUEUE.replace("work", "a--b") + "def f(message): ...", "'a--b' is no queue name"),
        (OUTPUT.replace("work", "{queueTrigger}") + QUEUE + "def f(message, out): ...", "expressions in braces"),
        (QUEUE.replace("=STORAGE", "='Elsewhere'") + "def f(message): ...", "there is no setting Elsewhere"),
        (QUEUE.replace("=STORAGE", "='Bad'") + "def f(message): ...", "AccountName and AccountKey is needed"),
        ("@app.blob_trigger(arg_name='b', path='x', connection=STORAGE)\ndef f(b): ...", "trigger blobTrigger is not"),
        (f"@app.blob_output(arg_name='b', path='x', connection=STORAGE)\n{HTTP}def f(req, b): ...", "binding blob is"),
        (f"@app.retry(strategy='fixed_delay', max_retry_count='3', delay_interval='1')\n{TIMER}def f(timer): ...",
            "retry policies are not supported"),
        (HTTP.replace('"x"', '"x/{a}-{b}"') + "def f(req): ...", "is not supported here"),
    ],
)  # fmt: skip
async def test_an_app_that_cannot_run_is_refused(tmp_path: Path, azurite: Azurite, source: str, complaint: str) -> None:
    app = write_app(tmp_path / "app", source)
    host = Host(app, settings={"AzureWebJobsStorage": azurite.connection_string, "Bad": "AccountName=only"})
    with pytest.raises(HostError, match=complaint):
        async with host:
            raise AssertionError("it started")


@pytest.mark.parametrize("threads", ["0", "many"])
async def test_a_thread_count_that_is_none_is_refused(run_host: RunHost, threads: str) -> None:
    with pytest.raises(HostError, match="PYTHON_THREADPOOL_THREAD_COUNT has to be a whole number"):
        await run_host(f"{HTTP}def f(req): ...", settings={"PYTHON_THREADPOOL_THREAD_COUNT": threads})


async def test_functions_can_be_disabled_by_setting_and_chosen_by_host_json(run_host: RunHost) -> None:
    source = "\n".join(f"{HTTP.replace('x', name)}def {name}(req): ..." for name in ("a", "b", "c"))
    host = await run_host(source, {"functions": ["a", "b"]}, settings={"AzureWebJobs.b.Disabled": "true"})
    assert [function.name for function in host.functions] == ["a"]


@pytest.mark.parametrize("already_on_the_path", [True, False])
async def test_nothing_of_an_app_is_left_behind(
    tmp_path: Path, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, already_on_the_path: bool
) -> None:
    app = write_app(tmp_path / "app", f"{HTTP}def f(req): ...\nfrom beside import ANSWER")
    (app / "beside.py").write_text("ANSWER = 42")
    if already_on_the_path:
        monkeypatch.syspath_prepend(app)
    monkeypatch.setenv("KEPT", "before")
    path, environment = list(sys.path), dict(os.environ)
    async with Host(app, settings={"AzureWebJobsStorage": azurite.connection_string, "KEPT": "changed"}) as host:
        assert os.environ["KEPT"] == "changed"
        assert host.module is sys.modules["function_app"]
        assert host.module.__dict__["ANSWER"] == 42
    assert "function_app" not in sys.modules
    assert sys.modules.pop("beside").__dict__["ANSWER"] == 42
    assert (sys.path, dict(os.environ)) == (path, environment)


async def test_references_are_resolved_in_routes_queues_and_schedules(run_host: RunHost) -> None:
    host = await run_host(
        """
        @app.route(route="%WHERE%/x")
        def a(req): ...
        @app.queue_trigger(arg_name="m", queue_name="%QUEUE%-in", connection=STORAGE)
        @app.queue_output(arg_name="out", queue_name="%QUEUE%-OUT", connection=STORAGE)
        def b(m, out): ...
        @app.timer_trigger(arg_name="t", schedule="%WHEN%")
        def c(t): ...
        """,
        settings={"WHERE": "here", "WHEN": "0 0 0 1 1 *", "QUEUE": "contoso"},
    )
    a, b, c = (function.trigger for function in host.functions)
    assert (getattr(a, "route", ""), getattr(b, "queue", ""), getattr(c, "schedule", "")) == (
        "here/x", "contoso-in", "0 0 0 1 1 *",
    )  # fmt: skip
    assert host.functions[1].outputs[0].queue == "contoso-out"
