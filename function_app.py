"""Every trigger and nothing else: decode, call one service, encode. The only file that imports azure.functions."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, List, Literal  # noqa: UP035 - see Messages

import azure.functions as func

from app.registry import REGISTRY
from app.requests import Services
from shared.core.errors import BridgeError, ConfigurationError
from shared.core.messages import POISON_QUEUE, QUEUE
from shared.core.problem import Problem
from shared.platform.log import record
from shared.web.intake import accept, accept_events, read_json

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
services = Services()
services.count_events()

#: The Python worker refuses ``list[str]`` here: Azure/azure-functions-python-worker issue 1176.
Messages = func.Out[List[str]]  # noqa: UP006


def _json(status: int, body: Any, headers: dict[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json", headers=headers)


def _problem(problem: Problem) -> func.HttpResponse:
    body = json.dumps(problem.body())
    headers = dict(problem.headers)
    return func.HttpResponse(body, status_code=problem.status, mimetype="application/problem+json", headers=headers)


@app.function_name("alerts")
@app.route(route="alerts", methods=["POST"])
@app.queue_output(arg_name="queued", queue_name=QUEUE, connection="AzureWebJobsStorage")
async def alerts(req: func.HttpRequest, queued: Messages) -> func.HttpResponse:
    """Azure Monitor's webhook. 202 once the host has put the signals on the queue."""
    return await _take_in(req, queued)


@app.function_name("recommendations")
@app.route(route="recommendations", methods=["POST"])
@app.queue_output(arg_name="queued", queue_name=QUEUE, connection="AzureWebJobsStorage")
async def recommendations(req: func.HttpRequest, queued: Messages) -> func.HttpResponse:
    """Defender for Cloud's workflow automation and continuous export, with a function key of their own."""
    return await _take_in(req, queued)


@app.function_name("secure_alerts")
@app.route(route="secure/alerts", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="queued", queue_name=QUEUE, connection="AzureWebJobsStorage")
async def secure_alerts(req: func.HttpRequest, queued: Messages) -> func.HttpResponse:
    """The same for Secure Webhook: an Entra token instead of a function key, so anonymous to the host."""
    try:
        await services.admit(req.headers.get("Authorization"))
    except Problem as problem:
        return _problem(problem)
    return await _take_in(req, queued)


async def _take_in(req: func.HttpRequest, queued: Messages) -> func.HttpResponse:
    try:
        body = read_json(req.get_body(), req.headers.get("Content-Type"))
        accepted = accept(body, datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign)
        queued.set([await services.message(envelope) for envelope in accepted.envelopes])
    except Problem as problem:
        record("refused_request", status=problem.status, reason=problem.detail)
        return _problem(problem)
    except BridgeError as error:  # a signal too large for the queue, and no storage to check it in
        return _problem(Problem(503, "Not stored", str(error), {"Retry-After": "5"}))
    services.taken_in(accepted)
    return _json(202, accepted.receipt())


if os.environ.get("RECOMMENDATIONS_EVENT_HUB"):

    @app.function_name("recommendations_from_event_hub")
    @app.event_hub_message_trigger(
        arg_name="events",
        event_hub_name="%RECOMMENDATIONS_EVENT_HUB%",
        connection="RecommendationsEventHub",
        consumer_group=os.environ.get("RECOMMENDATIONS_CONSUMER_GROUP", "$Default"),
        cardinality=func.Cardinality.MANY,
    )
    @app.queue_output(arg_name="queued", queue_name=QUEUE, connection="AzureWebJobsStorage")
    @app.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",
        minimum_interval="00:00:05",
        maximum_interval="00:05:00",
    )
    async def recommendations_from_event_hub(events: List[func.EventHubEvent], queued: Messages) -> None:  # noqa: UP006
        """Continuous export to an Event Hub. The host goes on to the next messages once these are on the queue."""
        accepted = accept_events(
            [event.get_body() for event in events], datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign
        )
        queued.set([await services.message(envelope) for envelope in accepted.envelopes])
        services.taken_in(accepted)


