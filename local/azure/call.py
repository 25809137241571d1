"""A request to one of the clouds, who calls, and how a request is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.simulator_kit import calls
from local.simulator_kit.calls import Answer

#: What a scenario may match beside the path, with help.
TRAITS = {
    "method": "a value or a list",
    "service": "entra, identity, arm, graph, logs or ingestion",
    "operation": "Microsoft.AlertsManagement/alerts/read, secureScores/read, token ...; in phase arrival only Entra's",
    "user": "name of an identity, or a list; in phase arrival it is not known yet",
}


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
class Call(calls.Call):
    """One request.

    ``service`` is entra, identity, arm, graph, logs or ingestion; ``operation`` is what it does in the words
    of the service's permissions (``Microsoft.AlertsManagement/alerts/read``, ``secureScores/read``, ``token``).
    """

    caller: Caller | None = None
    #: The body was too large to be read.
    oversized: bool = False
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

    def param(self, name: str, default: str = "") -> str:
        """First value of a query parameter; names compare without case, as ARM and OData do."""
        return next((value for key, value in self.params if key.lower() == name.lower()), default)
