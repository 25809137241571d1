"""A request to one of the clouds and what refuses it, apart from the HTTP library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.simulator_kit.calls import Answer
from local.simulator_kit.request_log import RequestEntry

#: What a scenario may match beside the path.
TRAITS = ("method", "service", "operation", "user")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom an access token names. ``name`` is the identity's name in the simulator, or the client id of a stranger."""

    name: str
    tenant: str
    object_id: str
    client_id: str
    roles: tuple[str, ...]


class Refusal(Exception):
    """A request is refused; ``answer`` is what goes out. ``note`` is for the request log only."""

    def __init__(self, answer: Answer, note: str = "") -> None:
        super().__init__(note or answer.payload)
        self.answer = answer
        self.note = note


@dataclass(slots=True)
class Call:
    """One request.

    ``service`` is entra, identity, arm or graph; ``operation`` is what it does in the words of the service's
    permissions (``Microsoft.AlertsManagement/alerts/read``, ``secureScores/read``, ``token``). ``params`` are the
    decoded query parameters in order; ``base_url`` is scheme and host as the client addressed them.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    entry: RequestEntry
    params: list[tuple[str, str]] = field(default_factory=list)
    service: str = ""
    operation: str = ""
    caller: Caller | None = None
    committed: bool = False
    #: Headers that go out whatever the answer is (remaining quota).
    extra_headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def who(self) -> Caller:
        """The signed-in caller.

        Raises:
            RuntimeError: the call was not authenticated; a mistake in the pipeline.
        """
        if self.caller is None:
            raise RuntimeError("the call has no caller yet")
        return self.caller

    def trait(self, name: str) -> str:
        """Value of one of :data:`TRAITS`."""
        traits = {
            "method": self.method,
            "service": self.service,
            "operation": self.operation,
            "user": self.entry.user or "",
        }
        return traits[name]

    def param(self, name: str, default: str = "") -> str:
        """First value of a query parameter; names compare without case, as ARM and OData do."""
        return next((value for key, value in self.params if key.lower() == name.lower()), default)

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object; empty without a body, None when it is something else."""
        if not self.body.strip():
            return {}
        try:
            body = json.loads(self.body)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None
