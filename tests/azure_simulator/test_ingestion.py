"""The Logs Ingestion API as other people's clients meet it, and what its tables keep."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient
from azure.monitor.ingestion.aio import LogsIngestionClient as AsyncLogsIngestionClient

from local.azure import DataCollectionRule, Simulator, TableStore, running
from local.azure.ingestion.rules import RULE_RESOURCE
from tests.azure_simulator.conftest import SignIn
from tests.azure_simulator.support import ARM, MONITOR, Control, refusal

RULE = "dcr-00000000000000000000000000000001"
STREAM = "Custom-Sample_CL"
PATH = f"/dataCollectionRules/{RULE}/streams/{STREAM}?api-version=2023-01-01"
COLUMNS = {
    "TimeGenerated": "datetime",
    "RecordId": "string",
    "Count": "int",
    "Total": "long",
    "Share": "real",
    "Open": "boolean",
    "Fields": "dynamic",
}
NOW = "2026-03-01T12:00:00Z"
ROW = {
    "TimeGenerated": "2026-03-01T11:30:00.5Z",
    "RecordId": "a",
    "Count": 3,
    "Total": 2**40,
    "Share": 0.5,
    "Open": True,
    "Fields": {"x": [1, "ü"]},
}


@pytest.fixture(autouse=True)
def rule(control: Control) -> None:
    """A rule, at noon."""
    control.post("/clock", freeze=True)
    control.post("/clock", set=NOW)
    control.post("/data-collection-rules", immutable_id=RULE, streams={STREAM: COLUMNS})


@pytest.fixture
def monitor(clouds: Simulator, rule: None, sign_in: SignIn) -> httpx.Client:
    """The bridge's application, which may send rows."""
    return sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, MONITOR)


def send(client: httpx.Client, rows: Any, path: str = PATH, **headers: str) -> httpx.Response:
    return client.post(path, content=json.dumps(rows), headers={"Content-Type": "application/json", **headers})


def table(control: Control, **wanted: Any) -> dict[str, Any]:
    return dict(control.get("/ingested/Sample_CL", **wanted))


