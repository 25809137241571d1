"""Starts ``local up`` as a child, posts the alerts, listens to the app's own log, and draws the tables."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.demo.alerts import Azure
from local.demo.clouds import SECTIONS, Clouds
from local.demo.consent import Consent, free_port, properties, with_consent
from local.demo.export import EXPORT, Export
from local.demo.log_alerts import ROUTES, LogAlerts
from local.demo.surroundings import Step
from local.running import NotRunning, Running
from local.scratch import scratch
from local.up import APP

_SAID = {
    "created": "new ticket",
    "created_resolved": "new ticket, born resolved",
    "resolved": "ticket resolved",
    "commented": "note on its ticket",
    "duplicate": "duplicate: nothing to do",
    "resolved_before_fired": "remembered: its Fired is to come",
    "quarantined": "quarantined",
    "dead_lettered": "dead letter",
}


#: Alerts of the storm.
_STORM = 25


@dataclass
class Story:
    """One alert of the demo: what it is, how it is posted, and what became of it."""

    name: str
    body: dict[str, Any]
    outcome: dict[str, Any] = field(default_factory=dict)


def _state(running: Running, number: str) -> str:
    """The ticket's state as the simulator shows it to people; nothing when another instance is used."""
    desk = running.session["servicenow"]
    if "control_url" not in desk or not number:
        return ""
    query = {"sysparm_query": f"number={number}", "sysparm_fields": "state", "sysparm_limit": "1"}
    answer = running.http.get(
        f"{desk['url']}/api/now/table/incident",
        params={**query, "sysparm_display_value": "true"},
        auth=(desk["username"], desk["password"]),
    )
    rows: list[dict[str, str]] = answer.json()["result"]
    return rows[0]["state"] if rows else "gone"


def stories(azure: Azure) -> Iterator[list[Story]]:
    """The alerts in batches: each is delivered before the next is sent, so that order is what it says it is."""
    cpu, overtaken = str(uuid4()), str(uuid4())
    tracking = f"{uuid4().hex[:4]}-{uuid4().hex[:3]}".upper()
    fired = azure.metric(cpu)
    yield [
        Story("metric alert, Fired", fired),
        Story("log search alert (V2), Fired", azure.log_search(str(uuid4()))),
        Story("activity log: security group deleted", azure.activity()),
        Story("Service Health incident, Active", azure.service_health(tracking, "Active")),
        Story("budget at 92 %", azure.budget()),
    ]
    yield [Story("the metric alert once more", fired)]
    yield [
        Story("metric alert, Resolved", azure.metric(cpu, resolved=True)),
        Story("Service Health incident, Resolved", azure.service_health(tracking, "Resolved", minutes=40)),
    ]
    yield [Story("a Resolved that overtook its Fired", azure.metric(overtaken, resolved=True))]
    yield [Story("... and its Fired", azure.metric(overtaken))]
    yield [Story("custom JSON nobody can read", azure.unreadable())]


