"""A request and its answer, apart from the HTTP library: what the APIs work on, also inside a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local.servicenow.commits import Change, Origin
from local.servicenow.identity import Identity
from local.servicenow.request_log import RequestEntry

#: Marks an answer without a body.
NO_BODY: Any = object()


@dataclass(slots=True)
class Call:
    """One request to an API.

    ``params`` are the decoded query parameters in order; ``headers`` compare without case; ``base_url`` is scheme and
    host as the client addressed them; ``certificate`` is the subject (CN) of a verified client certificate.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    entry: RequestEntry
    certificate: str = ""
    identity: Identity | None = None
    params: list[tuple[str, str]] = field(default_factory=list)
    table: str = ""
    operation: str = ""
    committed: list[Change] = field(default_factory=list)
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

    def trait(self, name: str) -> str:
        """What a scenario may ask for: method, table, user or operation."""
        traits = {
            "method": self.method,
            "table": self.table,
            "user": self.entry.user or "",
            "operation": self.operation,
        }
        return traits[name]

    def param(self, name: str, default: str = "") -> str:
        """First value of a query parameter."""
        return next((value for key, value in self.params if key == name), default)

    def flag(self, name: str) -> bool:
        """True when the parameter says true."""
        return self.param(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Whole number of the parameter, ``default`` when absent or unreadable."""
        try:
            return int(self.param(name, str(default)))
        except ValueError:
            return default


def read_params(query: str) -> list[tuple[str, str]]:
    """Query parameters in order, decoded as forms are."""
    return parse_qsl(query, keep_blank_values=True, max_num_fields=None)


@dataclass(slots=True)
class Answer:
    """One answer. ``payload`` is an object to be written as JSON or XML, or ``raw`` bytes go out as they are."""

    status: int = 200
    payload: Any = NO_BODY
    raw: bytes | None = None
    content_type: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    #: Fraction of the body that is really sent; a scenario may cut it short.
    send: float = 1.0

    @property
    def empty(self) -> bool:
        """True when there is no body at all."""
        return self.payload is NO_BODY and self.raw is None


def result(payload: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Answer:
    """An answer with the usual ``result`` envelope."""
    return Answer(status, {"result": payload}, headers=headers or [])


def html(status: int, title: str, text: str) -> Answer:
    """A page, as load balancers and sleeping instances send."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Answer(status, raw=page.encode(), content_type="text/html;charset=UTF-8")