def test_given_a_row_when_it_is_sent_then_its_table_holds_it(monitor: httpx.Client, control: Control) -> None:
    answer = send(monitor, [ROW], **{"x-ms-client-request-id": "request-1"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["x-ms-client-request-id"] == "request-1"
    found = table(control)
    assert found["count"] == 1
    assert found["rows"] == [{**ROW, "TimeGenerated": "2026-03-01T11:30:00.500000Z"}]


def test_given_gzip_when_rows_are_sent_then_they_arrive(monitor: httpx.Client, control: Control) -> None:
    data = gzip.compress(json.dumps([ROW, {**ROW, "RecordId": "b"}]).encode())
    assert monitor.post(PATH, content=data, headers={"Content-Encoding": "gzip"}).status_code == 204
    found = table(control, limit=1, distinct="RecordId")
    assert (found["count"], found["distinct"], len(found["rows"])) == (2, 2, 1)


@pytest.mark.parametrize(
    ("data", "encoding", "status"),
    [
        (b"[]", "br", 415),
        (b"[]", "gzip", 400),
        (gzip.compress(b'[{"RecordId": "a"}]', mtime=0)[:-12], "gzip", 400),  # the same name in every process
        (b"[{]", "identity", 400),
        (b'{"RecordId": "a"}', "identity", 400),
        (b"[1]", "identity", 400),
        (b'[{"RecordId": "\\ud800"}]', "identity", 400),
        (b'[{"RecordId": "\xff"}]', "identity", 400),
        (b'[{"Share": NaN}]', "identity", 400),
        (b'[{"Share": 1e999}]', "identity", 400),
        (b"[" * 5_000, "identity", 400),
    ],
)
def test_given_no_array_of_objects_when_it_is_sent_then_it_is_refused(
    monitor: httpx.Client, control: Control, data: bytes, encoding: str, status: int
) -> None:
    control.set(ingestion_malformed="refuse")
    refusal(monitor.post(PATH, content=data, headers={"Content-Encoding": encoding}), status)
    assert table(control)["count"] == 0


@pytest.mark.parametrize("data", [b"[{]", b'{"RecordId": "a"}', b"[1]", b'[{"RecordId": "\xff"}]'])
def test_given_the_api_as_it_is_when_a_malformed_body_is_sent_then_204_is_no_proof_of_a_row(
    monitor: httpx.Client, control: Control, data: bytes
) -> None:
    assert monitor.post(PATH, content=data).status_code == 204
    assert table(control)["count"] == 0


def test_given_an_empty_body_when_it_is_sent_then_the_service_fails(monitor: httpx.Client) -> None:
    refusal(monitor.post(PATH, content=b""), 500)


def test_given_more_than_a_megabyte_when_it_is_sent_then_it_is_too_large(
    monitor: httpx.Client, control: Control
) -> None:
    rows = [{"RecordId": "x" * 1000}] * 1100
    assert refusal(send(monitor, rows), 413) == "ContentLengthLimitExceeded"
    packed = gzip.compress(json.dumps(rows).encode())
    assert refusal(monitor.post(PATH, content=packed, headers={"Content-Encoding": "gzip"}), 413)
    assert refusal(send(monitor, [{"RecordId": "x" * 5 * 1024 * 1024}]), 413)
    assert send(monitor, rows[:1000]).status_code == 204
    control.set(ingestion_body_limit=1000)
    assert refusal(send(monitor, rows[:1]), 413)
    assert table(control)["count"] == 1000


def test_given_someone_without_the_role_when_rows_are_sent_then_they_are_forbidden(
    clouds: Simulator, sign_in: SignIn, control: Control, monitor: httpx.Client
) -> None:
    reader = sign_in(clouds.tenant_id, clouds.reader_client_id, clouds.reader_client_secret, MONITOR)
    answer = send(reader, [ROW])
    assert refusal(answer, 403) == "OperationFailed"
    assert RULE in answer.json()["error"]["message"]
    control.post("/grants", identity="reader", scope=RULE_RESOURCE, actions=["Microsoft.Insights/Telemetry/Write"])
    assert send(reader, [ROW]).status_code == 204
    control.delete("/grants", identity="bridge", actions=["Microsoft.Insights/Telemetry/Write"])
    refusal(send(monitor, [ROW]), 403)


def test_given_another_tenant_when_rows_are_sent_then_they_are_forbidden(clouds: Simulator, sign_in: SignIn) -> None:
    other = sign_in(clouds.other_tenant_id, clouds.client_id, clouds.client_secret, MONITOR)
    refusal(send(other, [ROW]), 403)


def test_given_a_wrong_token_when_rows_are_sent_then_the_answer_says_so(
    clouds: Simulator, sign_in: SignIn, anonymous: httpx.Client, control: Control, monitor: httpx.Client
) -> None:
    assert refusal(send(anonymous, [ROW]), 401) == "AuthenticationFailed"
    other = sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, ARM)
    assert refusal(send(other, [ROW]), 403) == "InvalidAuthenticationTokenAudience"
    slashes = sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, "https://monitor.azure.com//.default")
    assert send(slashes, [ROW]).status_code == 204
    control.order("expire_tokens")
    assert refusal(send(monitor, [ROW]), 401) == "ExpiredAuthenticationToken"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (PATH.replace(RULE, "dcr-00000000000000000000000000000002"), 404),
        (PATH.replace(STREAM, "Custom-Other_CL"), 404),
        (PATH.replace("/streams/", "/tables/"), 404),
        (PATH.partition("?")[0], 400),
        (PATH.replace("2023-01-01", "1999-01-01"), 400),
    ],
)
def test_given_a_wrong_address_when_rows_are_sent_then_it_is_refused(
    monitor: httpx.Client, path: str, status: int
) -> None:
    refusal(send(monitor, [ROW], path), status)


