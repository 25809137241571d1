"""The format of calls and answers: a call, an encoded query, an answer, the values in its rows, its times. Pure.

No HTTP library is used here, so that ``answers`` can judge an answer as a pure function.

An unknown column or operator in a query is dropped in silence and the rest still runs, so that a query can match far
too much: every caller sets a limit and checks what came back. Values are never evaluated: one that starts with
``javascript:`` would run as a script on the instance.

Sources: ServiceNow docs, "Encoded query strings", "Table API", "Inbound REST API rate limiting"; RFC 9110, 10.2.3.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

from shared.core.signal import read_json_text

#: Characters of an instance's error text that errors quote at most.
QUOTED = 300

#: Characters of an answer without a result that are read at most.
_READ = 8000

_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]{0,2000}>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_SYS_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)

#: Longest wait that is believed, in seconds. Rate limit rules count per hour: more is a mistake or an attack.
LONGEST_WAIT = 86_400.0


class Purpose(StrEnum):
    """What a call is for. It decides what an answer proves."""

    LIST = "list"
    RECORD = "record"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EVENT = "event"
    BATCH = "batch"
    IMPORT = "import"

    @property
    def writes(self) -> bool:
        """Whether the call can have an effect on the instance."""
        return self not in (Purpose.LIST, Purpose.RECORD)


@dataclass(frozen=True, slots=True)
class WireCall:
    """A REST call: ``path`` below the instance's address, ``params`` for the query, ``body`` as JSON object.

    ``weight``: calls of the budget that it spends. A batch spends one for each of its items, unless the instance was
    seen to count it as one (see ``batch_finding``): ServiceNow does not document whether rate limits count the batch or
    its items, and the budget must hold either way.
    """

    method: str
    path: str
    purpose: Purpose
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    weight: int = 1

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
            return read_json_text(self.body)
        except (ValueError, RecursionError):
            return None

    def error_text(self) -> str:
        """The instance's error message as one line of plain text; empty when there is none.

        Reads the envelope of the REST APIs (error.message, error.detail), that of OAuth (error as text and
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


def searchable(text: str) -> bool:
    """Whether a text can stand as a value in a query."""
    return bool(text.strip()) and not text.strip().lower().startswith("javascript:") and "\n" not in text


#: What a look-up gives where several records fit equally well. It is no sys_id.
SEVERAL: Final = "several"


def equal(column: str, text: str) -> str:
    """The condition ``column`` is ``text``."""
    return f"{column}={text.replace('^', '^^')}"


def any_of(conditions: Sequence[str]) -> str:
    """One of the conditions. ``^OR`` binds to the condition before it, so put these first in a query."""
    return "^OR".join(conditions)


def list_call(table: str, query: str, fields: Sequence[str], limit: int) -> WireCall:
    """A call that lists rows: values only, no count, no links."""
    return WireCall(
        "GET",
        f"/api/now/table/{table}",
        Purpose.LIST,
        {
            "sysparm_query": query,
            "sysparm_fields": ",".join(fields),
            "sysparm_limit": str(limit),
            "sysparm_exclude_reference_link": "true",
            "sysparm_no_count": "true",
            "sysparm_suppress_pagination_header": "true",
        },
    )


def selected(names: Iterable[str]) -> dict[str, str]:
    """The parameters of a call that is answered with one record: its columns, values only."""
    return {"sysparm_fields": ",".join(dict.fromkeys(names)), "sysparm_exclude_reference_link": "true"}


def is_sys_id(text: str) -> bool:
    """Whether a text is the id of a record: 32 hex digits."""
    return _SYS_ID.fullmatch(text) is not None


def value(row: Mapping[str, Any], name: str) -> str | None:
    """The stored value of a field, whatever the display settings of the answer; None when the field is not there."""
    found = row.get(name)
    if isinstance(found, Mapping):
        found = found.get("value", found.get("display_value"))
    if found is None:
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found)


def display(row: Mapping[str, Any], name: str) -> str | None:
    """What people see of a field, from an answer with display values; None when it is not there."""
    found = row.get(name)
    if isinstance(found, Mapping):
        found = found.get("display_value")
    return found if isinstance(found, str) else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, or None when the answer gives no time.

    ``Retry-After`` (seconds, or an HTTP date) wins over ``X-RateLimit-Reset`` (Unix time of the next hour). Times
    are compared with the answer's own ``Date`` when it has one, so that a wrong clock here does no harm.
    """
    server = http_date(headers.get("date", "")) or now
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return min(float(text), LONGEST_WAIT)
    until = http_date(text)
    if until is None:
        reset = headers.get("x-ratelimit-reset", "").strip()
        if not re.fullmatch(r"\d{1,11}", reset):
            return None
        until = datetime.fromtimestamp(int(reset), UTC)
    return min(max((until - server).total_seconds(), 0.0), LONGEST_WAIT)


def http_date(text: str) -> datetime | None:
    """An HTTP date as aware datetime; None for anything else."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