def run(arguments: list[str], *, leave: bool) -> int:
    """Run the demo; the exit code.

    Args:
        arguments: for ``local up``.
        leave: end when the table is drawn, instead of leaving everything running until Ctrl-C.
    """
    out, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    running: Running | None = None
    starting = True
    stack = contextlib.ExitStack()

    def heard(line: str) -> None:
        if starting:
            progress.print(f"  {line}", style="dim", markup=False)

    try:
        progress.print("starting storage emulator, simulators and function app ...")
        folder = stack.enter_context(scratch("demo"))
        own, port = _own_configuration(arguments), free_port()
        more = [] if own else ["--clouds", "--config", str(_configuration(folder, port))]
        running = Running([*arguments, *more], heard=heard)
        starting = False
        consent = None if own else Consent(running, port)
        if consent is not None:
            stack.callback(consent.close)
        told: list[Story] = []
        azure = Azure()
        for batch in stories(azure):
            told += _deliver(running, batch, progress)
        told.append(_storm(running, azure, progress))
        if consent is not None:
            consent.connected()
            alert = azure.metric(str(uuid4()), machine="vm-shop-07", properties=properties())
            told += _deliver(running, [Story("through a connection made by consent", alert)], progress)
        for story in told:
            story.outcome["state"] = _state(running, story.outcome.get("ticket", ""))
        steps: list[Step] = []
        rows: list[Step] = []
        exported: Export | None = None
        if running.session["clouds"] is not None and "control_url" in running.session["servicenow"]:
            for step in Clouds(running).stories():
                progress.print(f"  {step.what}: {step.ticket} {step.state}", markup=False)
                steps.append(step)
            for step in LogAlerts(running).stories():
                progress.print(f"  {step.what}: {step.ticket} {step.state}", markup=False)
                rows.append(step)
            exported = Export(running)
        _show(told, out)
        if steps:
            _show_steps("Recommendations and Secure Score", "what the source says", steps, out)
            _show_steps("Log alerts: rows, a ticket for each machine, a dry run", "what there is to see", rows, out)
        if exported is not None:
            exported.show(out)
        _show_health(running, out)
        if leave:
            return 0
        _invite(running.session, out)
        return running.process.wait()
    except KeyboardInterrupt:
        progress.print("stopping ...")
        return 0
    except (NotRunning, httpx.HTTPError) as error:
        progress.print(f"demo: {error}", style="red", markup=False)
        return 1
    finally:
        if running is not None:
            running.close()
        stack.close()


def _own_configuration(arguments: list[str]) -> bool:
    """Whether the user's own configuration or instance is shown: then the clouds are left out."""
    return any(one.split("=")[0] in ("--config", "--servicenow-url", "--app") for one in arguments)


def _configuration(folder: Path, port: int) -> Path:
    """The shipped configuration with the demo's routes of log alerts, its connection made by consent, and its sections
    of Defender and Secure Score."""
    file = folder / "bridge.yaml"
    shipped = (APP / "bridge.yaml").read_text("utf-8").replace("routes:\n", ROUTES, 1).replace(*EXPORT)
    file.write_text(with_consent(shipped, port) + SECTIONS.read_text("utf-8"), "utf-8")
    return file


def _interrupt(number: int, frame: object) -> None:
    del frame
    raise KeyboardInterrupt(number)


def _deliver(running: Running, batch: list[Story], progress: Console) -> list[Story]:
    ids = [running.post(story.body)[0] for story in batch]
    for story, signal_id in zip(batch, ids, strict=True):
        story.outcome = dict(running.outcome(signal_id))
        progress.print(f"  {story.name}: {_decision(story.outcome)}", markup=False)
    return batch


def _storm(running: Running, azure: Azure, progress: Console) -> Story:
    """Many alerts of one service in one request, and what became of all of them."""
    name = f"{_STORM} machines of one service at once"
    outcomes = [dict(running.outcome(signal_id)) for signal_id in running.post(azure.storm(_STORM))]
    opened = [outcome for outcome in outcomes if outcome.get("ticket")]
    counted = sum(outcome.get("decision") == "grouped" for outcome in outcomes)
    said = f"{len(opened)} new ticket, {counted} more counted in it"
    story = Story(name, {}, {**(opened[0] if opened else outcomes[0]), "said": said})
    story.outcome["calls"] = sum(outcome.get("calls", 0) for outcome in outcomes)
    progress.print(f"  {name}: {said}", markup=False)
    return story


def _decision(outcome: dict[str, Any]) -> str:
    if "said" in outcome:
        return str(outcome["said"])
    name = str(outcome.get("decision", outcome["event"]))
    return _SAID.get(name, name)


