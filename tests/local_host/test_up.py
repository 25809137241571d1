"""``python -m local up`` from end to end, with a sample app."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.storage.queue import QueueClient

from local import log_store
from local.up import Failed, _Child, _wait_for
from tests.local_host.support import eventually_sync, first_line, is_running, process, write_app
from tests.ports import bind_chosen, free_port

APP = """
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req):
    names = ("BRIDGE_CONFIG", "AzureWebJobsStorage", "KEY_VAULT_URL")
    wanted = {name: value for name, value in os.environ.items() if name.startswith("SERVICENOW_") or name in names}
    return func.HttpResponse(json.dumps({"pid": os.getpid(), **wanted}), status_code=HEALTH)

@app.route(route="alerts", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="up-test", connection=STORAGE)
async def alerts(req, out: func.Out[typing.List[str]]):
    out.set([req.get_body().decode()])
    return func.HttpResponse("{}", status_code=202)

@app.queue_trigger(arg_name="message", queue_name="up-test", connection=STORAGE)
async def work(message: func.QueueMessage) -> None:
    note(message.get_body().decode())
"""
UNWELL = {"HEALTH": "503", "NOTES": "none", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
ELSEWHERE = ("--servicenow-url", "http://127.0.0.1:9")


class Up:
    """Starts ``local up`` for the sample app."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.app = write_app(folder / "app", "HEALTH = int(os.environ.get('HEALTH', '200'))\n" + APP)

    @contextmanager
    def run(self, *arguments: str, port: int | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """On a free port unless one is given; 0 for the usual one, which tests that run in parallel would share."""
        command = ("up", "--app", str(self.app), "--port", str(free_port() if port is None else port), *arguments)
        with process("local", *command, environment={"NOTES": str(self.notes), **environment}) as child:
            yield child


@pytest.fixture
def up(tmp_path: Path) -> Up:
    return Up(tmp_path)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def send(session: dict[str, Any], text: str) -> int:
    headers = {"x-functions-key": session["app"]["key"]}
    request = urllib.request.Request(session["app"]["alerts_url"], data=text.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        status: int = answer.status
        return status


def stop(child: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    """Stop it and return what it wrote to stderr; it has to end with code 0 and no second line."""
    child.send_signal(number)
    rest, log = child.communicate(timeout=40)
    assert child.returncode == 0, log
    assert rest == ""
    return log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_everything_runs_and_is_gone_after_a_stop(up: Up, number: int) -> None:
    with up.run(*ELSEWHERE) as child:
        session = first_line(child)
        app, storage = session["app"], session["storage"]
        pids = [app["pid"], get(app["health_url"])["pid"]]
        assert app["alerts_url"] == f"{app['url']}/api/alerts"
        assert app["preview_url"] == f"{app['url']}/api/preview"
        assert session["servicenow"] == {"url": "http://127.0.0.1:9"}
        assert session["data"] is None
        assert json.loads(Path(session["session_file"]).read_text()) == session
        assert Path(session["session_file"]).stat().st_mode & 0o077 == 0
        assert send(session, "hello") == 202
        eventually_sync(lambda: up.notes.exists() and up.notes.read_text() == '["hello"]\n')
        log = stop(child, number)
        assert "ready; stop with Ctrl-C" in log
        assert app["key"] not in log
    assert not any(is_running(pid) for pid in pids)
    assert not Path(session["session_file"]).parent.exists()
    for url in (app["url"], storage["queue_url"]):
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url, timeout=5)


def test_the_app_gets_its_settings(up: Up) -> None:
    (up.app / "bridge.yaml").write_text("")
    (up.app / "local.settings.json").write_text(
        json.dumps({"Values": {"SERVICENOW_PASSWORD": "demo-own-password", "AzureWebJobsStorage": "ignored"}})
    )
    options = ("--servicenow-username", "demo.user", "--queue-lease", "7", "--verbose")
    with up.run(*ELSEWHERE, *options, SERVICENOW_CLIENT_ID="demo-client") as child:
        session = first_line(child)
        command = Path(f"/proc/{session['app']['pid']}/cmdline").read_text().split("\0")
        assert command[command.index("--queue-lease") + 1] == "7.0"
        assert command[command.index("--log-level") + 1] == "debug"
        assert session["app"]["key"] not in command  # every user of the machine can read a command line
        settings = get(session["app"]["health_url"])
        stop(child)
    assert settings["AzureWebJobsStorage"] == session["storage"]["connection_string"]
    assert settings["BRIDGE_CONFIG"] == session["config"] == str(up.app / "bridge.yaml")
    assert settings["SERVICENOW_URL"] == "http://127.0.0.1:9"
    assert settings["SERVICENOW_USERNAME"] == "demo.user"
    assert settings["SERVICENOW_PASSWORD"] == "demo-own-password"
    assert settings["SERVICENOW_CLIENT_ID"] == "demo-client"
    assert "KEY_VAULT_URL" not in settings


def test_the_simulator_runs_too_and_its_values_win(up: Up) -> None:
    (up.app / "local.settings.json").write_text(
        json.dumps({"Values": {"SERVICENOW_PASSWORD": "demo-own-password", "KEY_VAULT_URL": "https://vault.example"}})
    )
    data = up.folder / "data"
    with up.run("--data", str(data), "--latency", "0.5", SERVICENOW_USERNAME="somebody") as child:
        session = first_line(child)
        simulator, settings = session["servicenow"], get(session["app"]["health_url"])
        assert answers(simulator["control_url"])
        assert seconds_for_a_call(simulator) >= 0.5
        stop(child)
    assert not answers(simulator["control_url"])
    assert settings["SERVICENOW_URL"] == simulator["url"]
    assert settings["SERVICENOW_USERNAME"] == simulator["integration_username"]
    assert settings["SERVICENOW_PASSWORD"] == simulator["integration_password"]
    assert settings["SERVICENOW_CLIENT_ID"] == simulator["client_id"]
    assert settings["SERVICENOW_CLIENT_SECRET"] == simulator["client_secret"]
    assert settings["SERVICENOW_API_KEY"] == simulator["api_key"]
    assert settings["KEY_VAULT_URL"] == ""
    assert any((data / "servicenow").iterdir())


def seconds_for_a_call(simulator: dict[str, Any]) -> float:
    password = urllib.request.HTTPPasswordMgrWithPriorAuth()
    password.add_password(None, simulator["url"], simulator["username"], simulator["password"], is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(password))
    began = time.monotonic()
    with opener.open(f"{simulator['url']}/api/now/table/incident?sysparm_limit=1", timeout=20) as answer:
        assert "result" in json.load(answer)
    return time.monotonic() - began


def test_another_configuration_is_passed_on(up: Up) -> None:
    other = up.folder / "other.yaml"
    other.write_text("")
    with up.run(*ELSEWHERE, "--config", str(other), BRIDGE_CONFIG="mine.yaml") as child:
        session = first_line(child)
        assert get(session["app"]["health_url"])["BRIDGE_CONFIG"] == session["config"] == str(other)
        stop(child)
    with up.run(*ELSEWHERE, BRIDGE_CONFIG="mine.yaml") as child:  # not said on the command line: the user's own
        session = first_line(child)
        assert get(session["app"]["health_url"])["BRIDGE_CONFIG"] == "mine.yaml"
        assert session["config"] == str(up.app / "mine.yaml")
        stop(child)


def test_data_is_kept_over_restarts(up: Up) -> None:
    data = up.folder / "data"
    with up.run(*ELSEWHERE, "--data", str(data), "--function-key", "demo-key") as child:
        first = first_line(child)
        assert first["session_file"] == str(data / "up.json")
        assert (data / "keys.json").stat().st_mode & 0o077 == 0
        with QueueClient.from_connection_string(first["storage"]["connection_string"], "kept") as queue:
            queue.create_queue()
            queue.send_message("still here")
        stop(child)
    assert not (data / "up.json").exists()
    with up.run(*ELSEWHERE, "--data", str(data)) as child:
        second = first_line(child)
        assert second["app"]["key"] == first["app"]["key"] == "demo-key"
        assert second["app"]["admin_key"] == first["app"]["admin_key"]
        with QueueClient.from_connection_string(second["storage"]["connection_string"], "kept") as queue:
            assert [message.content for message in queue.receive_messages()] == ["still here"]
        stop(child)


def test_a_data_folder_is_one_runs_at_a_time(up: Up) -> None:
    data = up.folder / "data"
    with up.run(*ELSEWHERE, "--data", str(data)) as child:
        first_line(child)
        with up.run(*ELSEWHERE, "--data", str(data)) as other:
            _, log = other.communicate(timeout=40)
        assert other.returncode == 1
        assert f"{data} is in use by another 'local up'; stop that one or choose another --data" in log
        stop(child)


def test_the_app_has_7071_or_a_free_port_or_the_one_asked_for(up: Up) -> None:
    with socket.socket() as other:
        taken = bind_chosen(other)
        other.listen()
        with up.run(*ELSEWHERE, port=taken) as child:
            _, log = child.communicate(timeout=40)
        assert child.returncode == 1
        assert f"port {taken} is taken by another program; stop that one or choose another port with --port" in log
    with up.run(*ELSEWHERE, port=taken) as child:
        assert first_line(child)["app"]["url"] == f"http://127.0.0.1:{taken}"
        stop(child)
    with socket.socket() as usual:
        ours = False
        for _ in range(100):
            with contextlib.suppress(OSError):
                usual.bind(("127.0.0.1", 7071))
                usual.listen()
                ours = True
                break
            time.sleep(0.2)
        with up.run(*ELSEWHERE, port=0) as child:
            found = urlsplit(first_line(child)["app"]["url"]).port
            # Where somebody else has 7071, and may give it up at any moment, either is right.
            assert found != 7071 if ours else found
            stop(child)


def test_when_the_app_dies_everything_ends_with_the_reason(up: Up) -> None:
    with up.run(*ELSEWHERE) as child:
        session = first_line(child)
        os.kill(session["app"]["pid"], signal.SIGKILL)
        _, log = child.communicate(timeout=40)
    assert child.returncode == 1
    assert "the function app ended unexpectedly (exit code -9)" in log
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(session["storage"]["queue_url"], timeout=5)


def test_an_app_that_cannot_start_is_explained(up: Up) -> None:
    (up.app / "function_app.py").write_text("import not_installed\n")
    with up.run(*ELSEWHERE) as child:
        out, log = child.communicate(timeout=40)
    assert (child.returncode, out) == (1, "")
    assert "No module named 'not_installed'" in log
    assert "the function app did not start (exit code 2); what it said is above" in log


def test_an_app_that_is_not_well_is_explained(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.up._PATIENCE", 3.0)
    app = _Child("the app", "local.host", ["--app", str(up.app), "--port", "0"], {**os.environ, **UNWELL})
    try:
        url = app.first_line()["url"]
        with pytest.raises(Failed, match=r"the app is not well after 3 seconds: .*/api/health says: HTTP 503"):
            _wait_for(f"{url}/api/health", app, lambda status: status == 200)
    finally:
        app.stop()


def test_children_do_not_outlive_one_that_is_killed(up: Up) -> None:
    with up.run(*ELSEWHERE, "--workers", "2") as child:
        session = first_line(child)
        pids = {session["app"]["pid"]} | {get(session["app"]["health_url"])["pid"] for _ in range(5)}
        child.kill()
        child.wait()
        eventually_sync(lambda: not any(is_running(pid) for pid in pids))
        eventually_sync(lambda: not answers(session["storage"]["queue_url"]))


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def test_quiet_is_quiet_and_help_teaches(up: Up) -> None:
    with up.run(*ELSEWHERE, "--quiet") as child:
        first_line(child)
        assert stop(child) == ""
    with process("local", "up", "--help", environment={"COLUMNS": "200", "NO_COLOR": "1"}) as child:
        out, _ = child.communicate(timeout=20)
    assert child.returncode == 0
    for word in (
        "--port",
        "--config",
        "--servicenow-url",
        "--data",
        "--workers",
        "one line of JSON",
        "x-functions-key",
    ):
        assert word in out
    assert "--app" not in out


def test_the_clouds_are_started_when_asked_for_and_the_app_is_led_to_them(up: Up) -> None:
    with up.run("--clouds") as child:
        session = first_line(child)
        clouds, settings = session["clouds"], session["settings"]
        assert settings["AZURE_RESOURCE_MANAGER_URL"] == settings["MICROSOFT_GRAPH_URL"] == clouds["url"]
        assert settings["AZURE_AUTHORITY"] == settings["LOGS_INGESTION_ENDPOINT"] == clouds["https_url"]
        assert log_store.counts(clouds) == {"ServiceDesk_CL": 0, "ServiceDeskLog_CL": 0}
        assert Path(settings["AZURE_CA_BUNDLE"]).is_file()
        request = urllib.request.Request(
            f"{settings['IDENTITY_ENDPOINT']}?resource=https://management.azure.com&api-version=2019-08-01",
            headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["token_type"] == "Bearer"
    with up.run() as child:
        assert first_line(child)["clouds"] is None


def test_two_that_start_at_once_do_not_share_a_port(up: Up) -> None:
    port = free_port()
    with up.run("--workers", "2", port=port) as one, up.run("--workers", "2", port=port) as other:
        lines = [child.stdout.readline() for child in (one, other) if child.stdout is not None]
        assert sorted(bool(line.strip()) for line in lines) == [False, True]
        assert json.loads(max(lines))["app"]["url"].endswith(f":{port}")
