"""No secret reaches a log line, an answer, a dead letter or a link, whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.demo.alerts import Azure
from local.running import Running
from tests.end_to_end.conftest import Bridge

CONFIG = """
version: 1
connections:
  servicenow:
    type: servicenow
    url: ${SERVICENOW_URL}
    auth:
      type: oauth_client_credentials
      client_id: ${SERVICENOW_CLIENT_ID}
      client_secret: {secret: servicenow-client-secret}
    read_timeout: 2s
    total_timeout: 6s
default: {connection: servicenow}
delivery: {first_retry: 1s, longest_retry: 1s, retry_for: 8s}
"""


@pytest.mark.timeout(180)
def test_secrets_stay_secret_at_the_most_talkative_log_level(tmp_path: Path, azure: Azure) -> None:
    file = tmp_path / "bridge.yaml"
    file.write_text(CONFIG)
    with Running(["--config", str(file), "--verbose"]) as running:
        bridge = Bridge(running)
        desk = running.session["servicenow"]
        # The last one lets all workers pause.
        faults = ["reject_credentials", "commit_then_500", "data_policy", "acl_refuse", "expire_tokens", "hibernate"]
        for number, fault in enumerate(faults):
            bridge.scenario(fault, match={"table": "incident"})
            signal_id = bridge.send(azure.metric(f"{number:08d}-2222-4000-8000-000000000000"))
            running.outcome(signal_id)
            bridge.control("DELETE", "/scenarios")
        tokens = {line.split("Bearer ")[1].split()[0].strip("'\"") for line in running.lines if "Bearer " in line}
        shown = "".join(running.lines)
    secrets = [desk["client_secret"], desk["password"], desk["integration_password"], running.session["app"]["key"]]
    assert tokens == set()
    assert len(shown) > 10_000, "the log is there at all"
    for secret in secrets:
        assert secret not in shown
    account_key = running.session["storage"]["connection_string"].split("AccountKey=")[1].split(";")[0]
    assert account_key not in shown
    assert json.dumps(account_key) not in shown
