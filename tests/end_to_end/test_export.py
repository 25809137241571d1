"""The export in a running app: ``local up --clouds`` leads it to a Log Analytics, and the commands say how it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.log_analytics.columns import TICKETS_TABLE
from local import log_store
from local.demo.alerts import Azure
from local.demo.surroundings import Surroundings
from local.running import Running
from tests.end_to_end.test_command_line import bridge_py

CONFIG = """
version: 1
connections:
  servicenow:
    type: servicenow
    url: ${SERVICENOW_URL}
    auth: {type: basic, username: "${SERVICENOW_USERNAME}", password: {secret: servicenow-password}}
    export: {kinds: [incident]}
default: {connection: servicenow}
log_analytics: {endpoint: "${LOGS_INGESTION_ENDPOINT}", rule: "${LOGS_INGESTION_RULE}"}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("export") / "bridge.yaml"
    file.write_text(CONFIG)
    with Running(["--clouds", "--config", str(file)]) as started:
        yield started


def test_given_a_ticket_of_an_alert_when_the_timer_has_run_then_its_row_is_there_and_status_says_so(
    running: Running, azure: Azure
) -> None:
    (signal,) = running.post(azure.metric("7a7a7a7a-2222-4000-8000-000000000000"))
    number = running.outcome(signal)["ticket"]
    surroundings = Surroundings(running)
    surroundings.timer("export_tickets")
    deadline = time.monotonic() + 60
    while not (row := _row_of(running, number)):
        assert time.monotonic() < deadline, "no row came"
        time.sleep(0.2)
    assert row["ServiceDeskWorkItemType_s"] == "Incident"
    assert row["State"] == "New"
    session = running.session["session_file"]
    while True:
        code, text, _ = bridge_py("export", "status", "--json", session=session)
        assert code == 0
        shown = json.loads(text)["connections"]["servicenow"]
        if shown["state"] == "ok" or time.monotonic() > deadline:
            break
    assert (shown["state"], shown["last_error"]) == ("ok", None)
    assert shown["kinds"]["incident"]["rows"] >= 1


def _row_of(running: Running, number: str) -> dict[str, Any]:
    found = log_store.rows(running.session["clouds"], TICKETS_TABLE)
    return next((row for row in found if row["ServiceDeskId_s"] == number), {})
