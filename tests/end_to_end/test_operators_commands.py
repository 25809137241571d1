"""Commands for operators on a narrow terminal: ids that can be copied, tickets, routes, and usage that is refused."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from local.demo import run as demo
from local.demo.alerts import Azure
from local.running import Running
from tests.end_to_end.conftest import Bridge
from tests.end_to_end.test_command_line import ROOT, bridge_py

PAYLOAD = "tests/fixtures/azure_monitor/common/metric-static-fired.json"
URL = {"SERVICENOW_URL": "https://contoso.service-now.com"}


def test_an_id_of_a_narrow_table_is_enough_to_show_and_drop_the_item(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    signal_id = bridge.send({"text": "nobody can read this"})
    bridge.running.outcome(signal_id)
    code, text, _ = bridge_py("quarantine", "list", session=session, COLUMNS="80")
    assert code == 0
    ids = [word for word in text.split() if len(word) >= 8 and signal_id.startswith(word)]  # "1 in all" is no id
    shown = sorted(set(ids))
    assert len(shown) == 1, text
    code, text, _ = bridge_py("quarantine", "show", shown[0], session=session)
    assert (code, json.loads(text)["id"]) == (0, signal_id)
    code, text, _ = bridge_py("quarantine", "drop", shown[0], "--confirm", session=session)
    assert (code, "1 dropped" in text) == (0, True)
    assert bridge_py("quarantine", "show", shown[0], session=session)[0] == 1


def test_tickets_are_listed_shown_and_traced(bridge: Bridge, azure: Azure, alert: str) -> None:
    session = bridge.running.session["session_file"]
    bridge.deliver(azure.metric(alert))
    number = bridge.deliver(azure.metric(alert, resolved=True))["ticket"]
    code, text, _ = bridge_py("tickets", "list", session=session, COLUMNS="80")
    assert (code, f"{number} " in text) == (0, True)
    code, text, _ = bridge_py("tickets", "show", number.lower(), session=session)
    shown = json.loads(text)
    assert (code, shown["key"], shown["stage"]) == (0, f"alert:1:{alert}", "resolved")
    code, text, _ = bridge_py("tickets", "trace", f"alert:1:{alert}"[:30], session=session)
    assert code == 0
    assert re.search(rf"fired: created {number}[\s\S]*resolved: resolved {number}", text), text
    code, text, _ = bridge_py("tickets", "incomplete", session=session)
    assert code == 0
    assert re.search(r"\d+ without a route, \d+ without a reference, in 7 days", text), text
    code, text, _ = bridge_py("report", "--hours", "1", "--json", session=session)
    assert code == 0
    assert {line["mode"] for line in json.loads(text)["lines"]} == {"live"}
    assert "create" in {line["action"] for line in json.loads(text)["lines"]}
    code, text, _ = bridge_py("report", "--mode", "dry_run", session=session)
    assert (code, "0 signals in 24 hours" in text) == (0, True)
    code, _, said = bridge_py("tickets", "show", "INC9999999", session=session)
    assert (code, "no ticket is called 'INC9999999'" in said) == (1, True)
    assert bridge_py("tickets", "list", "--source", "foo", session=session)[0] == 2


def test_routes_test_says_which_route_and_why_not_the_others() -> None:
    code, text, _ = bridge_py("routes", "test", PAYLOAD, **URL)
    assert code == 0
    assert "-> by-team: takes it, connection servicenow" in text
    assert "by-service: custom_properties.service is not there, wanted is *" in text
    assert "budgets: kind is metric, wanted is budget" in text
    assert "default: 'by-team' takes it" in text
    code, text, _ = bridge_py("routes", "test", "--json", PAYLOAD, **URL)
    assert [one["route"] for one in json.loads(text)["routes"] if one["takes"]] == ["by-team"]
    assert len(json.loads(text)["routes"]) > 5
    stopped = "tests/fixtures/reported/resource-health-user-stopped.json"
    code, text, _ = bridge_py("routes", "test", stopped, **URL)
    assert (code, "-> stopped by people: takes it, and makes no ticket" in text) == (0, True)
    code, text, _ = bridge_py("routes", "test", "-", stdin='{"text": "x"}', **URL)
    assert (code, "quarantined: " in text) == (0, True)


def test_version_and_a_settings_file_that_is_not_there() -> None:
    assert re.fullmatch(r"Azure ITSM Bridge \d+\.\d+\.\d+\n", bridge_py("--version")[1])
    code, _, said = bridge_py("--settings", "nowhere.json", "validate", **URL)
    assert (code, "nowhere.json: No such file" in said) == (2, True)


def test_validate_prints_warnings_and_succeeds(tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    shipped = (ROOT / "bridge.yaml").read_text("utf-8")
    route = "routes:\n  - {name: all, when: {title: '*'}, connection: servicenow}\n"
    file.write_text(shipped.replace("routes:\n", route, 1))
    code, text, _ = bridge_py("--config", str(file), "validate", **URL)
    assert code == 0
    assert "warning: bridge.yaml:" in text
    counts = re.search(r"valid; 1 connection, (\d+) routes, (\d+) warnings", text)
    assert counts is not None, text
    assert int(counts[2]) == int(counts[1]) - 1 >= 4  # all but the one that takes everything


def test_every_printed_command_uses_the_one_form() -> None:
    """What documents, help and demo print for people: the interpreter of the project, which has the packages."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "infra/README.md", ROOT / "bridge.yaml"]
    lines = [f"{file.name}: {line}" for file in files for line in file.read_text("utf-8").splitlines()]
    wrong = [line for line in lines if re.search(r"(?<![\w/.])python3? (bridge\.py|-m local)", line)]
    assert wrong == []


