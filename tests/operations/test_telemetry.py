"""From recorded events to figures: what is counted, how it reaches Application Insights, and what it costs before."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint

from shared.core.outcome import Outcome, OutcomeKind
from shared.core.ticket_system import LeftOut
from shared.operations.measures import COUNTERS, HISTOGRAMS, Measure, Measures
from shared.operations.meters import OpenTelemetryMeters
from shared.operations.telemetry import Telemetry
from shared.platform.log import listen, record
from tests.mapping.signals import signal

ROOT = Path(__file__).parents[2]


def delivered(decision: str = "created", **facts: Any) -> Outcome:
    """A signal of Azure Monitor, severity 1, that came to its end."""
    return Outcome(OutcomeKind.DELIVERED, decision, **{"signal": signal(severity=1), **facts})


def counted(outcome: Outcome) -> dict[str, dict[str, str]]:
    """Measures of an outcome by name, with their attributes."""
    return {measure.name: dict(measure.attributes) for measure in Measures().of_outcome(outcome)}


def counted_event(event: str, **fields: Any) -> dict[str, dict[str, str]]:
    """Measures of an event by name, with their attributes."""
    return {measure.name: dict(measure.attributes) for measure in Measures().of_event(event, fields)}


def test_a_delivery_counts_by_decision_with_its_connection_route_source_and_urgency() -> None:
    found = list(Measures().of_outcome(delivered(connection="desk", route="databases", calls=2, seconds=1.5)))
    common = {"connection": "desk", "route": "databases", "source": "azure_monitor", "urgency": "sev1"}
    assert found == [
        Measure("bridge.delivered", 1, common | {"decision": "created"}),
        Measure("bridge.ticket_system_calls", 2, common | {"decision": "created"}),
        Measure("bridge.alert_to_ticket", 1.5, common),
    ]


@pytest.mark.parametrize(
    ("decision", "name"),
    [
        ("duplicate", "bridge.deduplicated"),
        ("stale", "bridge.deduplicated"),
        ("suppressed", "bridge.suppressed"),
        ("no_route", "bridge.no_route"),
        ("no_ticket", "bridge.no_ticket"),
    ],
)
def test_some_decisions_have_a_counter_of_their_own_besides(decision: str, name: str) -> None:
    assert set(counted(delivered(decision))) == {"bridge.delivered", "bridge.ticket_system_calls", name}


def test_references_that_were_not_found_are_counted_by_field_and_never_by_their_text() -> None:
    missing = (LeftOut("cmdb_ci", "vm-1", "cmdb_ci"), LeftOut("caller_id", "sam", "sys_user", True))
    found = [one for one in Measures().of_outcome(delivered(left_out=missing)) if one.name == "bridge.left_out"]
    assert [one.attributes["field"] for one in found] == ["cmdb_ci", "caller_id"]
    assert not any(text in one.attributes.values() for one in found for text in ("vm-1", "sam"))


def test_what_a_group_counts_costs_no_call_and_is_counted_as_an_end_all_the_same() -> None:
    assert set(counted(Outcome(OutcomeKind.GROUPED, "grouped"))) == {"bridge.delivered", "bridge.grouped"}
    assert set(counted(Outcome(OutcomeKind.GROUPED, "duplicate"))) == {"bridge.delivered", "bridge.deduplicated"}


def test_a_decision_or_event_that_nobody_knows_yet_counts_as_far_as_it_can_be_understood() -> None:
    unknown = counted(Outcome(OutcomeKind.DELIVERED, "flapping"))
    assert unknown["bridge.delivered"] == {"decision": "flapping"}
    assert counted(Outcome(OutcomeKind.DELIVERED))["bridge.delivered"] == {"decision": "unknown"}
    assert counted_event("something_new", decision="x") == {}
    assert counted_event("signal_accepted", severity=9, source=7.5) == {"bridge.accepted": {}}


def test_time_to_a_ticket_is_of_tickets_that_were_opened() -> None:
    for decision, timed in (("created_resolved", True), ("reopened", True), ("resolved", False), ("commented", False)):
        assert ("bridge.alert_to_ticket" in counted(delivered(decision))) is timed, decision


def test_failures_and_refusals_are_counted_with_their_code() -> None:
    assert counted(Outcome(OutcomeKind.POSTPONED, code="unavailable")) == {"bridge.postponed": {"code": "unavailable"}}
    assert set(counted(Outcome(OutcomeKind.POSTPONED, code="throttled"))) == {"bridge.postponed", "bridge.throttled"}
    assert counted(Outcome(OutcomeKind.DEAD_LETTERED, code="refused")) == {"bridge.dead_lettered": {"code": "refused"}}
    assert counted(Outcome(OutcomeKind.QUARANTINED, reason="a long story")) == {"bridge.quarantined": {}}
    assert counted(Outcome(OutcomeKind.HELD, "held", rule="nightly")) == {"bridge.held": {}}
    for kind in (OutcomeKind.KEY_LOCKED, OutcomeKind.GROUP_FLUSHED, OutcomeKind.SOURCE_PUSHED):
        assert counted(Outcome(kind, "x")) == {}
    assert counted_event("request_refused", status=413) == {"bridge.refused_request": {"status": "413"}}
    assert counted_event("token_refused", status=401) == {"bridge.refused_request": {"status": "401"}}
    assert counted_event("signal_accepted", source="azure_monitor") == {"bridge.accepted": {"source": "azure_monitor"}}


def test_keys_titles_and_ids_never_become_attributes_and_no_attribute_grows_without_bound() -> None:
    measures = Measures()
    seen: set[str] = set()
    for number in range(1000):
        outcome = Outcome(
            OutcomeKind.DELIVERED, f"d{number}", id=f"{number}", key=f"k{number}", route=f"route-{number}" * 50
        )
        for measure in measures.of_outcome(outcome):
            assert measure.attributes.keys() == {"route", "decision"}
            seen.update(measure.attributes.values())
    assert len(seen) == 201  # a hundred of each, and "other"
    assert max(map(len, seen)) <= 80


def test_every_measure_has_its_instrument() -> None:
    reader = InMemoryMetricReader()
    meters = OpenTelemetryMeters(reader, {"WEBSITE_SITE_NAME": "bridge-test"})
    for name in (*COUNTERS, *HISTOGRAMS):
        meters.add(Measure(name, 2, {"route": "r"}))
    found = reader.get_metrics_data()
    assert found is not None
    (resource,) = found.resource_metrics
    assert resource.resource.attributes["service.name"] == "bridge-test"
    figures = {}
    for metric in resource.scope_metrics[0].metrics:
        (point,) = metric.data.data_points
        assert isinstance(point, NumberDataPoint | HistogramDataPoint)
        figures[metric.name] = point.value if isinstance(point, NumberDataPoint) else point.sum
        assert point.attributes == {"route": "r"}
    assert figures == dict.fromkeys((*COUNTERS, *HISTOGRAMS), 2)
    meters.provider.shutdown()


class Collected:
    """Meters in a list."""

    def __init__(self) -> None:
        self.measures: list[Measure] = []

    def add(self, measure: Measure) -> None:
        self.measures.append(measure)


def until_true(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_what_happens_before_the_meters_are_there_is_counted_all_the_same_and_in_order() -> None:
    collected, ready = Collected(), threading.Event()

    def start() -> Collected:
        assert ready.wait(10)
        return collected

    telemetry = Telemetry(start, patience=60)
    end = listen(telemetry.heard)
    record("request_refused", status="one")
    await telemetry.ended(Outcome(OutcomeKind.DEAD_LETTERED, code="two"))
    telemetry.hurry()
    record("request_refused", status="three")
    assert collected.measures == []
    ready.set()
    until_true(lambda: len(collected.measures) == 3)
    await telemetry.ended(Outcome(OutcomeKind.DEAD_LETTERED, code="four"))
    end()
    record("request_refused", status="nobody listens")
    assert [*(value for m in collected.measures for value in m.attributes.values())] == ["one", "two", "three", "four"]


def test_an_instance_that_delivers_nothing_starts_by_itself_after_a_while_and_an_idle_one_never() -> None:
    started: list[float] = []

    def start() -> Collected:
        started.append(time.monotonic())
        return Collected()

    telemetry = Telemetry(start, patience=0.2)
    time.sleep(0.3)
    assert started == []
    began = time.monotonic()
    telemetry.heard("request_refused", {"status": 400})
    until_true(lambda: started)
    assert started[0] - began >= 0.2


def test_a_wrong_connection_string_is_one_log_line_and_events_go_on() -> None:
    heard: list[tuple[str, Any]] = []

    def start() -> Collected:
        raise ValueError("Invalid connection string")

    telemetry = Telemetry(start)
    ends = [listen(telemetry.heard), listen(lambda event, fields: heard.append((event, fields.get("reason"))))]
    record("signal_accepted")
    telemetry.hurry()
    until_true(lambda: len(heard) == 2)
    for _ in range(3):
        record("signal_accepted")
    for end in ends:
        end()
    assert heard[1] == ("telemetry_unavailable", "ValueError: Invalid connection string")
    assert [event for event, _ in heard].count("telemetry_unavailable") == 1


@contextmanager
def ingestion() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Stands in for the ingestion endpoint of Application Insights: its address, and the items that it was sent."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            items = json.loads(body)
            received.extend({**item, "path": self.path} for item in items)
            answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


#: The app as the host loads it. What it has imported is printed after loading, after a webhook's work, and after the
#: worker was asked for. Then the process ends, as an instance that is scaled in does.
_APP = """
import sys, time

