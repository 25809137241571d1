"""Compares what was written with what came back. Pure.

ServiceNow answers 200 or 201 although it left a field out: unknown column, field access rule, data policy that makes it
read-only, a business rule that computes it, a value too long for its column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.servicenow.tables import JOURNALS

_BOOLEANS = {"true": "true", "false": "false", "1": "true", "0": "false"}
_SYS_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


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


def dropped(sent: Mapping[str, str], row: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of fields whose value came back different from what was sent, in the order sent."""
    return tuple(name for name, wanted in sent.items() if name not in JOURNALS and not _same(wanted, value(row, name)))


def _same(sent: str, stored: str | None) -> bool:
    if stored is None:
        return False
    if _plain(sent) == _plain(stored):
        return True
    if is_sys_id(sent):
        return sent.lower() == stored.strip().lower()
    if _number(sent) is not None:
        return _number(sent) == _number(stored) or _BOOLEANS.get(sent) == stored.lower()
    flag = _BOOLEANS.get(sent.lower())
    return flag is not None and flag == _BOOLEANS.get(stored.lower())


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip()


def _number(text: str) -> float | None:
    """The value of a plain decimal number such as ``3`` or ``3.50``; None for anything else."""
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", text.strip()):
        return None
    return float(text)
