"""One call and one answer as values, apart from any HTTP library, so that answers can be judged by a pure function."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Errors quote at most this much of what the instance said.
QUOTED = 300

#: Of an answer that is no result, no more than this is looked at.
_READ = 8000

_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]{0,2000}>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Purpose(StrEnum):
    """What a call is for. It decides what an answer proves."""

    LIST = "list"
    RECORD = "record"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EVENT = "event"

    @property
    def writes(self) -> bool:
        """Whether the call can have an effect on the instance."""
        return self not in (Purpose.LIST, Purpose.RECORD)


@dataclass(frozen=True, slots=True)
class WireCall:
    """A REST call: ``path`` below the instance's address, ``params`` for the query, ``body`` as JSON object."""

    method: str
    path: str
    purpose: Purpose
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class ServiceNowReply:
    """An answer: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {len(self.body)} bytes>"  # an instance can send back what we sent

    @property
    def request_id(self) -> str | None:
        """X-Transaction-ID: the key into the instance's transaction log."""
        return re.sub(r"[^\w-]", "", self.headers.get("x-transaction-id", ""))[:64] or None

    @property
    def is_json(self) -> bool:
        """Whether the answer calls itself JSON."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/json" or kind.endswith("+json")

    def json(self) -> Any:
        """The body as JSON; None when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def said(self) -> str:
        """What the instance says in this answer, as one line of plain text; empty when it says nothing.

        Knows the envelope of the REST APIs (error.message, error.detail), that of OAuth (error as text and
        error_description), and HTML pages.
        """
        data = self.json()
        if isinstance(data, dict):
            error = data.get("error")
            if isinstance(error, dict):
                parts = [error.get("message"), error.get("detail")]
            else:
                parts = [error, data.get("error_description"), data.get("message")]
            texts = [part[:_READ].strip() for part in parts if isinstance(part, str) and part.strip()]
            if texts:
                return plain(": ".join(dict.fromkeys(texts)))
        if data is not None:
            return ""
        text = self.body[:_READ].decode("utf-8", errors="replace")
        title = _TITLE.search(text)
        return plain(title[1] if title else "") or plain(text)


def plain(text: str) -> str:
    """Text without HTML, entities and control characters, on one line."""
    if "<" in text:
        text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    return " ".join(_CONTROL.sub(" ", html.unescape(text)).split())


def shorten(text: str, limit: int = QUOTED) -> str:
    """Cut to ``limit`` characters, ending in an ellipsis when something was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
