"""Turns what a client sent for a column into what is stored.

Lengths: the database column decides, not ``max_length`` of the API (ServiceNow KB0685779). References, dates, null and
unreadable values behave differently between instances: see the settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from local.servicenow.displays import strftime_pattern
from local.servicenow.errors import ApiError
from local.servicenow.identity import Identity, password_hash
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.schema.model import Column
from local.servicenow.settings import Settings
from local.servicenow.store import Row, Store
from local.servicenow.stored_time import STORED, to_stored

_HEX32 = re.compile(r"[0-9a-fA-F]{32}")
_STORED = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
_ISO_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?")
_TRUE = frozenset({"true", "1", "yes", "on"})


def as_text(value: Any) -> str | None:
    """A JSON value as text: booleans as true/false, lists joined by commas, objects by their value; None for null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        inner = value.get("value", value.get("display_value", ""))
        return "" if isinstance(inner, (dict, list)) else as_text(inner)
    if isinstance(value, list):
        return ",".join(as_text(item) or "" for item in value if not isinstance(item, list))
    # Half of a surrogate pair cannot be stored or sent back: the database replaces it.
    return str(value).encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Inputs:
    """Reads values for one instance."""

    dictionary: Dictionary
    store: Store
    settings: Settings
    #: Rows of a table that bear a display name, for references given by name.
    named: Callable[[str, str], list[Row]]

    def read(self, table: str, column: Column, value: Any, identity: Identity, by_display: bool) -> str | None:
        """Stored form of a value, None to leave the column as it is.

        ``by_display``: values are display values (``sysparm_input_display_value=true``).

        Raises:
            ApiError: text too long, when the settings refuse that.
        """
        text = as_text(value)
        if text is None:
            return "" if self.settings.json_null == "clear" else None
        if text == "":
            return ""
        if column.type == "reference":
            return self._reference(column, text, by_display)
        if column.type == "glide_list":
            parts = [part.strip() for part in text.split(",") if part.strip()]
            return ",".join(self._list_item(column, part, by_display) for part in parts)
        if column.type == "boolean":
            return "true" if text.lower() in _TRUE else "false"
        if column.is_date_time:
            return self._date_time(text, identity, by_display)
        if column.type == "glide_date":
            return self._date(text, identity, by_display)
        if column.choice and by_display:
            text = self._choice(table, column, text)
        if column.type == "integer":
            return _integer(text)
        return self._sized(column, text)

    @staticmethod
    def password(sys_id: str, text: str) -> str:
        """Stored form of a one-way password."""
        return password_hash(sys_id, text) if text else ""

    def _sized(self, column: Column, text: str) -> str:
        limit = column.varchar
        if limit is None or len(text) <= limit or self.settings.overlong_strings == "keep":
            return text
        if self.settings.overlong_strings == "refuse":
            raise ApiError(403, "Operation Failed", f"Data too long for column '{column.name}'")
        return text[:limit]

    def _choice(self, table: str, column: Column, text: str) -> str:
        for choice in self.dictionary.choices(table, column.name):
            if choice.label.casefold() == text.casefold():
                return choice.value
        return text

    def _list_item(self, column: Column, text: str, by_display: bool) -> str:
        """A list holds sys_ids, and e-mail addresses as they are."""
        if "@" in text or not column.reference:
            return text
        return self._reference(column, text, by_display) or text

    def _reference(self, column: Column, text: str, by_display: bool) -> str:
        target = column.reference
        if column.reference_key != "sys_id" or target not in self.dictionary:
            return text
        row = self.store.get(target, text)
        if row is not None:
            return row.sys_id
        if by_display:
            named = self.named(target, text)
            return named[0].sys_id if named else ""
        if self.settings.unresolved_reference == "raw":
            return text
        if self.settings.reference_display_lookup:
            named = self.named(target, text)
            if len(named) == 1:
                return named[0].sys_id
        if self.settings.unresolved_reference == "lenient" and _HEX32.fullmatch(text):
            return text
        return ""

    def _date_time(self, text: str, identity: Identity, by_display: bool) -> str | None:
        if by_display:
            pattern = strftime_pattern(f"{identity.date_format} {identity.time_format}")
            found = _parse(text, pattern, identity.zone) or _parse(text, STORED, identity.zone)
            if found:
                return found
        elif _STORED.fullmatch(text) and _valid(text):
            return text
        elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) and _valid(text + " 00:00:00"):
            return text + " 00:00:00"
        if _ISO_LOCAL.fullmatch(text):
            choice = self.settings.iso_date
            return text if choice == "raw" else "" if choice == "empty" else text[:19].replace("T", " ")
        return {"empty": "", "raw": text[:40], "ignore": None}[self.settings.invalid_date]

    def _date(self, text: str, identity: Identity, by_display: bool) -> str | None:
        if by_display:
            try:
                return datetime.strptime(text, strftime_pattern(identity.date_format)).strftime("%Y-%m-%d")  # noqa: DTZ007  # a date has no zone
            except ValueError:
                pass
        day = text[:10]
        if _valid(day + " 00:00:00"):
            return day
        return {"empty": "", "raw": text[:40], "ignore": None}[self.settings.invalid_date]


def _valid(text: str) -> bool:
    try:
        datetime.strptime(text, STORED)  # noqa: DTZ007  # only its form is tested
    except ValueError:
        return False
    return True


def _parse(text: str, pattern: str, zone: tzinfo) -> str | None:
    try:
        return to_stored(datetime.strptime(text, pattern).replace(tzinfo=zone))
    except ValueError:
        return None


def _integer(text: str) -> str | None:
    """Whole number as text; other text leaves the column as it is."""
    try:
        return str(int(float(text)))
    except (ValueError, OverflowError):
        return None
