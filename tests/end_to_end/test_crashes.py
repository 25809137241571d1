"""Processes are killed in mid-step, storage goes away, everything is restarted: nothing is lost and nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from uuid import uuid4

from local.demo.alerts import Azure
from local.running import Running
from tests.end_to_end.conftest import Bridge, until


def children_of(parent: int, word: str) -> list[int]:
    """Process ids of a process's children whose command line has a word."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ancestor = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_text()
        except (OSError, ValueError, IndexError):
            continue  # no process, or one that just ended
        if ancestor == parent and word in command:
            found.append(int(entry.name))
    return found


def test_workers_killed_in_mid_step_leave_one_ticket_per_alert_in_the_right_state(config_file: Path) -> None:
    chance = random.Random(20260301)
    azure = Azure()
    alerts = [str(uuid4()) for _ in range(12)]
    with Running(["--config", str(config_file), "--workers", "2", "--queue-lease", "1"]) as running:
        bridge = Bridge(running)
        bridge.control("PATCH", "/settings", json={"latency_ms": 300})
        for alert in alerts:
            bridge.send(azure.metric(alert))
        for number in (1, 2, 1, 1):  # the supervisor replaces five in a minute
            time.sleep(0.2 + chance.random())
            for pid in children_of(running.session["app"]["pid"], "local.host")[:number]:
                os.kill(pid, signal.SIGKILL)
        bridge.control("PATCH", "/settings", json={"latency_ms": 0})
        until(lambda: all(bridge.tickets(alert) for alert in alerts), patience=60)
        until(lambda: len(children_of(running.session["app"]["pid"], "local.host")) == 2, patience=30)
        until(running.serves, patience=30)  # the last ones killed may have left nobody to answer for a moment
        for alert in alerts:
            bridge.send(azure.metric(alert, resolved=True))
        until(lambda: all(t["state"] == "Resolved" for a in alerts for t in bridge.tickets(a)), patience=60)
        assert [len(bridge.tickets(alert)) for alert in alerts] == [1] * len(alerts)
        assert not any(bridge.violations().values())


def test_what_was_accepted_survives_an_outage_and_a_restart_of_everything(config_file: Path, tmp_path: Path) -> None:
    arguments = ["--config", str(config_file), "--data", str(tmp_path / "state"), "--queue-lease", "1"]
    azure, alert = Azure(), str(uuid4())
    with Running(arguments) as running:
        bridge = Bridge(running)
        bridge.scenario("maintenance")
        signal_id = bridge.send(azure.metric(alert))
        bridge.postponed(signal_id)
    with Running(arguments) as running:
        bridge = Bridge(running)
        bridge.calm()
        assert running.outcome(signal_id)["decision"] in ("created", "duplicate")
        assert len(bridge.tickets(alert)) == 1
        assert bridge.deliver(azure.metric(alert, resolved=True))["decision"] == "resolved"


def test_without_storage_the_webhook_answers_503_and_never_500(config_file: Path) -> None:
    azure = Azure()
    with Running(["--config", str(config_file)]) as running:
        (azurite,) = children_of(running.process.pid, "azurite")
        os.kill(azurite, signal.SIGSTOP)  # up watches its exit; a stopped one answers as little as a dead one
        try:
            for body in (azure.metric(str(uuid4())), {"too": "large", "x": "y" * 200_000}):
                answer = running.request("alerts", json=body)
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["retry-after"]) > 0
            assert running.http.get(running.session["app"]["health_url"]).status_code == 503
        finally:
            os.kill(azurite, signal.SIGCONT)
        until(lambda: running.request("alerts", json=azure.metric(str(uuid4()))).status_code == 202)