def test_the_command_that_the_demo_prints_runs(bridge: Bridge, capsys: pytest.CaptureFixture[str]) -> None:
    demo._invite(bridge.running.session, Console(soft_wrap=True))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("operate")]
    command = shlex.split(line.split("operate", 1)[1])
    assert command[0] == ".venv/bin/python"
    done = subprocess.run([sys.executable, *command[1:]], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_another_interpreter_hands_over_to_the_one_with_the_packages() -> None:
    bare = str(Path(sys.executable).resolve())  # the interpreter that the virtual environment was made from
    command = [bare, "-S", "bridge.py", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.startswith("Azure ITSM Bridge")) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "bad.yaml"], ["bad.yaml:5", "bad.yaml:6", "a secret is never written", "not ready"]),
        (["--servicenow-url", "http://127.0.0.1:9"], ["reachable", "Fix: Check 'url'", "not ready"]),
    ],
)
def test_local_up_says_what_keeps_it_from_delivering(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "version: 1\nconnections:\n  a:\n    type: servicenow\n    url: http://x.example.com\n"
        "    auth: {type: basic, username: a, password: hunter-two}\ndefault: {connection: a}\n"
    )
    given = [str(bad) if one == "bad.yaml" else one for one in arguments]
    running = Running(["-q", *given], {"SERVICENOW_PASSWORD": "x"})
    try:
        said = "".join(running.lines) + running.session["trouble"]
        for word in words[:-1]:
            assert word in said
        assert "hunter-two" not in said
        assert not any("ready; stop" in line and "not ready" not in line for line in running.lines)
    finally:
        running.close()