def hook(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] != "127.0.0.1":
        print("asked for", arguments[0], file=sys.stderr, flush=True)

sys.addaudithook(hook)
import function_app
from datetime import UTC, datetime
from shared.web.intake import accept
from shared.platform.log import record

def shown():
    print(sorted({"opentelemetry", "azure.monitor", "psutil", "msrest", "requests"} & set(sys.modules)), flush=True)

shown()
function_app.services.webhook.record_accepted(accept(ALERT, datetime.now(UTC), function_app.REGISTRY.schemas))
record("request_refused", status=400)
shown()
worker = function_app.services.worker
import asyncio
from dataclasses import replace
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.messages import signal_of
(message,) = accept(ALERT, datetime.now(UTC), function_app.REGISTRY.schemas).messages
signal = replace(signal_of(message), severity=0)
outcome = Outcome(OutcomeKind.DELIVERED, "created", connection="desk", signal=signal, calls=1, seconds=0.5)
asyncio.run(function_app.services.telemetry.ended(outcome))
assert function_app.services.telemetry in worker._listeners
deadline = time.monotonic() + 30
while function_app.services.telemetry._meters is None and time.monotonic() < deadline:
    time.sleep(0.02)
"""


def test_the_app_sends_its_figures_when_it_ends_and_imports_nothing_for_it_before_it_delivers() -> None:
    alert = json.loads((ROOT / "tests/fixtures/azure_monitor/common/metric-static-fired.json").read_text("utf-8"))
    with ingestion() as (address, received):
        key = "00000000-0000-0000-0000-000000000000"
        done = subprocess.run(
            [sys.executable, "-c", f"ALERT = {alert!r}\n{_APP}"],
            cwd=ROOT,
            env={
                "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={key};IngestionEndpoint={address}",
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "SERVICENOW_URL": "https://contoso.example.com",
                "WEBSITE_SITE_NAME": "bridge-test",
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "[]"]
    assert "asked for" not in done.stderr, "the exporter talks to nobody else"
    figures = {}
    for item in received:
        assert item["path"].endswith("/track")
        assert (item["iKey"], item["tags"]["ai.cloud.role"]) == (key, "bridge-test")
        data = item["data"]["baseData"]
        figures[data["metrics"][0]["name"]] = (data["metrics"][0]["value"], data["properties"])
    common = {"connection": "desk", "source": "azure_monitor", "urgency": "sev0"}
    assert figures == {
        "bridge.accepted": (1, {"source": "azure_monitor", "urgency": "sev2"}),
        "bridge.refused_request": (1, {"status": "400"}),
        "bridge.delivered": (1, common | {"decision": "created"}),
        "bridge.ticket_system_calls": (1, common | {"decision": "created"}),
        "bridge.alert_to_ticket": (0.5, common),
    }
