"""A simulator made of the kit and of nothing else has listeners, log, clock, settings, faults and a control API."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.simulator_kit.server import Endpoints
from tests.simulator_kit.notes import running
from tests.simulators import NO_AUTHORITIES, ControlClient, in_background

ROOT = Path(__file__).parents[2]
COMMAND = """
from local.simulator_kit.command import main
from tests.simulator_kit.notes import running
main("notes", "Notes.", running, {"folder": "directory that keeps the certificates"})
"""


@pytest.fixture(scope="module")
def endpoints() -> Iterator[Endpoints]:
    with in_background(running) as simulator:
        yield simulator


@pytest.fixture
def control(endpoints: Endpoints) -> Iterator[ControlClient]:
    with httpx.Client(base_url=endpoints.control_url, verify=NO_AUTHORITIES) as client:
        control = ControlClient(client)
        control.post("/reset")
        yield control


@pytest.fixture
def notes(endpoints: Endpoints) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=endpoints.url, verify=NO_AUTHORITIES, timeout=10) as client:
        yield client


def test_it_serves_over_http_and_over_tls_with_its_own_authority(endpoints: Endpoints, notes: httpx.Client) -> None:
    assert notes.get("/notes").status_code == 200
    trust = ssl.create_default_context(cafile=endpoints.ca_file)
    assert httpx.get(f"{endpoints.https_url}/notes", verify=trust).status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{endpoints.https_url}/notes", verify=NO_AUTHORITIES)


def test_requests_are_logged_and_counted_by_target_without_secrets(control: ControlClient, notes: httpx.Client) -> None:
    notes.post("/notes?token=abc", json={"text": "x", "password": "secret-1"})
    last = control.last_request()
    assert (last["operation"], last["status"], last["committed"], last["user"]) == ("write", 201, True, "kim")
    assert last["query"] == "token=[redacted]"
    assert "secret-1" not in last["body"]
    counters = control.get("/counters")
    assert (counters["by_method_and_operation"], counters["by_status"]) == ({"POST write": 1}, {"201": 1})
    assert control.delete("/requests")["total"] == 0


def test_the_journal_has_what_was_before_and_after(control: ControlClient, notes: httpx.Client) -> None:
    notes.post("/notes", json={"text": "x"})
    (entry,) = control.get("/journal")
    assert (entry["user"], entry["target"], entry["before"], entry["after"]) == ("kim", "notes/1", None, {"text": "x"})
    assert entry["operation"] == "write"


def test_help_has_the_endpoints_settings_and_faults_of_both(control: ControlClient) -> None:
    listed = control.get("")
    assert {"GET /control", "GET /control/notes", "POST /control/clock"} <= listed["endpoints"].keys()
    assert listed["settings"].keys() == {"latency_ms", "most"}
    assert {"slow", "cut_after_commit", "busy"} <= listed["scenarios"].keys()
    assert listed["scenario_order"]["match"] == {"operation": "write or read", "path": "regular expression"}


def test_settings_change_and_a_reset_can_keep_them(control: ControlClient, notes: httpx.Client) -> None:
    control.set(most=0)
    assert notes.post("/notes", json={}).status_code == 507
    control.post("/reset", keep="settings")
    assert notes.post("/notes", json={}).status_code == 507
    control.post("/reset")
    assert notes.post("/notes", json={}).status_code == 201


def test_the_clock_stands_still_and_moves(control: ControlClient, notes: httpx.Client) -> None:
    control.post("/clock", freeze=True, set="2026-05-01T08:00:00Z")
    control.post("/clock", advance=60)
    notes.post("/notes", json={})
    assert control.get("/journal")[0]["time"] == "2026-05-01 08:01:00"
    assert control.post("/clock", reset=True)["frozen"] is False


@pytest.mark.parametrize("kind", ["cut_before_commit", "cut_after_commit", "commit_then_hang"])
def test_a_dropped_connection_says_in_the_log_whether_it_committed(
    control: ControlClient, notes: httpx.Client, kind: str
) -> None:
    control.order(kind, times=1, **({"seconds": 0.1} if kind == "commit_then_hang" else {}))
    with pytest.raises(httpx.TransportError):
        notes.post("/notes", json={"text": "x"})
    committed = kind != "cut_before_commit"
    last = control.last_request()
    assert (last["status"], last["committed"]) == (None, committed)
    assert control.get("/notes") == ([{"text": "x"}] if committed else [])
    assert notes.post("/notes", json={}).status_code == 201


def test_faults_after_a_commit_leave_reads_alone(control: ControlClient, notes: httpx.Client) -> None:
    control.order("cut_after_commit")
    control.order("teapot")
    assert notes.get("/notes").status_code == 200
    assert [one["applied"] for one in control.get("/scenarios")["scenarios"]] == [0, 0]


def test_faults_of_answers_leave_refusals_alone(control: ControlClient, notes: httpx.Client) -> None:
    control.order("truncated_json", times=1)
    control.order("busy", times=1)
    assert notes.get("/notes").status_code == 503
    assert notes.get("/notes").text == "["


def test_own_faults_and_waiting_ones_are_applied_in_their_order(control: ControlClient, notes: httpx.Client) -> None:
    control.order("slow", seconds=0.2, times=1)
    control.order("busy", match={"operation": "read"}, times=1)
    control.order("teapot", times=1)
    started = time.monotonic()
    assert notes.get("/notes").status_code == 503
    assert time.monotonic() - started >= 0.2
    assert notes.post("/notes", json={}).status_code == 418
    assert control.last_request()["scenarios"][0].startswith("teapot:")


def test_a_switched_off_fault_is_no_longer_applied(control: ControlClient, notes: httpx.Client) -> None:
    first = control.order("busy")
    control.delete(f"/scenarios/{first}")
    assert notes.get("/notes").status_code == 200
    control.order("busy")
    control.delete("/scenarios")
    assert notes.get("/notes").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", "/nothing", None, 404, "no such endpoint"),
        ("PUT", "/clock", {}, 405, "no such endpoint"),
        ("GET", "/notes/1", None, 404, "not found"),
        ("GET", "/notes/x", None, 400, "invalid literal"),
        ("GET", "/notes?limit=x", None, 400, "limit: a whole number"),
        ("POST", "/scenarios", {"type": "earthquake"}, 400, "type: one of slow, "),
        ("POST", "/scenarios", {"type": "busy", "match": {"table": "x"}}, 400, "an object with operation, path"),
        ("PATCH", "/settings", {"most": "many"}, 400, "most: needs a int"),
        ("POST", "/reset", [1], 400, "must be a JSON object"),
    ],
)
def test_a_control_request_that_does_not_fit_says_why(
    control: ControlClient, notes: httpx.Client, method: str, path: str, body: object, status: int, text: str
) -> None:
    notes.post("/notes", json={})
    assert text in control.refusal(method, path, body, status)


async def test_a_call_that_waits_ends_when_the_server_stops() -> None:
    async with httpx.AsyncClient(verify=NO_AUTHORITIES) as client:
        async with running() as endpoints:
            await client.post(f"{endpoints.control_url}/scenarios", json={"type": "slow", "seconds": 60})
            call = asyncio.create_task(client.get(f"{endpoints.url}/notes"))
            while (await client.get(f"{endpoints.control_url}/counters")).json()["in_flight"] == 0:
                pass
        assert (await call).status_code == 200, "it was answered, not cut off"


def test_a_taken_port_is_an_error_and_leaves_nothing_open(endpoints: Endpoints) -> None:
    port = int(endpoints.url.rpartition(":")[2])
    with pytest.raises(AssertionError, match="address already in use"), in_background(lambda: running(port=port)):
        pass


def test_the_command_prints_the_addresses_and_ends_on_sigterm(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", COMMAND, "--folder", str(tmp_path / "new"), "--latency", "0.01"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        described = json.loads(process.stdout.readline())
        assert described["ca_file"] == str(tmp_path / "new" / "ca.pem")
        settings = httpx.get(f"{described['control_url']}/settings", verify=NO_AUTHORITIES).json()["settings"]
        assert settings["latency_ms"] == 10.0
        process.terminate()
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()
