"""A payload that can be read: how it is recognised, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from shared.core.signal import Signal

#: A JSON object whose keys are lower case. Values are as received.
Fields = dict[str, Any]

#: Reads a body with folded keys, received at a time. Raises Unidentified when nothing tells what it is about.
PayloadReader = Callable[[Fields, datetime], Signal]

#: Takes a body with folded keys that follows no schema. Gives the reason why it is not taken, one sentence, where it is
#: known what the body is; else ``""``.
ForeignReason = Callable[[Fields], str]


def no_foreign_reason(_body: Fields) -> str:
    """Knows no payload of other products."""
    return ""


class PayloadSchema(NamedTuple):
    """One schema: what a payload of it is called, how it is recognised by folded keys, and who reads it."""

    name: str
    test: Callable[[Fields], bool]
    read: PayloadReader
