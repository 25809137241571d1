"""Every trigger and nothing else: decode, call one handler, encode. The only file that imports azure.functions.

Triggers of plug-ins are registered from what their ``plugin.py`` says: adding a source adds no line here.
"""

from __future__ import annotations

import json
import logging
import os
from typing import List  # noqa: UP035 - see Messages

import azure.functions as func

from app.container import Container
from app.registry import REGISTRY
from app.timers import all_jobs
from shared.core.errors import BridgeError
from shared.core.http import Request, Response
from shared.core.messages import JOB_QUEUE, POISON_QUEUE, QUEUE
from shared.core.plugins import EventHubIntake, HttpEndpoint, Intake, Job
from shared.platform.log import record
from shared.web.answers import respond

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
services = Container()
services.count_events()

#: The Python worker refuses ``list[str]`` here: Azure/azure-functions-python-worker issue 1176.
Messages = func.Out[List[str]]  # noqa: UP006


async def _handle(req: func.HttpRequest, name: str) -> func.HttpResponse:
    """Decode a request, let the handler of the endpoint ``name`` answer it, and encode the response."""

    async def handler(request: Request) -> Response:
        return await services.handler(name)(request)

    return _encoded(await respond(handler, _request(req)))


def _request(req: func.HttpRequest) -> Request:
    return Request(req.method, dict(req.route_params), dict(req.params), dict(req.headers.items()), req.get_body())


def _encoded(response: Response) -> func.HttpResponse:
    headers = dict(response.headers)
    mimetype = headers.pop("Content-Type", "application/json")
    return func.HttpResponse(json.dumps(response.body), status_code=response.status, mimetype=mimetype, headers=headers)


def _add_intake(intake: Intake) -> None:
    """A webhook of a source, with a function key of its own; or open to the host, and its callers show a token."""

    async def take_in(req: func.HttpRequest) -> func.HttpResponse:
        response = await services.webhook.take_in(intake, _request(req))
        services.standby.after_request()
        return _encoded(response)

    level = func.AuthLevel.ANONYMOUS if intake.token else func.AuthLevel.FUNCTION
    app.function_name(intake.name)(app.route(route=intake.route, methods=["POST"], auth_level=level)(take_in))


def _add_event_hub(hub: EventHubIntake) -> None:
    """An Event Hub of a source. The host goes on to the next messages once these are on the queue."""

    async def take_in(events: List[func.EventHubEvent], queued: Messages) -> None:  # noqa: UP006
        accepted = services.webhook.accept_events(hub, [event.get_body() for event in events])
        queued.set([await services.webhook.message(message) for message in accepted.messages])
        services.webhook.record_accepted(accepted)
        services.standby.after_request()

    trigger = app.event_hub_message_trigger(
        arg_name="events",
        event_hub_name=f"%{hub.hub}%",
        connection=hub.connection,
        consumer_group=os.environ.get(hub.consumer_group, "$Default"),
        cardinality=func.Cardinality.MANY,
    )
    output = app.queue_output(arg_name="queued", queue_name=QUEUE, connection="AzureWebJobsStorage")
    retry = app.retry(
        strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:05", maximum_interval="00:05:00"
    )
    app.function_name(hub.name)(trigger(output(retry(take_in))))


@app.function_name("deliver")
@app.queue_trigger(arg_name="message", queue_name=QUEUE, connection="AzureWebJobsStorage")
async def deliver(message: func.QueueMessage) -> None:
    """The queue's worker."""
    async with services.vital_signs.call("deliver"):
        await services.worker.handle(message.id or "", message.get_body(), message.dequeue_count or 1)


@app.function_name("park_poison")
@app.queue_trigger(arg_name="message", queue_name=POISON_QUEUE, connection="AzureWebJobsStorage")
async def park_poison(message: func.QueueMessage) -> None:
    """The poison queue's worker: what failed too often becomes a dead letter, with its reason, and can be replayed."""
    async with services.vital_signs.call("park_poison"):
        await services.worker.handle_poison(message.id or "", message.get_body())


