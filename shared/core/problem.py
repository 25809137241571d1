"""A request that is refused, as RFC 9457 describes it. Whoever answers requests raises it; only triggers encode it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """A request that is refused, in the terms of RFC 9457 (application/problem+json)."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """``extra`` are extension members, shown beside those that every problem has."""
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers: Mapping[str, str] = headers or {}
        self.extra: Mapping[str, Any] = extra or {}

    def body(self) -> dict[str, Any]:
        """The problem details object."""
        own = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return {**self.extra, **own}
