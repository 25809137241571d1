"""Encoded queries, built so that a value stays a value. Pure.

An unknown column or operator in a query is dropped in silence and the rest still runs, so that a query can match far
too much: every caller sets a limit and checks what came back. Values are never evaluated: one that starts with
``javascript:`` would run as a script on the instance.

Source: ServiceNow docs, "Encoded query strings" and "Table API".
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.servicenow.wire import Purpose, WireCall


def searchable(text: str) -> bool:
    """Whether a text can stand as a value in a query."""
    return bool(text.strip()) and not text.strip().lower().startswith("javascript:") and "\n" not in text


def equal(column: str, text: str) -> str:
    """The condition ``column`` is ``text``."""
    return f"{column}={text.replace('^', '^^')}"


def any_of(conditions: Sequence[str]) -> str:
    """One of the conditions. ``^OR`` binds to the condition before it, so put these first in a query."""
    return "^OR".join(conditions)


def rows(table: str, query: str, fields: Sequence[str], limit: int) -> WireCall:
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
