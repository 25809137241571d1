"""Tickets by hand over real storage and a simulated ServiceNow: made once, resolved, refused, and never lost."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from connectors.manual.payloads.request import ManualRequest
from connectors.manual.requests import DeliverAtOnce, ManualTickets
from connectors.manual.store import RequestStore
from shared.core.http import Response
from shared.core.link import LinkStage
from shared.core.messages import Message, QueueSender, SignalMessage, encode
from shared.core.outcome import Outcome
from tests.asking import ask
from tests.conformance.stage import Fault
from tests.resync.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

VM = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-shop-prod"
    "/providers/Microsoft.Compute/virtualMachines/vm-shop-01"
)


async def post(stage: Stage, key: str, **body: Any) -> Response:
    """Ask for a ticket; a key of the test."""
    return await ask(stage.services.handler("request_ticket"), {"key": key, **body})


def fresh() -> str:
    return f"runbook-{uuid4().hex[:12]}"


async def until_made(stage: Stage, key: str) -> Response:
    """The answer to the same request, once there is a ticket; time passes meanwhile."""
    for _ in range(20):
        answer = await post(stage, key, title="Disk almost full")
        if answer.status == 201:
            return answer
        stage.later += timedelta(minutes=10)
        await asyncio.sleep(0.1)
    raise AssertionError(f"no ticket: {answer}")


async def incident(stage: Stage, answer: Response) -> dict[str, str]:
    (row,) = await stage.desk.rows("incident", f"sys_id={answer.body['ticket']['id']}")
    return row


async def test_given_a_log_record_when_a_person_asks_then_the_answer_has_the_ticket_with_all_that_was_said(
    stage: Stage,
) -> None:
    answer = await post(
        stage,
        fresh(),
        title="Disk almost full",
        text="Seen by the night shift.",
        severity=1,
        record={"Computer": "vm-shop-01", "FreeSpaceMB": 512, "Drive": "C:", "Empty": None},
        link="https://portal.azure.com/#blade/logs",
        requested_by="megan.b@contoso.example",
    )
    assert (answer.status, answer.body["outcome"]) == (201, "created")
    row = await incident(stage, answer)
    assert answer.body["ticket"]["number"] == row["number"]
    assert row["short_description"] == "Disk almost full on vm-shop-01"
    for said in (
        "Seen by the night shift.",
        "Severity: High",
        "FreeSpaceMB: 512",
        "Drive: C:",
        "vm-shop-01",
        "https://portal.azure.com/#blade/logs",
        "Requested by: megan.b@contoso.example",
    ):
        assert said in row["description"], row["description"]


async def test_given_the_same_request_when_it_comes_again_then_the_answer_is_the_same_and_nothing_is_written(
    stage: Stage,
) -> None:
    key, body = fresh(), {"title": "Disk almost full", "resources": [VM]}
    first = await post(stage, key, **body)
    writes = (await stage.desk.methods())["POST"] + (await stage.desk.methods())["PATCH"]
    stage.later += timedelta(hours=1)
    again = await post(stage, key, **body)
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
    assert (await stage.desk.methods())["POST"] + (await stage.desk.methods())["PATCH"] == writes


async def test_given_a_used_key_when_another_request_bears_it_then_it_is_refused_and_says_what_to_do(
    stage: Stage,
) -> None:
    key = fresh()
    await post(stage, key, title="Disk almost full")
    other = await post(stage, key, title="Disk full")
    assert (other.status, other.body["title"]) == (409, "Key already used")
    assert f"'{key}' was used at " in other.body["detail"]
    assert "choose a new key" in other.body["detail"]


async def test_given_five_equal_requests_at_once_when_they_are_done_then_there_is_one_ticket(stage: Stage) -> None:
    key = fresh()
    answers = await asyncio.gather(*(post(stage, key, title="Disk almost full") for _ in range(5)))
    assert {answer.status for answer in answers} <= {201, 202}
    last = await until_made(stage, key)
    link = await stage.link(last.body["key"])
    assert link.ticket is not None
    assert await stage.desk.tickets(link.kind, link.ticket.correlation) == 1


async def test_given_a_ticket_when_its_key_is_resolved_then_the_same_ticket_is_resolved_with_the_closing_note(
    stage: Stage,
) -> None:
    key = fresh()
    made = await post(stage, key, title="Disk almost full", severity=2)
    ended = await post(stage, key, state="resolved", text="Cleaned up the temp folder.")
    assert (ended.status, ended.body["outcome"]) == (200, "resolved")
    assert ended.body["ticket"] == made.body["ticket"]
    row = await incident(stage, ended)
    assert row["state"] == "6"
    assert "Disk almost full ended at " in row["close_notes"]
    assert "Cleaned up the temp folder." in row["close_notes"]
    again = await post(stage, key, state="resolved", text="Cleaned up the temp folder.")
    assert (again.status, again.body) == (200, ended.body)
    other = await post(stage, key, state="resolved", text="Something else.")
    assert other.status == 409


async def test_given_a_key_that_nobody_used_when_it_is_resolved_then_it_is_not_found(stage: Stage) -> None:
    answer = await post(stage, fresh(), state="resolved")
    assert (answer.status, answer.body["title"]) == (404, "Unknown key")


async def test_given_an_instance_that_is_away_when_a_person_asks_then_the_answer_says_what_happens_next(
    stage: Stage,
) -> None:
    key = fresh()
    await stage.desk.strike(Fault.ASLEEP)
    away = await post(stage, key, title="Disk almost full")
    assert (away.status, away.headers["Retry-After"]) == (503, "60")
    assert "The request is kept, and the bridge tries again by itself" in away.body["detail"]
    await stage.desk.heal()
    made = await until_made(stage, key)
    assert (await stage.link(made.body["key"])).stage is LinkStage.OPEN


async def test_given_a_refused_ticket_when_a_person_asks_then_the_answer_has_the_reason_and_the_dead_letter(
    stage: Stage,
) -> None:
    await stage.desk.strike(Fault.REFUSED)
    answer = await post(stage, fresh(), title="Disk almost full")
    await stage.desk.heal()
    assert (answer.status, answer.body["title"]) == (502, "Refused by the ticket system")
    assert "Caller must be active" in answer.body["detail"]
    assert "dead letter" in answer.body["detail"]


class KeepingQueue:
    """Keeps what would go on the queue, with how long it would be hidden."""

    def __init__(self) -> None:
        self.kept: list[tuple[Message, timedelta]] = []

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        self.kept.append((message, delay))


def tickets_of(stage: Stage, queue: QueueSender, handle: DeliverAtOnce, wait: float = 20.0) -> ManualTickets:
    services = stage.services
    store = RequestStore(services.storage)
    return ManualTickets(services.mapper, store, services.links, queue, handle, now=stage.now, wait=wait)


async def test_given_a_slow_instance_when_the_caller_has_waited_then_the_ticket_is_made_later(stage: Stage) -> None:
    key = fresh()
    tickets = tickets_of(stage, stage.services.queue, stage.services.worker.handle_now, wait=0.2)
    await stage.desk.strike(Fault.HANGING)
    slow = await tickets.submit(ManualRequest(key=key, title="Disk almost full"))
    assert (slow.outcome, slow.ticket) == ("pending", None)
    await stage.desk.heal()
    made = await until_made(stage, key)
    assert made.body["signal"] == slow.signal


async def test_given_a_process_that_dies_in_the_midst_when_its_message_comes_up_then_the_ticket_is_made(
    stage: Stage,
) -> None:
    key, queue = fresh(), KeepingQueue()

    async def die(_: SignalMessage) -> Outcome:
        raise RuntimeError("the process ends here")

    with pytest.raises(RuntimeError):
        await tickets_of(stage, queue, die).submit(ManualRequest(key=key, title="Disk almost full"))
    ((message, delay),) = queue.kept
    assert delay > stage.services.mapper.delivery.lease
    stage.later += delay
    await stage.services.worker.handle(message.id, encode(message), 1)
    assert (await stage.link(f"manual:1:{key}")).stage is LinkStage.OPEN
    again = await post(stage, key, title="Disk almost full")
    assert (again.status, again.body["signal"]) == (201, message.id)


ROUTES = """
accept_only: {subscriptions: [00000000-0000-0000-0000-000000000001]}
routes:
  - name: night
    when: {source: manual, title: "Disk*", details: {shift: night}, severity: [1]}
    fields: {category: disk}
