"""A value of a row as a person sees it: display value, and a link where it names another record."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from local.servicenow.pages.markup import link
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.schema.model import Column


def record_address(table: str, sys_id: str) -> str:
    """Address of a record's page."""
    return f"/{table}.do?sys_id={quote(sys_id)}"


def cell(dictionary: Dictionary, column: Column, shown: dict[str, Any]) -> str:
    """HTML of a value as the renderer gives it with ``sysparm_display_value=all``."""
    text = str(shown["display_value"] or shown["value"])
    if column.is_reference and shown["value"] and column.reference_key == "sys_id" and column.reference in dictionary:
        return link(record_address(column.reference, shown["value"]), text)
    return escape(text)
