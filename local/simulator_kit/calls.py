"""A request and its answer, independent of the HTTP library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local.simulator_kit.request_log import RequestEntry

#: Marks an answer without a body.
NO_BODY: Any = object()


@dataclass(slots=True)
class Call:
    """One request to a simulated API; simulators add what they know of it.

    ``params`` are the decoded query parameters in order; ``headers`` compare without case; ``base_url`` is scheme and
    host as the client addressed them. ``service`` is the API that the request is for, where a simulator has several;
    ``operation`` is what it does, in the words of the API. ``changes`` is what it committed, in the simulator's own
    records: empty means that nothing was committed.
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
    changes: list[Any] = field(default_factory=list)

    def trait(self, name: str) -> str:
        """What the ``match`` of a scenario compares: ``user``, or the attribute of that name."""
        return self.entry.user or "" if name == "user" else str(getattr(self, name))

    def param(self, name: str, default: str = "") -> str:
        """First value of a query parameter."""
        return next((value for key, value in self.params if key == name), default)

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object; empty without a body, None when it is something else."""
        if not self.body.strip():
            return {}
        try:
            body = json.loads(self.body)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None


def read_params(query: str) -> list[tuple[str, str]]:
    """Query parameters in order, decoded as forms are."""
    return parse_qsl(query, keep_blank_values=True, max_num_fields=None)


@dataclass(slots=True)
class Answer:
    """One answer. ``payload`` is an object that the frontend encodes, or ``raw`` bytes go out as they are."""

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


def html(status: int, title: str, text: str) -> Answer:
    """A page, as load balancers, proxies and sleeping instances send."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Answer(status, raw=page.encode(), content_type="text/html;charset=UTF-8")
