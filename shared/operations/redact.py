"""Hides what may be a secret in a message before a person sees it. What is stored stays whole, for replay. Pure.

Runbook wrappers carry the request's headers, and relays put URLs with their keys into what they post.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "(hidden)"

_NAME = re.compile(
    r"authori[sz]ation|cookie|passw(or)?d|passphrase|secret|token|credential|connection[-_]?string|api[-_]?key"
    r"|(account|access|shared|functions?|subscription|instrumentation)[-_]?key|^sig(nature)?$",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"(?i)([?&;](?:code|sig|token|access_token|key|api[-_]?key|password|secret)=)[^&#\s\"'<>]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_ACCOUNT = re.compile(r"(?i)\b(AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)=[^;\s\"']+")


def redacted(value: Any, name: str = "") -> Any:
    """A JSON value with the values of telling names, keys in URLs, and credentials in texts hidden.

    Args:
        value: any decoded JSON value; at most as deep as the webhook takes in.
        name: under which it stands, empty at the top and in arrays. Names are matched in any case.
    """
    if _NAME.search(name) and value not in (None, "", True, False):
        return HIDDEN
    if isinstance(value, dict):
        return {key: redacted(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(inner) for inner in value]
    if isinstance(value, str):
        text = _PARAMETER.sub(rf"\1{HIDDEN}", value)
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
        return _ACCOUNT.sub(rf"\1={HIDDEN}", text)
    return value
