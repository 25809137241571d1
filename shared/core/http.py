"""A request and its response, as handlers see them: free of Azure Functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked.

    Attributes:
        method: GET, POST ...
        path: values of the route's placeholders, by name.
        query: query parameters, those of the Functions host included.
        headers: as received; looked up with :meth:`header`.
        body: as received.
    """

    method: str = "GET"
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """A header's value, whatever its case; None when it is missing."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Response:
    """A JSON answer: its status, its body and further headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


#: Answers one request. Raises Problem, and errors of the tree.
Handler = Callable[[Request], Awaitable[Response]]
