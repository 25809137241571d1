"""What people see of integrations and rules before and after: the preview, and the list with its counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.defender.source import DefenderSource
from shared.core.outcome import Outcome, OutcomeKind
from tests.asking import ask, get
from tests.defender_assignments.office import Office
from tests.defender_assignments.test_scenarios import DAY, defender, found
from tests.mapping.recommendations import SUBSCRIPTION, healed
from tests.payloads.findings import assessment
from tests.payloads.support import VM


async def test_the_preview_shows_route_owner_and_due_date_and_leaves_no_trace(office: Office) -> None:
    rule = {"name": "tagged", "owner": {"tag": "owner"}, "days": 14, "when": {"severity": [0, 1]}}
    services = office.configure(defender(rule, caller="abel.tuter"))
    (shown,) = services.preview({**assessment(), "tags": {"Owner": "david.loo"}})
    due = office.now + 14 * DAY
    assert shown["reason"] == "governance rule 'tagged' assigns it; integration:all covers it"
    assert (shown["route"], shown["connection"], shown["ticket"]["kind"]) == ("integration:all", "desk", "incident")
    assert shown["assignment"] == {
        "integration": "all",
        "rule": "tagged",
        "owner": "david.loo",
        "due": due.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    fields = shown["ticket"]["fields"]
    assert (fields["assigned_to"], fields["caller_id"]) == ("david.loo", "abel.tuter")
    assert fields["due_date"] == due.strftime("%Y-%m-%d %H:%M:%S")
    assert "owner" not in shown["signal"]["details"], "what the payload said is shown as it was"
    assert [one async for one in services.source(DefenderSource).assignments.all() if VM.lower() in one.key] == []
    healthy: dict[str, Any] = {"status": {"code": "Healthy", "statusChangeDate": "2026-01-02T00:00:00Z"}}
    (over,) = services.preview({**assessment(**healthy), "tags": {"Owner": "david.loo"}})
    assert over["route"] == "integration:all"
    assert over["ticket"]["resolution"]["close_notes"].startswith("The resource is healthy.")


async def test_the_preview_of_what_no_rule_assigns_shows_the_routes(office: Office) -> None:
    services = office.configure(defender({"when": {"severity": 4}}))
    (shown,) = services.preview(assessment())
    assert (shown["route"], shown["reason"]) == ("default", "route 'default' matches")
    assert "assignment" not in shown


async def test_the_list_says_how_each_integration_is_doing(office: Office) -> None:
    name = f"n{office.group}"  # of the connection too: how connections are doing is one table for all tests
    nowhere = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/none"
    customised = {"problem": {"assigned_to": "david.loo", "short_description": "x"}}
    integrations: list[dict[str, Any]] = [
        {"name": name, "connection": name, "fields": customised},
        {"name": "quiet", "connection": "desk", "scope": nowhere},
    ]
    sign_in = {
        "type": "basic",
        "username": office.simulator.integration_username,
        "password": {"secret": "desk-password"},
    }
    connections = {name: {"type": "servicenow", "url": office.simulator.url, "auth": sign_in}}
    office.configure(defender({"days": 7}, integrations=integrations), connections=connections)
    one, two = found(office, "vm-1"), found(office, "vm-2")
    await office.deliver(one, two, healed(one, office.now + timedelta(hours=1)))
    began = office.now
    office.now += 8 * DAY
    listed, quiet = (await get(office.defender.integrations))["integrations"][:2]
    assert listed == {
        "name": name,
        "scope": "/",
        "connection": name,
        "ticket": "incident",
        "one_ticket_per": "resource",
        "fields": "customised",
        "customised": ["problem"],
        "status": "ok",
        "last_success": began.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "last_error": None,
        "assignments": {"open": 1, "overdue": 1, "ended": 1, "tickets": 2},
    }
    assert quiet["assignments"] == {"open": 0, "overdue": 0, "ended": 0, "tickets": 0}

    failed = Outcome(OutcomeKind.POSTPONED, code="not_sent", connection=name, call_error="not_sent")
    await office.services.health.ended(failed)
    (listed, _) = (await get(office.defender.integrations))["integrations"][:2]
    assert (listed["status"], listed["last_error"]["code"]) == ("connection_error", "not_sent")
    office.configure({"integrations": integrations[1:]})
    gone = {one["name"]: one for one in (await get(office.defender.integrations))["integrations"]}[name]
    assert (gone["status"], gone["assignments"]["open"]) == ("removed", 1)
    office.configure({"integrations": [{"name": "x"}]})
    refused = await ask(office.defender.integrations, method="GET")
    assert (refused.status, refused.body["title"]) == (503, "Configuration invalid")
