"""Bodies that are meant to hurt, and texts that are meant to be more than text where they land."""

from __future__ import annotations

import json
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from app.registry import REGISTRY
from connectors.servicenow import ServiceNow, ServiceNowSettings
from connectors.servicenow.tables import journal_text
from shared.core.messages import SignalMessage, UnreadableMessage, decode, encode
from shared.core.plugins import SourceWords
from shared.core.problem import Problem
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal, to_dict
from shared.core.ticket_system import Draft, Note, TicketKind
from shared.mapping.layouts import PLAIN
from shared.mapping.notes import event_note, reopening_note
from shared.mapping.summary import summary
from shared.payloads.parse import MOST_ITEMS
from shared.web.intake import MAX_BODY_BYTES, MAX_DEPTH, accept, accept_events, read_json
from tests.mapping.signals import mapper, signal
from tests.payloads.support import common, parse
from tests.servicenow_connector.scripted import Asked, Echo, Instance, Say, result, running

ID = "0123456789abcdef0123456789abcdef"

HOSTILE = [
    "<script>alert(1)</script>",
    "[code]<a href='javascript:alert(1)'>click</a>[/code]",
    "[CODE]<img src=x onerror=alert(1)>[/Code]",
    "[[code]code]<b>x</b>[/[/code]code]",
    "[co\x00de]<b>x</b>[/co\x00de]",
    "[co\x7fde]<b>x</b>[/co\ufffede]",
]

WORDS = SourceWords("Azure", "Azure Monitor", "alert", "fired again")


