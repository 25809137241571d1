"""A request to the REST API and the usual form of its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.servicenow.commits import Change, Origin
from local.servicenow.identity import Identity
from local.simulator_kit import calls
from local.simulator_kit.calls import Answer


@dataclass(slots=True)
class Call(calls.Call):
    """One request to an API, also as an item of a batch.

    ``certificate`` is the subject (CN) of a verified client certificate; ``session`` is the session cookie that the
    client sent, empty if none.
    """

    certificate: str = ""
    session: str = ""
    identity: Identity | None = None
    table: str = ""
    changes: list[Change] = field(default_factory=list)
    in_batch: bool = False

    @property
    def origin(self) -> Origin:
        """Ids for the journal."""
        return Origin(self.entry.id, self.entry.transaction_id)

    @property
    def user(self) -> Identity:
        """The signed-in user.

        Raises:
            RuntimeError: the call was not authenticated; a mistake in the pipeline.
        """
        if self.identity is None:
            raise RuntimeError("the call has no user yet")
        return self.identity

    def flag(self, name: str) -> bool:
        """True when the parameter says true."""
        return self.param(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Whole number of the parameter, ``default`` when absent or unreadable."""
        try:
            return int(self.param(name, str(default)))
        except ValueError:
            return default


def result(payload: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Answer:
    """An answer with the usual ``result`` envelope."""
    return Answer(status, {"result": payload}, headers=headers or [])