@app.function_name("run_job")
@app.queue_trigger(arg_name="message", queue_name=JOB_QUEUE, connection="AzureWebJobsStorage")
async def run_job(message: func.QueueMessage) -> None:
    """Runs a job that a person asked for."""
    async with services.vital_signs.call("run_job"):
        await services.job_runner.run_asked(message.get_body())


@app.function_name("jobs")
@app.route(route="jobs/{name?}", methods=["GET", "POST"])
async def jobs(req: func.HttpRequest) -> func.HttpResponse:
    """GET: what jobs there are, or how far one has come. POST: run one now."""
    return await _handle(req, "jobs")


@app.function_name("check")
@app.route(route="check", methods=["POST"])
async def check(req: func.HttpRequest) -> func.HttpResponse:
    """Are the connections and Microsoft's services usable, as this app?"""
    return await _handle(req, "check")


@app.function_name("preview")
@app.route(route="preview", methods=["POST"])
async def preview(req: func.HttpRequest) -> func.HttpResponse:
    """What would this payload become? No side effect."""
    return await _handle(req, "preview")


@app.function_name("dead_letters")
@app.route(route="dead-letters/{item?}", methods=["GET", "POST"])
async def dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """GET: list, or show one. POST replay or drop: some of them."""
    return await _handle(req, "dead_letters")


@app.function_name("quarantine")
@app.route(route="quarantine/{item?}", methods=["GET", "POST"])
async def quarantine(req: func.HttpRequest) -> func.HttpResponse:
    """GET: list, or show one. POST replay or drop: some of them."""
    return await _handle(req, "quarantine")


@app.function_name("tickets")
@app.route(route="tickets", methods=["GET"])
async def tickets(req: func.HttpRequest) -> func.HttpResponse:
    """Every ticket of ours, filtered, sorted and in pages, with counts by kind and state."""
    return await _handle(req, "tickets")


@app.function_name("report")
@app.route(route="report", methods=["GET"])
async def report(req: func.HttpRequest) -> func.HttpResponse:
    """What became of the signals of the last hours, or would have become of them in a dry run."""
    return await _handle(req, "report")


def _add_endpoint(endpoint: HttpEndpoint) -> None:
    """An HTTP endpoint of a source."""

    async def handle(req: func.HttpRequest) -> func.HttpResponse:
        return await _handle(req, endpoint.name)

    app.function_name(endpoint.name)(app.route(route=endpoint.route, methods=list(endpoint.methods))(handle))


def _add_job(job: Job) -> None:
    """A timer. What is known to go wrong is logged, and done at the next time; so is a job that runs elsewhere."""

    async def run(timer: func.TimerRequest) -> None:
        try:
            async with services.vital_signs.call(job.name):
                await services.job_runner.run_timer(job.name)
        except BridgeError as error:
            late = timer.past_due
            record("timer_failed", logging.ERROR, timer=job.name, late=late, code=error.code, reason=str(error))
        await services.standby.after_timer()

    app.function_name(job.name)(app.timer_trigger(arg_name="timer", schedule=job.schedule)(run))


for _job in all_jobs(REGISTRY):
    _add_job(_job)
for _source in REGISTRY.sources:
    for _intake in _source.intakes:
        _add_intake(_intake)
    for _hub in _source.event_hubs:
        if os.environ.get(_hub.hub):
            _add_event_hub(_hub)
    for _endpoint in _source.endpoints:
        _add_endpoint(_endpoint)


@app.function_name("health")
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Is the bridge well? 200; 503 when it cannot take signals in."""
    return await _handle(req, "health")


@app.function_name("health_report")
@app.route(route="health/report", methods=["GET"])
async def health_report(req: func.HttpRequest) -> func.HttpResponse:
    """Why it is not well, and everything that is known of connections, functions and queues."""
    return await _handle(req, "health_report")