def nested(depth: int, kind: str) -> bytes:
    if kind == "arrays":
        return b"[" * depth + b"]" * depth
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize("kind", ["arrays", "objects"])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 5_000, 100_000])
def test_a_body_nested_too_deeply_is_refused_without_exhausting_the_stack(kind: str, depth: int) -> None:
    with pytest.raises(Problem) as caught:
        read_json(nested(depth, kind)[:MAX_BODY_BYTES] if depth < 100_000 else b"[" * 100_000, None)
    assert caught.value.status == 400
    assert "nested" in caught.value.title


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "-1E+999"])
def test_a_number_that_json_cannot_write_is_taken_in_as_text_and_handed_out_as_json(word: str) -> None:
    alert = json.dumps(common({"condition": {"allOf": [{"metricName": "m", "metricValue": "@"}]}}, {"size": "@"}))
    within = json.dumps(common(json.dumps({"conditionType": "x", "condition": {"allOf": ["@"]}}), {"a": '{"b": "@"}'}))
    unknown = json.dumps({"what": "@", "nested": {"deep": ["@"]}})
    for text in (alert, within.replace('\\"@\\"', "@"), unknown):
        body = text.replace('"@"', word).encode()
        for accepted in (
            accept(read_json(body, None), datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign),
            accept_events([body], datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign),
        ):
            (message,) = accepted.messages
            stored = decode(encode(message))
            assert isinstance(stored, SignalMessage | UnreadableMessage)
            shown = to_dict(stored.signal) if isinstance(stored, SignalMessage) else stored.unreadable.item
            handed_out = json.dumps(shown)
            json.loads(handed_out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
            assert word in handed_out or isinstance(stored, SignalMessage)


@pytest.mark.parametrize("kind", ["arrays", "objects"])
def test_a_body_as_deep_as_allowed_is_read(kind: str) -> None:
    assert read_json(nested(MAX_DEPTH, kind), None)
    assert read_json(b"[" + nested(MAX_DEPTH - 1, kind) + b",[],[],{}]", None)


def test_brackets_in_texts_and_many_in_a_row_are_no_depth() -> None:
    body = json.dumps([{"a": "[{" * 5000}, *({"b": []} for _ in range(MOST_ITEMS - 1))]).encode()
    assert len(read_json(body, None)) == MOST_ITEMS


def test_a_body_as_deep_as_allowed_can_be_kept_and_sent() -> None:
    for envelope in accept(read_json(nested(MAX_DEPTH, "objects"), None), datetime.now(UTC), REGISTRY.schemas).messages:
        assert encode(envelope)


def test_the_largest_body_is_judged_in_no_time() -> None:
    body = b"[" + b"[]," * ((MAX_BODY_BYTES - 4) // 3) + b"[]]"
    started = time.thread_time()
    with pytest.raises(Problem, match="items"):
        read_json(body, None)
    assert time.thread_time() - started < 2.0


@pytest.mark.parametrize(
    "text",
    ['{"records":[%s]}', '{"value":[%s]}', '[{"records":[{"value":[%s]}]}]', '{"headers":{},"body":[%s]}'],
)
def test_a_wrapper_of_half_a_million_items_is_refused_before_any_is_read(text: str) -> None:
    body = (text % ",".join(["{}"] * 340_000)).encode()
    assert len(body) <= MAX_BODY_BYTES
    decoded = read_json(body, None)
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as caught:
            accept(decoded, datetime.now(UTC), REGISTRY.schemas)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.status == 413
    messages = accept_events([body], datetime.now(UTC), REGISTRY.schemas).messages
    assert [type(message) for message in messages] == [UnreadableMessage]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_note_holds_no_tag_that_a_journal_would_render(text: str) -> None:
    hostile = signal(title=text, condition=text, description=text)
    for note in (
        event_note(hostile, WORDS, "[bridge:1]", "f" * 32),
        reopening_note(hostile, WORDS, "[bridge:1]", "f" * 32),
    ):
        assert "[code]" not in journal_text(note.text).lower()
        assert "[bridge:1]" in note.text


def test_a_journal_keeps_every_other_text_as_it_is() -> None:
    text = "if (a < b && c > d) { x[0] = '[codes]'; }\n[ code ] <script>"
    assert journal_text(text) == text
    assert journal_text("[code]x[/CODE]") == "(code)x(/code)"


@pytest.fixture
async def instance() -> Any:
    async with running() as found:
        yield found


@pytest.fixture
async def connector(instance: Instance) -> Any:
    data = {
        "type": "servicenow",
        "url": instance.url,
        "auth": {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}},
    }
    found = ServiceNow("contoso", ServiceNowSettings.model_validate(data), SettingSecrets({"DEMO_PASSWORD": "demo"}))
    yield found
    await found.aclose()


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_journal_field_of_a_request_holds_a_tag_that_would_be_rendered(
    instance: Instance, connector: ServiceNow, text: str
) -> None:
    instance.handler = Echo()
    fields = {"short_description": text, "work_notes": text, "comments": text, "description": text}
    ticket = await connector.create(Draft(TicketKind.INCIDENT, ID, "alert:1:a", fields))
    await connector.comment(ticket.ref, Note(f"{text} [bridge:1]", "[bridge:1]"))
    await connector.update(ticket.ref, {"comments": text}, None)
    sent = [asked.json for asked in instance.asked if asked.method in ("POST", "PATCH")]
    assert len(sent) == 3
    for body in sent:
        for name in ("work_notes", "comments"):
            assert "[code]" not in body.get(name, "").lower()
    assert sent[0]["description"] == text.replace("\x00", "").replace("\x7f", "").replace("\ufffe", "")


@pytest.mark.parametrize("text", [*HOSTILE, '"},{"severity":"0', "a^ORactive=true", "javascript:gs.getUserID()"])
async def test_an_event_holds_hostile_text_as_text(instance: Instance, connector: ServiceNow, text: str) -> None:
    instance.handler = lambda asked: result({"Default Bulk Endpoint": "1 events were inserted"})
    fields = {"description": text, "node": text, "portal": text, "additional_info": json.dumps({"a": text, text: "b"})}
    await connector.create(Draft(TicketKind.EVENT, ID, "alert:1:a", fields))
    (record,) = instance.asked[0].json["records"]
    shown = text.replace("\x00", "").replace("\x7f", "").replace("\ufffe", "")
    assert record["description"] == shown
    assert record["message_key"] == "alert:1:a"
    assert "severity" not in record
    assert json.loads(record["additional_info"]) == {"a": shown, shown: "b", "portal": shown}


@pytest.mark.parametrize(
    "value", ["javascript:gs.getUserID()", " JavaScript:gs.getUserID()", "\x01javascript:x", "a\nb"]
)
async def test_a_reference_from_a_payload_is_never_evaluated_by_the_instance(
    instance: Instance, connector: ServiceNow, value: str
) -> None:
    instance.handler = Echo()
    fields = {"short_description": "x", "assignment_group": value, "cmdb_ci": value}
    await connector.create(Draft(TicketKind.INCIDENT, ID, "alert:1:a", fields))
    assert [asked.method for asked in instance.asked] == ["POST"], "nothing was looked up"
    assert not {"assignment_group", "cmdb_ci"} & instance.asked[0].json.keys()


async def test_a_reference_from_a_payload_adds_no_condition_to_a_query(
    instance: Instance, connector: ServiceNow
) -> None:
    queries: list[str] = []
    echo = Echo()

    def handler(asked: Asked) -> Say:
        if asked.path.endswith("/sys_user_group"):
            queries.append(asked.query["sysparm_query"])
            return result([])
        return echo(asked)

    instance.handler = handler
    fields = {"short_description": "x", "assignment_group": "a^ORactive=true^NQname=b"}
    await connector.create(Draft(TicketKind.INCIDENT, ID, "alert:1:a", fields))
    assert len(queries) == 1
    assert "a^^ORactive=true^^NQname=b" in queries[0]


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://portal.azure.com",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "//elsewhere.example",
        "https://portal.azure.com@elsewhere.example/",
        "https:///elsewhere.example",
        "https://portal.azure.com%2f@elsewhere.example",
    ],
)
def test_a_link_that_is_no_plain_web_address_becomes_none(link: str) -> None:
    body = common(custom={"k": "v"}, investigationLink=link, portalLink=link)
    (found,) = parse(body, datetime.now(UTC))
    assert isinstance(found, Signal)
    assert "investigation" not in found.links
    assert link not in found.links.values()
    assert link not in summary(found, PLAIN, 4000)


def test_markup_in_a_link_is_encoded() -> None:
    (found,) = parse(common(investigationLink="https://portal.azure.com/<script>\"' x"), datetime.now(UTC))
    assert isinstance(found, Signal)
    assert found.links["investigation"] == "https://portal.azure.com/%3Cscript%3E%22'%20x"


def test_fields_of_a_ticket_hold_a_payloads_markup_as_text() -> None:
    hostile = signal(title="<script>alert(1)</script>", custom_properties={"a": "[code]<b>[/code]"})
    built = mapper("default: {connection: desk}\n")
    route = built.route(hostile)
    assert route is not None
    fields = built.ticket(route, hostile).fields
    assert fields["short_description"] == "<script>alert(1)</script>"
    assert "work_notes" not in fields
