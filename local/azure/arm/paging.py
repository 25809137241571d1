"""Lists with ``nextLink``: an absolute address that holds the query of the first page and a token."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import urlencode

from local.azure.arm.errors import bad_request
from local.azure.call import Call


def write_token(values: dict[str, Any]) -> str:
    """An opaque token."""
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()


def read_token(text: str) -> dict[str, Any] | None:
    """Undo :func:`write_token`; None when it is none of ours."""
    try:
        values = json.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None
    return values if isinstance(values, dict) else None


def page(call: Call, items: list[Any], size: int) -> tuple[list[Any], str]:
    """The page that a call asks for, and the address of the next one (empty at the end).

    Places are counted, not kept: what is added or removed between two pages shifts the rest, as in a real list.

    Raises:
        Refusal: 400, the token is none of ours.
    """
    start = 0
    token = call.param("$skipToken")
    if token:
        values = read_token(token)
        if values is None or not isinstance(values.get("at"), int):
            raise bad_request("The $skipToken is not valid.", "InvalidSkipToken")
        start = values["at"]
    end = start + size
    if end >= len(items):
        return items[start:], ""
    query = [(name, value) for name, value in call.params if name.lower() != "$skiptoken"]
    query.append(("$skipToken", write_token({"at": end})))
    return items[start:end], f"{call.base_url}{call.path}?{urlencode(query)}"
