"""``python -m local.host`` as processes: killed, restarted, stopped, orphaned."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.azurite import Azurite
from local.host.outputs import encode
from local.storage_rest import Storage
from tests.local_host.support import (
    FUNCTION_KEY,
    ROOT,
    emptied,
    eventually,
    eventually_sync,
    first_line,
    is_running,
    notes,
    process,
    write_app,
)  # fmt: skip

PID = """
@app.route(route="pid", auth_level=func.AuthLevel.ANONYMOUS)
async def pid(req): return str(os.getpid())
@app.route(route="keyed")
async def keyed(req): return "open"
"""
WORK = """
@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection=STORAGE)
async def work(message: func.QueueMessage) -> None:
    note("began", os.getpid(), message.dequeue_count)
    if message.dequeue_count == 1:
        await asyncio.sleep(600)
    note("done", os.getpid(), message.dequeue_count)
"""


class Runner:
    """Starts hosts for one app, with notes in one file."""

    def __init__(self, folder: Path, azurite: Azurite, queue: str) -> None:
        self._folder = folder
        self.notes_file = folder / "notes"
        self.environment = {
            "AzureWebJobsStorage": azurite.connection_string,
            "QUEUE": queue,
            "NOTES": str(self.notes_file),
            "AzureFunctionsWebHost__hostid": queue,
            "AzureFunctionsJobHost__singleton__listenerLockRecoveryPollingInterval": "00:00:00.2",
        }
        self._stack = ExitStack()

    def start(self, source: str, *arguments: str, wait: bool = True) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        app = write_app(self._folder / "app", source)
        command = ("--app", str(app), "--port", "0", "--key", FUNCTION_KEY, "--log", "json", *arguments)
        child = self._stack.enter_context(process("local.host", *command, environment=self.environment))
        return child, first_line(child) if wait else {}

    def notes(self, what: str = "") -> list[list[Any]]:
        return [note for note in notes(self.notes_file) if not what or note[0] == what]


@pytest.fixture
def runner(tmp_path: Path, azurite: Azurite, queue_name: str) -> Iterator[Runner]:
    runner = Runner(tmp_path, azurite, queue_name)
    with runner._stack:
        yield runner


def get(url: str, key: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"x-functions-key": key, "Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_it_tells_where_it_serves_and_stops_in_order(runner: Runner) -> None:
    child, told = runner.start(PID)
    assert told["pid"] == child.pid
    assert told["key"] == FUNCTION_KEY
    assert get(f"{told['url']}/api/pid") == (200, str(child.pid))
    assert get(f"{told['url']}/api/keyed", told["key"]) == (200, "open")
    assert get(f"{told['url']}/api/keyed", told["admin_key"]) == (200, "open")
    assert get(f"{told['url']}/api/keyed") == (401, "")
    child.terminate()
    rest, log = child.communicate(timeout=20)
    assert child.returncode == 0
    assert rest == ""  # one line on stdout and nothing else
    lines = [json.loads(line) for line in log.splitlines()]  # each line is JSON: no warning of Python's in between
    calls = [line for line in lines if line.get("outcome")]
    assert {(line["function"], line["outcome"], line["level"]) for line in calls} == {
        ("pid", "ok", "info"),
        ("keyed", "ok", "info"),
    }
    assert all(line["ms"] >= 0 and line["invocation_id"] for line in calls)
    assert FUNCTION_KEY not in log


def test_ctrl_c_stops_it_too_and_a_function_may_finish(runner: Runner) -> None:
    source = """
@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection=STORAGE)
def work(message: func.QueueMessage) -> None:
    note("began")
    time.sleep(1)
    note("done")
"""
    child, told = runner.start(source)
    post(told, "work")
    eventually_sync(lambda: runner.notes("began"))
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode == 0
    assert runner.notes() == [["began"], ["done"]]


def stop(child: subprocess.Popen[str]) -> None:
    child.terminate()
    child.communicate(timeout=20)
    assert child.returncode == 0


def post(told: dict[str, Any], name: str) -> None:
    request = urllib.request.Request(
        f"{told['url']}/admin/functions/{name}",
        method="POST",
        data=b"{}",
        headers={"x-functions-key": told["admin_key"]},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 202


def test_a_thread_that_never_ends_does_not_keep_it(runner: Runner) -> None:
    source = """
@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def stuck(timer: func.TimerRequest) -> None:
    note("began")
    time.sleep(600)