def test_a_job_runs_here_and_in_the_app_and_a_dry_run_shows_what_it_would_do(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    session = bridge.running.session["session_file"]
    bridge.deliver(azure.metric(alert))
    code, text, said = bridge_py("resync", "--dry-run", "--json", session=session)
    shown = json.loads(text)
    assert (code, shown["job"], shown["dry_run"]) == (0, "resync", True), said
    assert "servicenow" in {part["name"] for part in shown["parts"]}
    code, text, said = bridge_py("resync", session=session)
    assert (code, "servicenow: " in text) == (0, True), said
    code, text, said = bridge_py("full-check", "--app", session=session)
    assert code == 0, said
    assert re.search(r"^servicenow: tickets \d+", text, re.MULTILINE), text
    code, text, said = bridge_py("jobs", session=session)
    assert (code, re.search(r"asked for at \S+: done", text) is not None) == (0, True), text + said
    code, _, said = bridge_py("poll", "scores", "--app", session=session)
    assert (code, "nothing to do; it needs the section secure_score" in said) == (1, True), said


def test_a_test_alert_is_followed_from_the_webhook_to_the_ticket_and_back(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    code, text, said = bridge_py("send-test", session=session)
    assert code == 0, text + said
    steps = [line.split("s  ", 1)[1] for line in text.splitlines()]
    number = next(step for step in steps if step.startswith("ticket INC")).split(":")[0].removeprefix("ticket ")
    for pattern in (
        r"fired: taken in as [0-9a-f]{32}",
        r"fired: created by route default on connection servicenow after \d+\.\d s, \d calls",
        r"ticket read: New \(open\)",
        r"resolved: resolved .*",
        r"ticket read: Resolved \(resolved\)",
        "all went well",
    ):
        assert any(re.fullmatch(pattern, step) for step in steps), (pattern, text)
    assert number.startswith("INC")


def test_a_test_alert_that_does_not_get_through_ends_with_the_reason(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    url = bridge.running.session["app"]["alerts_url"]
    code, _, said = bridge_py("send-test", "--url", f"{url}?code=wrong", session=session)
    assert (code, "answered 401" in said, "BRIDGE_APP_KEY" in said, "wrong" in said) == (1, True, True, False)
    code, _, said = bridge_py("send-test", "--url", "nonsense", session=session)
    assert (code, "is not the address of an app" in said) == (2, True)
    code, _, said = bridge_py("send-test", **URL)
    assert (code, "BRIDGE_APP_URL" in said) == (2, True)


def test_the_app_checks_with_its_own_identity(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    code, text, said = bridge_py("check", "servicenow", "--app", session=session)
    assert (code, "servicenow" in text, "failed" in text) == (0, True, False), said
    code, _, said = bridge_py("check", "servicenou", "--app", session=session)
    assert (code, "answered 404" in said, "Did you mean servicenow?" in said) == (1, True, True), said


def test_a_ticket_is_made_and_resolved_by_hand_here_and_in_the_app(bridge: Bridge, tmp_path: Path) -> None:
    session = bridge.running.session["session_file"]
    record = tmp_path / "row.json"
    record.write_text('{"Computer": "vm-shop-01", "FreeSpaceMB": 512}')
    asked = ["--key", f"e2e-{tmp_path.name}", "--title", "Disk almost full", "--record", str(record)]
    code, text, said = bridge_py("tickets", "create", *asked, "--dry-run", session=session)
    assert code == 0, said
    assert json.loads(text)["items"][0]["signal"]["dimensions"]["FreeSpaceMB"] == "512"
    code, text, said = bridge_py("tickets", "create", *asked, session=session)
    assert (code, text.startswith("created INC")) == (0, True), text + said
    number = text.split()[1]
    code, text, said = bridge_py("tickets", "create", *asked, "--app", session=session)
    assert (code, text.startswith(f"created {number} ")) == (0, True), text + said
    ended = ["--key", f"e2e-{tmp_path.name}", "--resolved", "--text", "Cleaned up."]
    code, text, said = bridge_py("tickets", "create", *ended, "--app", "--json", session=session)
    assert (code, json.loads(text)["outcome"]) == (0, "resolved"), text + said
    code, _, said = bridge_py("tickets", "create", *asked[:2], "--title", "Another", session=session)
    assert (code, "Key already used" in said) == (1, True), said
    record.write_text("{")
    assert bridge_py("tickets", "create", *asked, session=session)[0] == 2
