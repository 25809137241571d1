"""HTTP triggers through a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
import pytest
from yarl import URL

from local.host.errors import HostError
from tests.local_host.support import ADMIN_KEY, FUNCTION_KEY, RunHost, eventually, seen

ECHO = """
@app.route(route="echo/{id}/{rest?}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    body = {
        "method": req.method, "url": req.url, "params": dict(req.params), "route": dict(req.route_params),
        "headers": dict(req.headers), "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(body), mimetype="application/json")
"""
LEVELS = """
@app.route(route="open", auth_level=func.AuthLevel.ANONYMOUS)
async def open_(req): return "open"
@app.route(route="normal")
async def normal(req): return "normal"
@app.route(route="admin", auth_level=func.AuthLevel.ADMIN)
async def admin(req): return "admin"
"""


async def test_a_function_sees_the_whole_request(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(ECHO)
    url = f"{host.url}/api/echo/a%20b/c%2Fd?one=1&two=2&two=3&empty=&%C3%A4=%26"
    headers = [("X-Twice", "1"), ("X-Twice", "2"), ("Content-Type", "application/json")]
    async with http.post(URL(url, encoded=True), data="körper".encode(), headers=headers) as answer:
        assert answer.status == 200
        told = await answer.json()
    assert told["method"] == "POST"
    assert told["url"] == url
    assert told["params"] == {"one": "1", "two": "2,3", "ä": "&"}
    assert told["route"] == {"id": "a b", "rest": "c%2Fd"}
    assert told["headers"]["x-twice"] == "1,2"
    assert told["headers"]["content-type"] == "application/json"
    assert told["body"] == "körper"


async def test_a_response_is_returned_as_it_is(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(
        """
        @app.route(route="full", auth_level=func.AuthLevel.ANONYMOUS)
        def full(req):
            headers = {"X-One": "1"}
            answer = func.HttpResponse("é", status_code=418, headers=headers, mimetype="text/html", charset="latin-1")
            answer.headers.add("Set-Cookie", "a=1")
            answer.headers.add("Set-Cookie", "b=2")
            return answer
        @app.route(route="bytes", auth_level=func.AuthLevel.ANONYMOUS)
        def bytes_(req): return func.HttpResponse(b"\\x00\\xff", mimetype="application/octet-stream")
        @app.route(route="own", auth_level=func.AuthLevel.ANONYMOUS)
        def own(req): return func.HttpResponse("{}", headers={"Content-Type": "application/problem+json"})
        @app.route(route="nothing", auth_level=func.AuthLevel.ANONYMOUS)
        def nothing(req): return func.HttpResponse(status_code=204)
        """
    )
    async with http.get(f"{host.url}/api/full") as answer:
        assert answer.status == 418
        assert await answer.read() == "é".encode("latin-1")
        assert answer.headers["Content-Type"] == "text/html; charset=latin-1"
        assert answer.headers["X-One"] == "1"
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    async with http.get(f"{host.url}/api/bytes") as answer:
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert await answer.read() == b"\x00\xff"
    async with http.get(f"{host.url}/api/own") as answer:
        assert answer.headers.getall("Content-Type") == ["application/problem+json"]
    async with http.get(f"{host.url}/api/nothing") as answer:
        assert (answer.status, await answer.read()) == (204, b"")


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("open", None, 200),
        ("open", "wrong", 200),
        ("normal", None, 401),
        ("normal", "wrong", 401),
        ("normal", FUNCTION_KEY[:-1], 401),
        ("normal", FUNCTION_KEY, 200),
        ("normal", "another-key", 200),
        ("normal", ADMIN_KEY, 200),
        ("admin", None, 401),
        ("admin", FUNCTION_KEY, 401),
        ("admin", ADMIN_KEY, 200),
        ("nowhere", None, 404),
    ],
)
async def test_who_may_call_what(
    run_host: RunHost, http: aiohttp.ClientSession, path: str, key: str | None, status: int
) -> None:
    host = await run_host(LEVELS)
    by_header = http.get(f"{host.url}/api/{path}", headers={"x-functions-key": key} if key else {})
    by_query = http.get(f"{host.url}/api/{path}", params={"code": key} if key else {})
    for call in (by_header, by_query):
        async with call as answer:
            assert answer.status == status
            assert await answer.text() == (path if status == 200 else "")


async def test_a_key_of_any_bytes_is_only_a_wrong_key(run_host: RunHost) -> None:
    host = await run_host(LEVELS)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(host.url.rsplit(":", 1)[1]))
    writer.write(b"GET /api/normal HTTP/1.1\r\nHost: x\r\nx-functions-key: \xff\xfe\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
    writer.close()
    await writer.wait_closed()


async def test_an_unknown_method_is_not_found_as_in_azure(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(ECHO)
    async with http.delete(f"{host.url}/api/echo/1") as answer:
        assert (answer.status, await answer.read()) == (404, b"")
        assert "Allow" not in answer.headers


async def test_a_function_that_raises_is_a_500_that_tells_nothing(
    run_host: RunHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    host = await run_host(
        """
        @app.route(route="bad", auth_level=func.AuthLevel.ANONYMOUS)
        async def bad(req): raise ValueError("a detail for the log only")
        @app.route(route="none", auth_level=func.AuthLevel.ANONYMOUS)
        async def none(req): return None
        """
    )
    for path in ("bad", "none"):
        async with http.get(f"{host.url}/api/{path}") as answer:
            assert (answer.status, await answer.read()) == (500, b"")
    assert "a detail for the log only" in caplog.text
    assert "an HTTP function has to return HttpResponse or text, not NoneType" in caplog.text


async def test_async_functions_share_the_loop_and_others_have_threads(
    run_host: RunHost, http: aiohttp.ClientSession
) -> None:
    host = await run_host(
        """
        import threading
        both = threading.Barrier(2, timeout=20)
        @app.route(route="sync", auth_level=func.AuthLevel.ANONYMOUS)
        def sync(req):
            both.wait()  # passes only when two run at the same time
            return str(threading.current_thread() is threading.main_thread())
        @app.route(route="async", auth_level=func.AuthLevel.ANONYMOUS)
        async def async_(req): return str(threading.current_thread() is threading.main_thread())
        """
    )

    async def get(path: str) -> str:
        async with http.get(f"{host.url}/api/{path}") as answer:
            assert answer.status == 200
            return await answer.text()

    answers = await asyncio.gather(get("sync"), get("sync"), get("async"))
    assert list(answers) == ["False", "False", "True"]


async def test_a_function_may_ask_for_its_context(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(
        """
        @app.route(route="context", auth_level=func.AuthLevel.ANONYMOUS)
        def asks(req: func.HttpRequest, context: func.Context) -> str:
            trace = context.trace_context
            return json.dumps([context.function_name, context.function_directory, context.invocation_id,
                               trace.trace_parent, trace.trace_state, context.retry_context.retry_count])
        """
    )
    headers = {"traceparent": "00-abc-def-01", "tracestate": "x=1"}
    async with http.get(f"{host.url}/api/context", headers=headers) as answer:
        name, directory, invocation, parent, state, retries = json.loads(await answer.text())
    assert (name, directory, parent, state, retries) == ("asks", str(host.app), "00-abc-def-01", "x=1", 0)
    assert len(invocation) == 36


async def test_a_body_above_the_limit_is_refused_before_it_is_read(
    run_host: RunHost, http: aiohttp.ClientSession
) -> None:
    host = await run_host(ECHO, settings={"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000"})
    url = f"{host.url}/api/echo/1"
    async with http.post(url, data=b"x" * 1000) as answer:
        assert answer.status == 200
    async with http.post(url, data=b"x" * 1001) as answer:
        assert (answer.status, await answer.read()) == (413, b"")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"x" * 600

    async with http.post(url, data=chunks()) as answer:  # no Content-Length to go by
        assert answer.status == 413


async def test_a_limit_that_is_no_number_is_refused(run_host: RunHost) -> None:
    with pytest.raises(HostError, match="FUNCTIONS_REQUEST_BODY_SIZE_LIMIT has to be a number of bytes"):
        await run_host(ECHO, settings={"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1 MB"})


async def test_a_caller_that_expects_100_continue_gets_it_only_when_its_body_is_wanted(run_host: RunHost) -> None:
    host = await run_host(ECHO + LEVELS)
    port = int(host.url.rsplit(":", 1)[1])

    async def ask(path: str, length: int = 4) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        writer.write(head.encode())
        first = await reader.readuntil(b"\r\n\r\n")
        last = first
        if b"100" in first.splitlines()[0]:
            writer.write(b"body")
            last = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return first.splitlines()[0], last.splitlines()[0]

    assert await ask("/api/echo/1") == (b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK")
    too_large = f"HTTP/1.1 413 {HTTPStatus(413).phrase}".encode()  # newer releases of Python call it otherwise
    assert await ask("/api/echo/1", 10**9) == (too_large, too_large)
    assert await ask("/api/normal") == (b"HTTP/1.1 401 Unauthorized", b"HTTP/1.1 401 Unauthorized")


async def test_custom_headers_and_prefix_of_host_json(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(LEVELS, {"extensions": {"http": {"routePrefix": "v1", "customHeaders": {"X-Own": "yes"}}}})
    for path, status in (("/v1/open", 200), ("/v1/normal", 401), ("/api/open", 404)):
        async with http.get(host.url + path) as answer:
            assert (answer.status, answer.headers["X-Own"]) == (status, "yes")


SLOW = """
go = asyncio.Event()
@app.route(route="slow", auth_level=func.AuthLevel.ANONYMOUS)
async def slow(req):
    seen.append("in")
    await go.wait()
    return "done"
"""


async def test_requests_above_the_limits_wait_or_are_turned_away(
    run_host: RunHost, http: aiohttp.ClientSession
) -> None:
    host = await run_host(SLOW, {"extensions": {"http": {"maxConcurrentRequests": 1, "maxOutstandingRequests": 2}}})

    async def get() -> int:
        async with http.get(f"{host.url}/api/slow") as answer:
            return answer.status

    first = asyncio.create_task(get())
    await eventually(lambda: seen() == ["in"])
    others = [asyncio.create_task(get()) for _ in range(2)]
    done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [429]
    assert seen() == ["in"]  # the third waits for its turn
    let_go()
    assert [await task for task in (first, *waiting)] == [200, 200]


def let_go() -> None:
    sys.modules["function_app"].__dict__["go"].set()


async def test_a_function_that_takes_too_long_is_stopped(
    run_host: RunHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    host = await run_host(SLOW, {"functionTimeout": "00:00:00.2"})
    async with http.get(f"{host.url}/api/slow") as answer:
        assert answer.status == 500
    assert "stopped after 0.2 seconds (host.json: functionTimeout)" in caplog.text


async def test_a_stopping_host_finishes_what_it_has_begun(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(SLOW, grace=20.0)

    async def get() -> str:
        async with http.get(f"{host.url}/api/slow") as answer:
            return await answer.text()

    call = asyncio.create_task(get())
    await eventually(lambda: seen() == ["in"])
    stopping = asyncio.create_task(host.stop())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    let_go()
    assert await call == "done"
    await stopping


async def test_a_stopping_host_does_not_wait_for_ever(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(SLOW, grace=0.2)
    call = asyncio.create_task(http.get(f"{host.url}/api/slow").__aenter__())
    await eventually(lambda: seen() == ["in"])
    await asyncio.wait_for(host.stop(), 10)
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_the_root_page_and_other_paths(run_host: RunHost, http: aiohttp.ClientSession) -> None:
    host = await run_host(ECHO)
    async with http.get(host.url) as answer:
        assert answer.status == 200
        assert "is running" in await answer.text()
    for path in ("/api", "/favicon.ico"):
        async with http.get(host.url + path) as answer:
            assert answer.status == 404


async def test_each_call_is_one_log_line(
    run_host: RunHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host = await run_host(ECHO)
    caplog.clear()
    async with http.get(f"{host.url}/api/echo/1") as answer:
        assert answer.status == 200
    [line] = [record for record in caplog.records if record.name == "local.host"]
    assert line.__dict__["outcome"] == "ok"
    assert line.__dict__["ms"] >= 0