"""
    child, _ = runner.start(source, "--grace", "0.2")
    eventually_sync(lambda: runner.notes("began"))
    child.terminate()
    child.communicate(timeout=20)
    assert child.returncode == 0


async def test_the_message_of_a_killed_process_comes_back_and_is_done_once_more(
    runner: Runner, storage: Storage, queue_name: str
) -> None:
    child, _ = runner.start(WORK, "--queue-lease", "2")
    await storage.queue(queue_name).put(encode("precious", base64_text=True))
    await eventually(lambda: runner.notes("began"))
    child.kill()
    child.wait()
    another, _ = runner.start(WORK, "--queue-lease", "2")
    await eventually(lambda: runner.notes("done"))
    assert runner.notes() == [["began", child.pid, 1], ["began", another.pid, 2], ["done", another.pid, 2]]
    await asyncio.to_thread(stop, another)
    await emptied(storage, queue_name, within=5)


async def test_a_killed_worker_is_replaced_and_its_message_done_by_another(
    runner: Runner, storage: Storage, queue_name: str
) -> None:
    child, told = runner.start(PID + WORK, "--queue-lease", "2", "--workers", "2")
    await storage.queue(queue_name).put(encode("precious", base64_text=True))
    [[_, victim, _]] = await eventually(lambda: runner.notes("began"))
    assert victim != child.pid
    os.kill(victim, signal.SIGKILL)
    [[_, rescuer, count]] = await eventually(lambda: runner.notes("done"))
    assert (rescuer != victim, count) == (True, 2)
    assert len(pids(told, 2)) == 2
    stop(child)


def pids(told: dict[str, Any], count: int) -> set[int]:
    """The processes that answer on the port, once there are ``count`` of them."""
    found: set[int] = set()

    def all_of_them() -> bool:
        found.add(int(get(f"{told['url']}/api/pid")[1]))
        return len(found) >= count

    eventually_sync(all_of_them)
    return found


def test_workers_share_port_and_keys_and_end_with_their_supervisor(runner: Runner) -> None:
    child, told = runner.start(PID, "--workers", "2")
    workers = pids(told, 2)
    assert child.pid not in workers
    assert {get(f"{told['url']}/api/keyed", FUNCTION_KEY)[0] for _ in range(10)} == {200}
    child.kill()  # not even asked to stop
    child.wait()
    eventually_sync(lambda: not any(is_running(pid) for pid in workers))


def test_workers_that_keep_dying_are_given_up(runner: Runner) -> None:
    source = PID + 'note("started")\nos.kill(os.getpid(), 9)\n'
    child, _ = runner.start(source, "--workers", "2", wait=False)
    _, log = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "workers died 6 times within 60 seconds, giving up" in log
    assert len(runner.notes("started")) <= 7


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_app_that_cannot_be_used_ends_it_with_the_reason(runner: Runner, workers: str) -> None:
    child, _ = runner.start("import not_installed\n", "--workers", workers, wait=False)
    out, log = child.communicate(timeout=60)
    assert child.returncode == 2
    assert out == ""
    assert "cannot be imported: ModuleNotFoundError: No module named 'not_installed'" in log


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--workers", "0", "--workers and --queue-lease have to be at least 1"),
        ("--queue-lease", "0.5", "--workers and --queue-lease have to be at least 1"),
        ("--grace", "-1", "--grace at least 0"),
        ("--port", "65536", "--port has to be from 0 to 65535"),
        ("--app", "nowhere", "--app an existing folder"),
    ],
)
def test_options_out_of_range_are_refused(runner: Runner, option: str, value: str, complaint: str) -> None:
    child, _ = runner.start(PID, option, value, wait=False)
    _, log = child.communicate(timeout=60)
    assert child.returncode == 2
    assert complaint in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_ends_it_with_port_and_fix(runner: Runner, workers: str) -> None:
    with taken_port() as port:
        child, _ = runner.start(PID, "--port", str(port), "--workers", workers, wait=False)
        _, log = child.communicate(timeout=60)
    assert child.returncode == 2
    assert f"port {port} is taken by another program; stop that one or choose another port with --port" in log


@pytest.mark.parametrize(("first", "then"), [("1", "2"), ("2", "1")])
def test_a_port_can_be_used_again_at_once(runner: Runner, first: str, then: str) -> None:
    child, told = runner.start(PID, "--workers", first)
    port = int(told["url"].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(b"GET /api/pid HTTP/1.1\r\nHost: x\r\n\r\n")
        assert caller.recv(1000).startswith(b"HTTP/1.1 200 OK")
        stop(child)  # closes the connection first, so that the kernel remembers it for a minute
        assert caller.recv(1000) == b""
    again, told = runner.start(PID, "--workers", then, "--port", str(port))
    assert get(f"{told['url']}/api/pid")[0] == 200
    stop(again)


def test_a_timer_runs_in_one_of_two_processes(runner: Runner) -> None:
    source = (
        PID
        + """
@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def tick(timer: func.TimerRequest) -> None:
    note("tick", os.getpid())
"""
    )
    child, told = runner.start(source, "--workers", "2")
    pids(told, 2)
    eventually_sync(lambda: len(runner.notes("tick")) >= 3)
    [holder] = {pid for _, pid in runner.notes("tick")}
    os.kill(holder, signal.SIGTERM)  # in order, so that it gives the lease back
    eventually_sync(lambda: any(pid != holder for _, pid in runner.notes("tick")))
    child.terminate()
    child.communicate(timeout=20)


def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path, azurite: Azurite) -> None:
    app = write_app(tmp_path / "app", PID)
    parent = f"""
import sys, time
from local import lifeline
child = lifeline.start("local.host", ["--app", {str(app)!r}, "--port", "0"])
print(child.pid, child.stdout.readline(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "AzureWebJobsStorage": azurite.connection_string},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        pid = int(process.stdout.readline().split()[0])
        assert is_running(pid)
        process.kill()
    eventually_sync(lambda: not is_running(pid))


async def test_settings_come_from_the_file_and_the_environment_wins(
    runner: Runner, tmp_path: Path, storage: Storage, queue_name: str
) -> None:
    source = """
note(os.environ["FROM_FILE"], os.environ["BOTH"], os.getcwd(), os.path.basename(os.path.dirname(__file__)))
@app.route(route="x")
def x(req): return "x"
"""
    app = write_app(tmp_path / "app", source)
    (app / "local.settings.json").write_text(json.dumps({"Values": {"FROM_FILE": "file", "BOTH": "file"}}))
    runner.environment["BOTH"] = "environment"
    await asyncio.to_thread(runner.start, source)
    assert runner.notes() == [["file", "environment", str(app), "app"]]
