"""What the configuration says of a connection reaches its budget."""

from __future__ import annotations

from pathlib import Path

from app.requests import Services
from shared.budget import plan
from shared.platform.storage import Storage

CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: https://contoso.example.com
    auth: {type: basic, username: azure.bridge, password: {secret: desk-password}}
    max_in_flight: 2
    total_timeout: 40s
    budget: {calls: 500, reserve: 20%}
default: {connection: desk}
"""


def test_limits_and_the_longest_call_are_those_of_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(CONFIG)
    services = Services(
        {"BRIDGE_CONFIG": str(path)}, storage=Storage({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    )
    rules = services.budget("desk").rules
    assert (rules.calls, rules.reserve, rules.in_flight, rules.longest_call) == (500, 0.2, 2, 40.0)
    # An attempt at an open circuit is given up only when its call cannot be under way any more.
    assert plan.probe_lease(rules) == 50.0
