"""What webhooks do with a request: who may call, what its body becomes, and the messages on the queue."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shared.core.errors import BridgeError, ConfigurationError
from shared.core.http import Request, Response
from shared.core.plugins import EventHubIntake, Intake
from shared.core.problem import Problem
from shared.platform.log import record
from shared.web.answers import problem_response
from shared.web.intake import Accepted, accept, accept_events, endpoint_schemas, read_json

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.messages import Message
    from shared.core.payload_schema import PayloadSchema
    from shared.web.trust.gate import WebhookGate

#: Seconds for an answer: action groups wait ten, and a cold start needs some of them. Fetching the keys of tokens may
#: take five; storage has at least two.
MOST_SECONDS = 6.0
LEAST_SECONDS = 2.0

#: Application setting: with ``true``, each endpoint reads the payloads of every source.
SHARED_SETTING = "BRIDGE_SHARED_INTAKES"


class Webhook:
    """Used by every trigger that takes signals in."""

    def __init__(self, services: Container) -> None:
        self._services = services
        self._schemas: dict[str, Sequence[PayloadSchema]] = {}

    async def take_in(self, intake: Intake, request: Request) -> Response:
        """202 once every signal of a request is on the queue; otherwise the problem. Never raises an Exception.

        The host would answer 500 for an exception, and action groups do not repeat a 500: the alert would be lost. They
        repeat 503.
        """
        started = time.monotonic()
        try:
            if intake.token:
                await self.authenticate(request.header("Authorization"))
            accepted = self._accepted(intake, request)
            left = MOST_SECONDS - (time.monotonic() - started)
            await self._services.queue.put_all(accepted.messages, within=max(left, LEAST_SECONDS))
        except Problem as problem:
            return problem_response(problem)
        except BridgeError as error:  # the storage does not take the signals, or is not configured
            record("request_not_stored", logging.ERROR, intake=intake.name, code=error.code, reason=str(error))
            return problem_response(_not_stored("The bridge's storage is not available. The app's log says why."))
        except Exception as error:  # a mistake of ours, or a setting that the SDK cannot read: its text may be secret
            reason = f"{type(error).__name__} at {_place(error)}"
            record("request_not_stored", logging.ERROR, intake=intake.name, code="failed", reason=reason)
            return problem_response(_not_stored("The bridge could not store the signals. The app's log says why."))
        self.record_accepted(accepted)
        return Response(202, accepted.receipt())

    def _accepted(self, intake: Intake, request: Request) -> Accepted:
        """What the body of a request becomes. Raises Problem."""
        try:
            body = read_json(request.body, request.header("Content-Type"))
        except Problem as problem:
            record("request_refused", status=problem.status, reason=problem.detail)
            raise
        return accept(body, self._services.now(), self._schemas_of(intake.name), self._services.registry.foreign)

    def accept_events(self, hub: EventHubIntake, bodies: Sequence[bytes]) -> Accepted:
        """What the messages of an Event Hub become."""
        registry = self._services.registry
        return accept_events(bodies, self._services.now(), self._schemas_of(hub.name), registry.foreign)

    def _schemas_of(self, name: str) -> Sequence[PayloadSchema]:
        """The payloads that the function ``name`` takes; of the others it gives a reason."""
        found = self._schemas.get(name)
        if found is None:
            registry = self._services.registry
            shared = self._services.settings.get(SHARED_SETTING, "").strip().lower() == "true"
            found = registry.schemas if shared else endpoint_schemas(registry.sources, name, SHARED_SETTING)
            self._schemas[name] = found
        return found

    async def message(self, message: Message) -> str:
        """The text of a message for a queue output. Only one too large for the queue touches storage.

        Raises StorageUnavailable.
        """
        from shared.core.messages import MAX_MESSAGE_BYTES, encode

        text = encode(message)
        return text if len(text) <= MAX_MESSAGE_BYTES else await self._services.queue.encoded(message)

    def record_accepted(self, accepted: Accepted) -> None:
        """Log that each signal is on the queue. Items that nobody could read are logged when they are quarantined."""
        from shared.delivery.event_log import record_accepted

        for message in accepted.messages:
            record_accepted(message)

    @cached_property
    def _gate(self) -> WebhookGate | ConfigurationError | None:
        from shared.config.access import SecureWebhook
        from shared.config.load import load_section
        from shared.web.trust.gate import WebhookGate

        try:
            # By itself: a mistake in a route must not cost an alert.
            settings = load_section(
                self._services.config_path, "secure_webhook", SecureWebhook, self._services.settings
            )
        except ConfigurationError as error:
            return error
        return None if settings is None else WebhookGate(settings)

    async def authenticate(self, authorization: str | None) -> None:
        """Let a caller of the secure webhook in by its Authorization header, or not.

        Raises Problem: 401 or 403 for a token that is not accepted, 404 when no secure webhook is configured, 503 when
        keys or configuration are unavailable, so that Azure calls again.
        """
        from shared.web.intake import refused_token

        gate = self._gate
        if gate is None:
            raise Problem(
                404, "Not configured", "This bridge has no secure webhook: bridge.yaml has no 'secure_webhook'."
            )
        if isinstance(gate, ConfigurationError):
            record("configuration_invalid", logging.ERROR, problems=gate.problems)
            raise Problem(503, "Configuration invalid", "The app's log says what is wrong.", {"Retry-After": "20"})
        from shared.web.trust.tokens import TokenDenied

        try:
            await gate.admit(authorization)
        except TokenDenied as denied:
            raise refused_token(denied.status) from None


def _not_stored(detail: str) -> Problem:
    return Problem(503, "Not stored", f"{detail} Send the request again.", {"Retry-After": "5"})


def _place(error: BaseException) -> str:
    """Where an error was raised: files and lines, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
