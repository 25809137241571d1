"""POST /admin/functions/NAME: run a timer or queue function now."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.local_host.support import ADMIN_KEY, FUNCTION_KEY, RunHost, eventually, seen

APP = """
@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection=STORAGE)
async def work(message: func.QueueMessage) -> None:
    seen.append(["work", message.get_body().decode(), message.dequeue_count])
@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
def tidy(timer: func.TimerRequest) -> None:
    seen.append(["tidy", timer.past_due])
@app.route(route="x")
def x(req): return "x"
"""


@pytest.mark.parametrize(
    ("name", "body", "noted"),
    [
        ("work", {"input": "hello"}, ["work", "hello", 1]),
        ("work", {}, ["work", "", 1]),
        ("TIDY", {"input": ""}, ["tidy", False]),
    ],
)
async def test_a_function_runs_at_once(
    run_host: RunHost, http: aiohttp.ClientSession, name: str, body: Any, noted: list[Any]
) -> None:
    host = await run_host(APP)
    async with http.post(
        f"{host.url}/admin/functions/{name}", json=body, headers={"x-functions-key": ADMIN_KEY}
    ) as answer:
        assert (answer.status, await answer.read()) == (202, b"")
    await eventually(lambda: seen() == [noted])


@pytest.mark.parametrize(
    ("method", "path", "key", "body", "status"),
    [
        ("POST", "/admin/functions/tidy", "", "{}", 401),
        ("POST", "/admin/functions/tidy", FUNCTION_KEY, "{}", 401),
        ("POST", "/admin/functions/nobody", ADMIN_KEY, "{}", 404),
        ("GET", "/admin/functions/tidy", ADMIN_KEY, "", 404),
        ("POST", "/admin/elsewhere", ADMIN_KEY, "{}", 404),
        ("POST", "/admin/functions/x", ADMIN_KEY, "{}", 400),
        ("POST", "/admin/functions/work", ADMIN_KEY, "[]", 400),
        ("POST", "/admin/functions/work", ADMIN_KEY, '{"input": 1}', 400),
        ("POST", "/admin/functions/work", ADMIN_KEY, "{", 400),
    ],
)
async def test_other_requests_are_refused(
    run_host: RunHost, http: aiohttp.ClientSession, method: str, path: str, key: str, body: str, status: int
) -> None:
    host = await run_host(APP)
    async with http.request(method, host.url + path, data=body, headers={"x-functions-key": key}) as answer:
        assert answer.status == status
    assert seen() == []
