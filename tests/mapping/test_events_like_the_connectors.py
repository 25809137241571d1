"""Events say what those of ServiceNow's own Azure Monitor connector are documented to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.servicenow import ServiceNow
from local import servicenow
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal
from shared.core.ticket_system import Closure, Draft, TicketKind
from tests.azure_simulator.support import NO_AUTHORITIES
from tests.mapping.signals import mapper
from tests.payloads.support import RECEIVED, fixture, parse
from tests.servicenow_connector.simulated import secrets_of, settings_for

ROUTES = mapper("default: {connection: desk, ticket: event}")
SHARED = ("alertId", "originAlertId", "alertRule", "monitoringService", "signalType", "monitorCondition")


def alert(severity: str, condition: str) -> dict[str, Any]:
    """A metric alert in the common alert schema."""
    body: dict[str, Any] = json.loads(json.dumps(fixture("common/metric-static-fired", "azure_monitor")))
    body["data"]["essentials"] |= {"severity": severity, "monitorCondition": condition}
    if condition == "Resolved":
        body["data"]["essentials"]["resolvedDateTime"] = "2024-03-05T08:25:18.689238Z"
    return body


@pytest.mark.parametrize(
    ("severity", "condition", "expected"),
    [
        ("Sev0", "Fired", "1"),
        ("Sev1", "Fired", "2"),
        ("Sev2", "Fired", "4"),
        ("Sev3", "Fired", "4"),
        ("Sev4", "Fired", "5"),
        ("Sev0", "Resolved", "0"),
        ("Sev4", "Resolved", "0"),
    ],
)
async def test_an_alert_becomes_the_same_event_by_the_bridge_and_by_the_connector(
    severity: str, condition: str, expected: str, tmp_path: Path
) -> None:
    body = alert(severity, condition)
    (signal,) = parse(body, RECEIVED)
    assert isinstance(signal, Signal)
    route = ROUTES.named("default")
    assert route is not None
    async with servicenow.running() as simulator:
        system = ServiceNow("desk", settings_for(simulator), SettingSecrets(secrets_of(simulator)))
        opening = Draft(TicketKind.EVENT, "0" * 32, signal.key, ROUTES.ticket(route, signal).fields)
        if condition == "Resolved":
            ref = (await system.create(opening)).ref
            await system.resolve(ref, Closure(ROUTES.closing(route, signal).fields))
        else:
            await system.create(opening)
        await system.aclose()
        admin = (simulator.username, simulator.password)
        async with httpx.AsyncClient(base_url=simulator.url, auth=admin, verify=NO_AUTHORITIES) as http:
            sent = await http.post("/api/sn_em_connector/em/inbound_event?source=azuremonitor", json=body)
            assert sent.status_code == 200, sent.text
            query = {"sysparm_query": "ORDERBYsys_created_on"}
            rows = (await http.get("/api/now/table/em_event", params=query)).json()["result"]
    (theirs,) = [row for row in rows if row["message_key"] != signal.key]
    ours = [row for row in rows if row["message_key"] == signal.key][-1]
    for name in ("severity", "resolution_state", "node", "resource", "time_of_event"):
        assert ours[name] == theirs[name], name
    assert ours["severity"] == expected
    assert ours["metric_name"] == "Percentage CPU"
    more, connectors = json.loads(ours["additional_info"]), json.loads(theirs["additional_info"])
    assert {name: more[name] for name in SHARED} == {name: connectors[name] for name in SHARED}
    assert more["alertTargetIDs"].lower() in connectors["alertTargetIDs"].lower()
    assert more["resourceType"].lower() == connectors["resourceType"].lower()
    if condition == "Fired":
        assert (more["azureSeverity"], more["threshold"], more["operator"]) == (severity, "85", "GreaterThan")
