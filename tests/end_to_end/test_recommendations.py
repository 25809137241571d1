"""A recommendation of Defender for Cloud becomes a ticket, and its Healthy resolves that ticket."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.end_to_end.conftest import Bridge

_FIXTURES = Path(__file__).parent.parent / "fixtures/defender/recommendation"


def body(name: str, machine: str, changed: datetime) -> dict[str, Any]:
    """A payload of the fixtures, about a machine of this test's own."""
    text = (_FIXTURES / name).read_text("utf-8")
    found: dict[str, Any] = copy.deepcopy(json.loads(text))
    status = found["properties"]["status"]
    status["statusChangeDate"] = changed.isoformat()
    old = found["properties"]["resourceDetails"]
    resource = next(value for key, value in old.items() if key.lower() == "id")
    return json.loads(json.dumps(found).replace(resource.rsplit("/", 1)[-1], machine))  # type: ignore[no-any-return]


def test_a_recommendation_opens_a_ticket_and_healthy_resolves_it(bridge: Bridge) -> None:
    machine, now = f"vm-{uuid4().hex[:12]}", datetime.now(UTC)
    post = bridge.running.post
    (fired,) = post(body("export-unhealthy.json", machine, now), to="recommendations")
    opened = bridge.running.outcome(fired)
    assert opened["decision"] == "created"
    assert opened["calls"] <= 2, "the look-up of its configuration item, and the ticket"
    (again,) = post(body("export-unhealthy.json", machine, now), to="recommendations")
    assert bridge.running.outcome(again)["decision"] == "duplicate"
    (healthy,) = post(body("export-healthy.json", machine, now + timedelta(hours=1)), to="recommendations")
    closed = bridge.running.outcome(healthy)
    assert (closed["decision"], closed["ticket"]) == ("resolved", opened["ticket"])
    (ticket,) = bridge.rows("incident", f"short_descriptionLIKE{machine}")
    assert ticket["state"] == "Resolved"
    assert "(healthy), reported by Microsoft Defender for Cloud" in ticket["close_notes"]