def test_given_values_that_do_not_fit_when_rows_are_sent_then_columns_stay_empty(
    monitor: httpx.Client, control: Control
) -> None:
    wrong = {"RecordId": 5, "Count": "3", "Total": 2**63, "Share": "x", "Open": 1, "Other": "dropped"}
    assert send(monitor, [{**wrong, "TimeGenerated": "yesterday", "Fields": [1]}]).status_code == 204
    (row,) = table(control)["rows"]
    assert row == {
        **dict.fromkeys(COLUMNS),
        "RecordId": "",
        "TimeGenerated": NOW,
        "Fields": [1],
    }
    control.set(ingestion_unsuitable="refuse")
    answer = send(monitor, [{**ROW, "Count": "3"}])
    assert refusal(answer, 400) == "InvalidRecord"
    assert "'Count'" in answer.json()["error"]["message"]
    assert send(monitor, [ROW]).status_code == 204


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-02-27T12:00:00Z", "2026-02-27T12:00:00Z"),
        ("2026-02-27T11:59:59Z", NOW),
        ("2026-03-02T13:00:00+01:00", "2026-03-02T12:00:00Z"),
        ("2026-03-02T12:00:01Z", NOW),
    ],
)
def test_given_a_time_that_is_far_away_when_its_row_is_sent_then_the_time_of_receipt_stands_for_it(
    monitor: httpx.Client, control: Control, sent: str, kept: str
) -> None:
    send(monitor, [{**ROW, "TimeGenerated": sent}])
    assert table(control)["rows"][0]["TimeGenerated"] == kept
    control.set(ingestion_unsuitable="refuse")
    assert send(monitor, [{**ROW, "TimeGenerated": sent}]).status_code == (204 if kept != NOW else 400)


def test_given_long_and_strange_texts_when_they_are_sent_then_64_kb_of_each_are_kept(
    monitor: httpx.Client, control: Control
) -> None:
    send(monitor, [{**ROW, "RecordId": "ü" * 100_000}, {**ROW, "RecordId": "a\0b 😀"}])
    long, strange = table(control)["rows"]
    assert long["RecordId"] == "ü" * 32 * 1024
    assert strange["RecordId"] == "a\0b 😀"


def test_given_a_lost_answer_when_rows_are_sent_again_then_there_are_two_of_each(
    monitor: httpx.Client, control: Control
) -> None:
    control.order("commit_then_fail", match={"service": "ingestion"}, times=1)
    assert refusal(send(monitor, [ROW]), 500)
    control.order("cut_after_commit", match={"operation": "streams/write"}, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        send(monitor, [ROW])
    assert send(monitor, [ROW]).status_code == 204
    found = table(control, distinct="RecordId")
    assert (found["count"], found["distinct"]) == (3, 1)


@pytest.mark.parametrize(("kind", "status"), [("throttle", 429), ("fail", 503), ("deny", 403)])
def test_given_a_fault_when_rows_are_sent_then_nothing_is_stored(
    monitor: httpx.Client, control: Control, kind: str, status: int
) -> None:
    control.order(kind, match={"service": "ingestion"}, times=1)
    answer = send(monitor, [ROW])
    refusal(answer, status)
    assert ("Retry-After" in answer.headers) is (kind == "throttle")
    assert table(control)["count"] == 0


def test_given_a_text_that_is_refused_when_its_row_is_sent_then_the_whole_call_is(
    monitor: httpx.Client, control: Control
) -> None:
    control.set(ingestion_refused_text="POISON")
    refusal(send(monitor, [ROW, {**ROW, "RecordId": "a POISON b"}]), 400)
    assert table(control)["count"] == 0
    assert send(monitor, [ROW]).status_code == 204


def test_given_rows_when_a_kusto_query_asks_then_it_finds_them(monitor: httpx.Client, control: Control) -> None:
    send(monitor, [ROW, {**ROW, "RecordId": "b", "Count": 4}])
    found = control.post(
        "/ingested/query",
        kql="Sample_CL | where TimeGenerated > ago(1h) | extend Age = now() - TimeGenerated, X = tostring(Fields.x[1])"
        " | order by RecordId desc | project RecordId, Count, Age, X, Fields",
    )
    names = [(one["name"], one["type"]) for one in found["columns"]]
    assert names == [
        ("RecordId", "string"),
        ("Count", "int"),
        ("Age", "timespan"),
        ("X", "string"),
        ("Fields", "dynamic"),
    ]
    age = "00:29:59.5000000"
    assert found["rows"] == [["b", 4, age, "ü", ROW["Fields"]], ["a", 3, age, "ü", ROW["Fields"]]]


def test_given_a_wrong_query_when_it_is_asked_then_it_is_told(control: Control) -> None:
    assert "kql" in control.refused("POST", "/ingested/query")
    assert "KqlSyntaxError" in control.refused("POST", "/ingested/query", kql="Sample_CL | wherex")
    assert "Nowhere" in control.refused("POST", "/ingested/query", kql="Nowhere | take 1")
    assert control.refused("POST", "/ingested/query", kql=".drop table Sample_CL")
    assert table(control)["count"] == 0


def test_given_rows_when_they_are_removed_then_tables_stay(monitor: httpx.Client, control: Control) -> None:
    send(monitor, [ROW])
    assert control.delete("/ingested") == {"removed": 1}
    (shown,) = control.get("/ingested")["tables"]
    assert shown == {"name": "Sample_CL", "columns": COLUMNS, "count": 0}
    assert control.refused("GET", "/ingested/Other_CL", status=404)
    assert control.refused("GET", "/ingested/Sample_CL?distinct=Other", status=404)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"immutable_id": "dcr-1"}, "immutable_id"),
        ({"streams": {}}, "streams"),
        ({"streams": {"Sample_CL": COLUMNS}}, "streams.Sample_CL"),
        ({"streams": {STREAM: {"RecordId": "string"}}}, "TimeGenerated"),
        ({"streams": {STREAM: {**COLUMNS, "Count": "text"}}}, "Count"),
        ({"streams": {STREAM: {**COLUMNS, "count": "int"}}}, "upper and lower case"),
        ({"resource_id": "/subscriptions/unknown/x"}, "resource_id"),
    ],
)
def test_given_a_rule_that_azure_would_refuse_when_it_is_declared_then_it_is_named(
    control: Control, changes: dict[str, Any], named: str
) -> None:
    body = {"immutable_id": RULE, "streams": {STREAM: COLUMNS}, **changes}
    assert named in control.refused("POST", "/data-collection-rules", **body)


