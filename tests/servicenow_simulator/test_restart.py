"""The command line, and what survives a restart: a clean one, kill -9, and a write that was torn in half."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servicenow import running
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, RESOLUTION, create, error, result, update
from tests.simulators import NO_AUTHORITIES

Starter = Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts simulators; whatever still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def starter(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        command = [sys.executable, "-m", "local.servicenow", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        processes.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield starter
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


def as_bridge(simulator: dict[str, Any]) -> httpx.Client:
    return support.connect(simulator["url"], simulator["integration_username"], simulator["integration_password"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_line_prints_one_line_and_ends_cleanly(start: Starter, number: signal.Signals) -> None:
    process, simulator = start()
    context = ssl.create_default_context(cafile=simulator["ca_file"])
    auth = (simulator["username"], simulator["password"])
    for url in (simulator["url"], simulator["https_url"]):
        with httpx.Client(base_url=url, auth=auth, verify=context) as client:
            assert client.get(INCIDENTS).status_code == 200
    assert Path(simulator["jwt_key_file"]).exists()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")
    assert not Path(simulator["ca_file"]).exists()


def test_ports_and_latency_are_taken_from_the_command_line(start: Starter) -> None:
    first, simulator = start()
    first.terminate()
    first.wait(timeout=30)
    port = simulator["url"].rpartition(":")[2]
    https_port = simulator["https_url"].rpartition(":")[2]
    _, again = start("--port", port, "--https-port", https_port, "--latency", "0.2")
    assert (again["url"], again["https_url"]) == (simulator["url"], simulator["https_url"])
    with as_bridge(again) as client:
        assert client.get(INCIDENTS, params={"sysparm_limit": "1"}).elapsed.total_seconds() >= 0.2


def test_everything_survives_kill_9(start: Starter, tmp_path: Path) -> None:
    process, simulator = start("--data", str(tmp_path))
    form = {"client_id": simulator["client_id"], "client_secret": simulator["client_secret"]}
    user = {"username": simulator["username"], "password": simulator["password"]}
    token = support.post(f"{simulator['url']}/oauth_token.do", data={"grant_type": "password", **form, **user}).json()
    with as_bridge(simulator) as client:
        kept = create(client, correlation_id="kept", work_notes="a note")
        update(client, INCIDENTS, kept["sys_id"], state="7", **RESOLUTION)
        removed = create(client, correlation_id="twice")
        create(client, correlation_id="twice")
        params = {"table_name": "incident", "table_sys_id": removed["sys_id"], "file_name": "a.bin"}
        link = result(client.post("/api/now/attachment/file", params=params, content=b"\x00\xff"), 201)["sys_id"]
        tiny = result(client.post("/api/now/tinyurl", json={"url": "x?sysparm_query=correlation_id=kept"}), 201)
    with support.connect(simulator["url"], simulator["username"], simulator["password"]) as admin:
        gone = create(admin)
        assert admin.delete(f"{INCIDENTS}/{gone['sys_id']}").status_code == 204
        column = {"name": "incident", "element": "u_extra", "internal_type": "string", "max_length": "10"}
        admin.post("/api/now/table/sys_dictionary", json=column).raise_for_status()
    settings = {"closed_write": "ignore", "glide.ui.autoclose.time": "3"}
    support.patch(f"{simulator['control_url']}/settings", json=settings).raise_for_status()
    support.post(f"{simulator['control_url']}/clock", json={"set": "2031-01-01T00:00:00Z", "freeze": True})
    process.kill()
    process.wait(timeout=30)

    _, again = start("--data", str(tmp_path))
    with as_bridge(again) as client:
        record = result(client.get(f"{INCIDENTS}/{kept['sys_id']}", params={"sysparm_display_value": "all"}))
        assert record["state"] == {"display_value": "Closed", "value": "7"}
        assert "a note" in record["work_notes"]["display_value"]
        assert error(client.get(f"{INCIDENTS}/{gone['sys_id']}"), 404)
        assert client.get(f"/api/now/attachment/{link}/file").content == b"\x00\xff"
        answer = client.get(INCIDENTS, params={"sysparm_tiny": tiny.rpartition("=")[2]})
        assert [row["sys_id"] for row in result(answer)] == [kept["sys_id"]]
        newer = create(client, u_extra="0123456789abc")
        assert (newer["number"], newer["u_extra"]) == ("INC0010005", "0123456789")
        assert newer["sys_created_on"] == "2031-01-01 00:00:00"
        assert update(client, INCIDENTS, kept["sys_id"], urgency="1")["urgency"] == "3"
    refresh = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], **form}
    support.post(f"{again['control_url']}/clock", json={"reset": True})
    assert support.post(f"{again['url']}/oauth_token.do", data=refresh).status_code == 200
    assert again["ca_file"] == simulator["ca_file"]
    seen = support.get(f"{again['control_url']}/violations").json()
    assert [duplicate["correlation_id"] for duplicate in seen["duplicates"]] == ["twice"]
    history = support.get(f"{again['control_url']}/history/{kept['sys_id']}").json()["history"]
    assert [entry["operation"] for entry in history] == ["insert", "update"]


@pytest.mark.parametrize("kept", [40, -1], ids=["middle", "newline"])
async def test_a_torn_last_line_is_cut_off_and_work_goes_on(tmp_path: Path, kept: int) -> None:
    async with (
        running(data=tmp_path) as simulator,
        httpx.AsyncClient(verify=NO_AUTHORITIES, base_url=simulator.url) as client,
    ):
        headers = {"x-sn-apikey": simulator.api_key}
        for key in ("one", "two"):
            answer = await client.post(INCIDENTS, json={"correlation_id": key}, headers=headers)
            assert answer.status_code == 201
    log = tmp_path / "commits.jsonl"
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    for expected in (["one"], ["one", "three"]):
        async with (
            running(data=tmp_path) as simulator,
            httpx.AsyncClient(verify=NO_AUTHORITIES, base_url=simulator.url) as client,
        ):
            headers = {"x-sn-apikey": simulator.api_key}
            params = {"sysparm_query": "correlation_idISNOTEMPTY^ORDERBYnumber", "sysparm_fields": "correlation_id"}
            answer = await client.get(INCIDENTS, params=params, headers=headers)
            assert [row["correlation_id"] for row in answer.json()["result"]] == expected
            if expected == ["one"]:
                await client.post(INCIDENTS, json={"correlation_id": "three"}, headers=headers)


async def test_reset_empties_the_log(tmp_path: Path) -> None:
    async with (
        running(data=tmp_path) as simulator,
        httpx.AsyncClient(verify=NO_AUTHORITIES, base_url=simulator.url) as client,
    ):
        headers = {"x-sn-apikey": simulator.api_key}
        await client.post(INCIDENTS, json={"correlation_id": "one"}, headers=headers)
        await client.post("/control/reset")
        await client.post(INCIDENTS, json={"correlation_id": "two"}, headers=headers)
    async with (
        running(data=tmp_path) as simulator,
        httpx.AsyncClient(verify=NO_AUTHORITIES, base_url=simulator.url) as client,
    ):
        headers = {"x-sn-apikey": simulator.api_key}
        answer = await client.get(INCIDENTS, params={"sysparm_query": "correlation_idISNOTEMPTY"}, headers=headers)
        assert [(row["correlation_id"], row["number"]) for row in answer.json()["result"]] == [("two", "INC0010001")]


async def test_two_simulators_run_side_by_side() -> None:
    async with running() as one, running() as two, httpx.AsyncClient(verify=NO_AUTHORITIES) as client:
        answer = await client.post(one.url + INCIDENTS, json={}, headers={"x-sn-apikey": one.api_key})
        sys_id = answer.json()["result"]["sys_id"]
        other = await client.get(f"{two.url}{INCIDENTS}/{sys_id}", headers={"x-sn-apikey": two.api_key})
        assert (answer.status_code, other.status_code) == (201, 404)