@app.function_name("deliver")
@app.queue_trigger(arg_name="message", queue_name=QUEUE, connection="AzureWebJobsStorage")
async def deliver(message: func.QueueMessage) -> None:
    """The queue's worker."""
    await services.worker.handle(message.id or "", message.get_body(), message.dequeue_count or 1)


@app.function_name("keep_poison")
@app.queue_trigger(arg_name="message", queue_name=POISON_QUEUE, connection="AzureWebJobsStorage")
async def keep_poison(message: func.QueueMessage) -> None:
    """The poison queue's worker: what failed too often is kept, with its reason, and can be replayed."""
    await services.worker.handle_poison(message.id or "", message.get_body())


@app.function_name("preview")
@app.route(route="preview", methods=["POST"])
async def preview(req: func.HttpRequest) -> func.HttpResponse:
    """What would this payload become? No side effect."""
    try:
        body = read_json(req.get_body(), req.headers.get("Content-Type"))
        return _json(200, {"items": services.preview(body)})
    except Problem as problem:
        return _problem(problem)
    except ConfigurationError as error:
        return _problem(Problem(503, "Configuration invalid", str(error)))


@app.function_name("dead_letters")
@app.route(route="dead-letters/{item?}", methods=["GET", "POST"])
async def dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """GET: list, or show one. POST replay or drop: some of them."""
    return await _kept(req, "dead-letter")


@app.function_name("quarantine")
@app.route(route="quarantine/{item?}", methods=["GET", "POST"])
async def quarantine(req: func.HttpRequest) -> func.HttpResponse:
    """GET: list, or show one. POST replay or drop: some of them."""
    return await _kept(req, "quarantine")


async def _kept(req: func.HttpRequest, kind: Literal["dead-letter", "quarantine"]) -> func.HttpResponse:
    item, content_type = req.route_params.get("item") or "", req.headers.get("Content-Type")
    try:
        return _json(200, await services.kept_request(kind, req.method, item, req.params, req.get_body(), content_type))
    except Problem as problem:
        return _problem(problem)


async def _answered(work: Callable[[], Awaitable[tuple[int, dict[str, Any]]]]) -> func.HttpResponse:
    """What a request of a person is answered: the result, or what stood in its way."""
    try:
        return _json(*await work())
    except Problem as problem:
        return _problem(problem)
    except ConfigurationError as error:
        return _problem(Problem(503, "Configuration invalid", str(error)))
    except BridgeError as error:
        return _problem(Problem(503, "Not available", str(error), {"Retry-After": "5"}))


def _body(req: func.HttpRequest) -> dict[str, Any] | list[Any]:
    return read_json(req.get_body(), req.headers.get("Content-Type"))


@app.function_name("assignments")
@app.route(route="assignments", methods=["POST"])
async def assignments(req: func.HttpRequest) -> func.HttpResponse:
    """Assign recommendations to somebody who has to fix them, with a ticket for each, now."""
    return await _answered(lambda: services.assign(_body(req)))


@app.function_name("withdraw_assignments")
@app.route(route="assignments/withdraw", methods=["POST"])
async def withdraw_assignments(req: func.HttpRequest) -> func.HttpResponse:
    """Take assignments back; their tickets stay, or are resolved."""
    return await _answered(lambda: services.withdraw(_body(req)))


@app.function_name("integrations")
@app.route(route="integrations", methods=["GET"])
async def integrations(req: func.HttpRequest) -> func.HttpResponse:
    """Where tickets of recommendations go, how that is doing, and how many there are."""
    del req

    async def listed() -> tuple[int, dict[str, Any]]:
        return 200, await services.integrations()

    return await _answered(listed)


