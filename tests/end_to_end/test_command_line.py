"""The operator's command line, as an operator uses it: against a running bridge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from local.demo.alerts import Azure
from tests.end_to_end.conftest import Bridge, until

ROOT = Path(__file__).parents[2]


def bridge_py(*arguments: str, session: str | None = None, stdin: str = "", **settings: str) -> tuple[int, str, str]:
    """Run bridge.py; exit code, stdout, stderr."""
    given = ["--session", session] if session else []
    done = subprocess.run(
        [sys.executable, "bridge.py", *given, *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1", **settings},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_help_teaches_every_command() -> None:
    code, text, _ = bridge_py("--help")
    assert code == 0
    for word in ("check", "preview", "dead-letters", "quarantine", "validate", "az login"):
        assert word in text
    assert "--probe-writes" in bridge_py("check", "--help")[1]
    assert "--all" in bridge_py("dead-letters", "replay", "--help")[1]


def test_validate_says_every_mistake_and_exits_with_1(tmp_path: Path) -> None:
    code, text, _ = bridge_py("validate", SERVICENOW_URL="https://contoso.service-now.com")
    assert (code, "valid; 1 connection, 9 routes" in text) == (0, True)
    file = tmp_path / "bridge.yaml"
    file.write_text("version: 1\nconnections: {}\nroute: []\n")
    code, _, said = bridge_py("--config", str(file), "validate")
    assert code == 1
    assert "bridge.yaml:2" in said
    assert "did you mean 'routes'?" in said


def test_preview_prints_the_objects_of_the_endpoint(bridge: Bridge, azure: Azure, alert: str) -> None:
    session = bridge.running.session["session_file"]
    body = azure.metric(alert)
    code, text, _ = bridge_py("preview", "-", session=session, stdin=json.dumps(body))
    assert code == 0
    assert json.loads(text) == bridge.running.request("preview", json=body).json()["items"][0]


def test_preview_of_what_is_no_payload_is_a_clear_error() -> None:
    url = {"SERVICENOW_URL": "https://contoso.service-now.com"}
    code, _, said = bridge_py("preview", "-", stdin="{", **url)
    assert (code, "Not JSON" in said, "Traceback" in said) == (1, True, False)
    code, _, said = bridge_py("preview", "nowhere.json", **url)
    assert (code, "nowhere.json: No such file" in said) == (2, True)


def test_check_finds_the_simulator_in_order_and_says_the_fix_when_it_is_not(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    code, text, said = bridge_py("check", session=session)
    assert code == 0, text + said
    assert "failed" not in text
    assert "not tested whether the instance counts" in " ".join(text.split())
    code, text, _ = bridge_py("check", "--probe-writes", session=session)
    assert code == 0, text
    assert "creates share calls" in " ".join(bridge_py("check", session=session)[1].split())
    bridge.scenario("hibernate")
    code, text, _ = bridge_py("check", session=session)
    assert code == 1
    assert "Fix:" in text


def test_check_prints_json_for_programs(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    code, text, _ = bridge_py("check", "--json", "--only", "connections", session=session)
    lines = [json.loads(line) for line in text.splitlines()]
    assert code == 0
    assert {tuple(line) for line in lines} == {("of", "check", "result", "detail", "fix")}
    assert {"secrets", "authenticated", "roles"} <= {line["check"] for line in lines}
    assert {line["result"] for line in lines} <= {"ok", "warning"}


def test_a_refused_signal_is_listed_shown_replayed_and_gone_when_it_is_delivered(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    session = bridge.running.session["session_file"]
    bridge.scenario("data_policy", match={"method": "POST", "table": "incident"})
    signal_id = bridge.send(azure.metric(alert))
    event = bridge.running.outcome(signal_id)
    assert (event["event"], event["code"]) == ("signal_dead_lettered", "refused")
    assert event["advice"]

    code, text, _ = bridge_py("dead-letters", "list", session=session)
    assert (code, signal_id in text) == (0, True)
    code, text, _ = bridge_py("dead-letters", "show", signal_id, session=session)
    shown = json.loads(text)
    assert shown["message"]["signal"]["key"] == f"alert:1:{alert}"
    assert shown["reason"]

    bridge.control("DELETE", "/scenarios")
    assert bridge.deliver(azure.metric(alert))["decision"] == "duplicate", "only a replay tries it again"
    code, text, _ = bridge_py("dead-letters", "replay", signal_id, session=session)
    assert (code, "1 put back" in text) == (0, True)
    until(lambda: bridge.tickets(alert))
    until(lambda: signal_id not in bridge_py("dead-letters", "list", session=session)[1])


def test_replay_wants_to_know_which() -> None:
    code, _, said = bridge_py("dead-letters", "replay")
    assert (code, "--all" in said) == (2, True)


def test_quarantine_is_listed_and_shown(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    signal_id = bridge.send({"text": "18 records [red]over[/red] threshold"})
    bridge.running.outcome(signal_id)
    assert signal_id in bridge_py("quarantine", "list", session=session)[1]
    code, text, _ = bridge_py("quarantine", "show", signal_id, session=session)
    assert (code, json.loads(text)["message"]["unreadable"]["item"]["text"]) == (
        0,
        "18 records [red]over[/red] threshold",
    )
    assert bridge_py("quarantine", "show", "nobody", session=session)[0] == 1