def _show(told: list[Story], out: Console) -> None:
    """The table; links stand beside it where the terminal is wide enough, else below."""
    wide = out.width >= 150
    table = Table(title="What became of each", title_justify="left")
    for column in ("signal", "decision", "ticket", "state now", "calls"):
        table.add_column(column, justify="right" if column == "calls" else "left")
    if wide:
        table.add_column("link", no_wrap=True)
    links: dict[str, str] = {}
    for story in told:
        outcome = story.outcome
        number, link = outcome.get("ticket", ""), outcome.get("url") or outcome.get("reason", "")
        if outcome.get("url"):
            links[number] = link
        row = [story.name, _decision(outcome), number, outcome.get("state", ""), str(outcome.get("calls", 0))]
        table.add_row(*map(escape, [*row, link] if wide else row))
    out.print(table)
    if not wide:
        for number, link in links.items():
            out.print(f"{number}  {link}", markup=False, soft_wrap=True)
    if any(story.outcome.get("decision") == "created" and story.outcome.get("calls", 0) > 1 for story in told):
        out.print("2 calls: the first time a group is named it is looked up, and then known for a day.", style="dim")


def _show_steps(title: str, seen: str, steps: list[Step], out: Console) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("what happens", "ticket", "state now", seen):
        table.add_column(column)
    for step in steps:
        table.add_row(*map(escape, (step.what, step.ticket, step.state, step.source)))
    out.print(table)


def _show_health(running: Running, out: Console) -> None:
    """What health knows, and what happens when Azure forgets to call."""
    app = running.session["app"]
    answer = running.http.get(f"{app['health_url']}/report", headers={"x-functions-key": app["key"]})
    report = answer.json()
    called = [one["name"] for one in report["functions"] if one["last_called"]]
    reasons = "; ".join(reason["text"] for reason in report["reasons"]) or "nothing needs a person"
    functions = f"{len(report['functions'])} functions that Azure calls by itself"
    out.print("\n" + "\n".join(_log_ins(report)), markup=False, soft_wrap=True)
    text = (
        f"Health: {report['status']} ({reasons}). "
        f"Of the {functions}, {', '.join(called) or 'none'} left a sign of life. "
        "When Azure forgets to call them, webhooks, health checks and timers do their work: "
        "an alert has its ticket within three minutes. "
        f"See it: .venv/bin/python -m local asleep '*' --session {running.session['session_file']}, "
        "then send an alert, and ask for the health once a minute."
    )
    out.print(text, markup=False, soft_wrap=True)


def _log_ins(report: dict[str, Any]) -> list[str]:
    """How each connection logs in, and how long that works."""
    lines = []
    for name, connection in report["connections"].items():
        log_in = connection["log_in"] or {"kind": "unknown", "user": "", "days_left": None}
        as_whom = f" as {log_in['user']}" if log_in["user"] else ""
        days = log_in["days_left"]
        lasts = "no end is known of its secrets (settings have none)" if days is None else f"{days} days left"
        lines.append(f"Log-in of {name}: {log_in['kind']}{as_whom}, {lasts}.")
    return lines


def _invite(session: dict[str, Any], out: Console) -> None:
    app, desk = session["app"], session["servicenow"]
    alert = "tests/fixtures/azure_monitor/common/metric-static-fired.json"
    curl = f"curl -H 'x-functions-key: {app['key']}' -H 'content-type: application/json' -d @{alert}"
    lines = [
        "\nStill running. Try it:",
        f"  preview      {curl} {app['preview_url']}",
        f"  a ticket     {curl} {app['alerts_url']}",
        f"  health       curl {app['health_url']}",
        f"  operate      .venv/bin/python bridge.py --session {session['session_file']} quarantine list",
    ]
    if "control_url" in desk:
        user = f"{desk['username']} / {desk['password']}"
        lines.append(
            f"  ServiceNow   {desk['url']} (simulator; log in as {user}); faults, clock, log: {desk['control_url']}"
        )
    out.print("\n".join([*lines, "Ctrl-C ends everything."]), markup=False, soft_wrap=True)