@app.function_name("tickets")
@app.route(route="tickets", methods=["GET"])
async def tickets(req: func.HttpRequest) -> func.HttpResponse:
    """Every ticket of ours, filtered, sorted and in pages, with counts by kind and state."""

    async def listed() -> tuple[int, dict[str, Any]]:
        return 200, await services.tickets(dict(req.params))

    return await _answered(listed)


@app.function_name("secure_score_ticket")
@app.route(route="secure-score/{control}/ticket", methods=["POST"])
async def secure_score_ticket(req: func.HttpRequest) -> func.HttpResponse:
    """Make the ticket of an improvement action, now."""
    return await _answered(lambda: services.secure_score_ticket(req.route_params["control"], _body(req)))


@app.function_name("secure_score_preview")
@app.route(route="secure-score/{control}/preview", methods=["POST"])
async def secure_score_preview(req: func.HttpRequest) -> func.HttpResponse:
    """What would that ticket be? No side effect."""

    async def shown() -> tuple[int, dict[str, Any]]:
        return 200, await services.secure_score_preview(req.route_params["control"], _body(req))

    return await _answered(shown)


async def _on_time(timer: func.TimerRequest, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """What a timer does. What is known to go wrong is said in the log and done at the next time."""
    try:
        await work()
    except BridgeError as error:
        record("timer_failed", logging.ERROR, timer=name, late=timer.past_due, code=error.code, reason=str(error))


@app.function_name("tidy")
@app.timer_trigger(arg_name="timer", schedule="0 17 3 * * *")
async def tidy(timer: func.TimerRequest) -> None:
    """Once a day: forget what was logged long ago."""
    await _on_time(timer, "tidy", services.tidy)


@app.function_name("reconcile")
@app.timer_trigger(arg_name="timer", schedule="0 4,19,34,49 * * * *")
async def reconcile(timer: func.TimerRequest) -> None:
    """Four times an hour: compare Azure's own list of alerts with what is known, where that is configured."""
    await _on_time(timer, "reconcile", services.reconcile)


@app.function_name("poll_findings")
@app.timer_trigger(arg_name="timer", schedule="0 9,24,39,54 * * * *")
async def poll_findings(timer: func.TimerRequest) -> None:
    """Four times an hour: read the findings of Defender for Cloud, where that is configured and due."""
    await _on_time(timer, "poll_findings", services.poll_findings)


@app.function_name("remind")
@app.timer_trigger(arg_name="timer", schedule="0 12 * * * *")
async def remind(timer: func.TimerRequest) -> None:
    """Once an hour: remind those who have not fixed what they had to."""
    await _on_time(timer, "remind", services.remind)


@app.function_name("poll_scores")
@app.timer_trigger(arg_name="timer", schedule="0 22 * * * *")
async def poll_scores(timer: func.TimerRequest) -> None:
    """Once an hour: read the secure score of each tenant, where that is configured and due."""
    await _on_time(timer, "poll_scores", services.poll_scores)


@app.function_name("resync")
@app.timer_trigger(arg_name="timer", schedule="15 */5 * * * *")
async def resync(timer: func.TimerRequest) -> None:
    """Every five minutes: what people did with tickets comes back, and goes on to where the tickets came from."""
    await _on_time(timer, "resync", services.resync)


@app.function_name("full_check")
@app.timer_trigger(arg_name="timer", schedule="45 27 * * * *")
async def full_check(timer: func.TimerRequest) -> None:
    """Once an hour, where it is due: look whether all tickets are still there and all sources know of them."""
    await _on_time(timer, "full_check", services.full_check)


@app.function_name("planned_work")
@app.timer_trigger(arg_name="timer", schedule="30 */5 * * * *")
async def planned_work(timer: func.TimerRequest) -> None:
    """Every five minutes: ask ticket systems for the changes under way, where a maintenance section follows them."""
    await _on_time(timer, "planned_work", services.collect_planned_work)


@app.function_name("health")
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """How is the bridge? 200 with the report; 503 with the same when it could not take signals in."""
    del req
    able, report = await services.report()
    return _json(200 if able else 503, report)