def test_given_a_thousand_rows_when_they_are_stored_then_it_takes_a_fraction_of_a_second() -> None:
    store = TableStore()
    columns = {**{f"Text{number}": "string" for number in range(40)}, "TimeGenerated": "datetime"}
    store.declare("Many_CL", columns)
    rows = [{**{f"Text{number}": "x" * 25 for number in range(40)}, "TimeGenerated": None}] * 1000
    times = []
    for _ in range(3):
        start = time.perf_counter()
        store.add("Many_CL", rows)
        times.append(time.perf_counter() - start)
    assert store.count("Many_CL") == 3000
    assert min(times) < 0.1


@pytest.fixture
def credential(clouds: Simulator) -> Iterator[ClientSecretCredential]:
    with ClientSecretCredential(
        clouds.tenant_id,
        clouds.client_id,
        clouds.client_secret,
        authority=clouds.https_url,
        disable_instance_discovery=True,
        connection_verify=clouds.ca_file,
    ) as found:
        yield found


def test_given_azures_own_client_when_it_sends_rows_then_they_arrive(
    clouds: Simulator, control: Control, credential: ClientSecretCredential
) -> None:
    many: list[MutableMapping[str, Any]] = [
        {**ROW, "RecordId": f"{number}", "Fields": {"text": "x" * 60_000}} for number in range(40)
    ]
    with LogsIngestionClient(clouds.https_url, credential, connection_verify=clouds.ca_file) as client:
        client.upload(RULE, STREAM, many)
        with pytest.raises(HttpResponseError) as raised:
            client.upload(RULE, "Custom-Other_CL", many[:1])
    assert raised.value.status_code == 404
    assert raised.value.error is not None
    assert raised.value.error.code == "InvalidStream"
    assert table(control, distinct="RecordId")["distinct"] == 40


async def test_given_azures_asynchronous_client_when_it_sends_rows_then_they_arrive() -> None:
    store = TableStore()
    rule = DataCollectionRule(RULE, {STREAM: COLUMNS})
    async with (
        running(rules=[rule], tables=store) as clouds,
        AsyncClientSecretCredential(
            clouds.tenant_id,
            clouds.client_id,
            clouds.client_secret,
            authority=clouds.https_url,
            disable_instance_discovery=True,
            connection_verify=clouds.ca_file,
        ) as credential,
        AsyncLogsIngestionClient(clouds.https_url, credential, connection_verify=clouds.ca_file) as client,
    ):
        await client.upload(RULE, STREAM, [{**ROW, "TimeGenerated": None}])
        found = store.query("Sample_CL | summarize Rows = count() by RecordId")
        assert found.as_dicts() == [{"RecordId": "a", "Rows": 1}]