"""


async def test_given_routes_when_a_request_comes_then_its_source_title_severity_resource_and_details_choose(
    stage: Stage,
) -> None:
    routes = ROUTES.replace("    fields:", f"    connection: {stage.name}\n    fields:")
    stage.configured(routes)
    body = {"title": "Disk almost full", "severity": 1, "resources": [VM], "details": {"shift": "night"}}
    night = await post(stage, fresh(), **body)
    assert (await incident(stage, night))["category"] == "disk"
    day = await post(stage, fresh(), **{**body, "details": {"shift": "day"}})
    assert (await incident(stage, day))["category"] != "disk"
    strange = await post(stage, fresh(), **{**body, "resources": [VM.replace("0001/", "0009/")]})
    assert (strange.status, strange.body["title"]) == (403, "Not allowed")


async def test_given_a_route_that_is_a_dry_run_when_a_request_comes_then_no_ticket_is_made_and_the_key_stays_free(
    stage: Stage,
) -> None:
    key = fresh()
    route = f"{{name: night, when: {{source: manual}}, connection: {stage.name}, mode: dry_run}}"
    stage.configured(f"routes: [{route}]")
    answer = await post(stage, key, title="Disk almost full")
    assert (answer.status, answer.body["outcome"], answer.body["ticket"]) == (200, "dry_run", None)
    stage.configured()
    assert (await until_made(stage, key)).body["outcome"] == "created"
    stage.configured("mode: dry_run")
    refused = await post(stage, fresh(), title="Disk almost full")
    assert (refused.status, refused.body["title"]) == (409, "Dry run")


async def test_given_a_request_when_it_is_previewed_then_its_ticket_is_shown_and_no_key_is_used(stage: Stage) -> None:
    key = fresh()
    body = {"key": key, "title": "Disk almost full", "severity": 0, "resources": [VM]}
    (shown,) = (await ask(stage.services.handler("preview"), body)).body["items"]
    assert (shown["signal"]["source"], shown["signal"]["key"]) == ("manual", f"manual:1:{key}")
    assert shown["ticket"]["fields"]["short_description"] == "Disk almost full on vm-shop-01"
    wrong = {**body, "severity": 9}
    (refused,) = (await ask(stage.services.handler("preview"), wrong)).body["items"]
    assert "'severity'" in json.dumps(refused)
    assert (await post(stage, key, title="Another one")).status == 201


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"title": "x"}, "key", "required"),
        ({"key": " ", "title": "x"}, "key", "at least 1"),
        ({"key": "k"}, "title", "required"),
        ({"key": "k", "title": "x\ny"}, "title", "one line"),
        ({"key": "k", "title": "x", "severity": "1"}, "severity", "from 0 (critical) to 4"),
        ({"key": "k", "title": "x", "severity": True}, "severity", "from 0 (critical) to 4"),
        ({"key": "k", "title": "x", "text": "a\x00b"}, "text", "control characters"),
        ({"key": "k", "title": "x", "details": {"shift!": "a"}}, "details", "is not a name"),
        ({"key": "k", "title": "x", "details": {"withdrawn": "a"}}, "details", "meaning of its own"),
        ({"key": "k", "title": "x", "details": {"shift": 1}}, "details.shift", "must be text"),
        ({"key": "k", "title": "x", "record": [1]}, "record", "JSON object"),
        ({"key": "k", "title": "x", "record": {str(n): n for n in range(101)}}, "record", "limit is 100"),
        ({"key": "k", "title": "x", "record": {"a": "b" * 30_000}}, "", "send fewer columns"),
        ({"key": "k", "title": "x", "resources": "vm"}, "resources", "must be a list"),
        ({"key": "k", "title": "x", "link": "javascript:alert(1)"}, "link", "web address"),
        ({"key": "k", "title": "x", "state": "closed"}, "state", "'fired' or 'resolved'"),
        ({"key": "k", "state": "resolved", "title": "x"}, "title", "does not go with state 'resolved'"),
        ({"key": "k", "title": "x", "titel": "y"}, "titel", "Did you mean title"),
    ],
)
async def test_given_a_request_with_a_mistake_when_it_comes_then_field_and_fix_are_named(
    stage: Stage, body: dict[str, Any], field: str, said: str
) -> None:
    answer = await ask(stage.services.handler("request_ticket"), body)
    assert answer.status == 400
    (mistake,) = answer.body["errors"]
    assert mistake["field"] == field
    assert said in mistake["message"]
