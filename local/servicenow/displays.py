"""Display values: labels of choices, names behind references, dates in the user's zone and format.

Source: ServiceNow docs, Table API ``sysparm_display_value``. Display values depend on who asks; machines read values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import lru_cache

from local.servicenow.identity import Identity
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.schema.model import SECRETS, Column
from local.servicenow.store import Row
from local.servicenow.stored_time import parse_stored

SECRET_DISPLAY = "********"
#: Java date patterns as users set them -> strftime.
_PATTERNS = (
    ("yyyy", "%Y"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("a", "%p"),
)


@lru_cache(maxsize=64)
def strftime_pattern(java: str) -> str:
    """Translate a Java date pattern (``dd/MM/yyyy hh:mm:ss a``)."""
    for pattern, directive in _PATTERNS:
        java = java.replace(pattern, directive)
    return java


def display_date(value: str, pattern: str, zone: tzinfo) -> str:
    """A stored date or date-time in another zone and pattern; unreadable text stays as it is."""
    when = parse_stored(value)
    return when.astimezone(zone).strftime(pattern) if when else value


def display_duration(value: str) -> str:
    """A stored duration (``1970-01-05 00:00:00``: time since 1970) in words."""
    when = parse_stored(value)
    if when is None:
        return value
    seconds = int(when.timestamp())
    parts = []
    for word, size in (("Day", 86_400), ("Hour", 3_600), ("Minute", 60), ("Second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {word}{'s' if count != 1 else ''}")
    return " ".join(parts[:3]) or "0 Seconds"


class Displays:
    """Makes display values for one user.

    ``fetch(table, sys_id)`` reads a row the user may see or not (display names show through references either way).
    """

    def __init__(self, dictionary: Dictionary, fetch: Callable[[str, str], Row | None], identity: Identity) -> None:
        self._dictionary = dictionary
        self._fetch = fetch
        self._zone = identity.zone
        self._date = strftime_pattern(identity.date_format)
        self._date_time = f"{self._date} {strftime_pattern(identity.time_format)}"

    def of(self, table: str, column: Column, value: str) -> str:
        """Display value of a stored value of that column."""
        if column.type in SECRETS:
            return SECRET_DISPLAY if value else ""
        if not value:
            return ""
        if column.is_reference:
            return self.reference(column, value)
        if column.is_date_time:
            return display_date(value, self._date_time, self._zone)
        if column.type == "glide_date":
            return display_date(value, self._date, UTC)
        if column.type == "glide_list":
            return ", ".join(self.reference(column, part) or part for part in value.split(",") if part)
        if column.type == "glide_duration":
            return display_duration(value)
        if column.type == "sys_class_name":
            found = self._dictionary.tables.get(value)
            return found.label if found else value
        if column.choice:
            return self._dictionary.choice_labels(table, column.name).get(value, value)
        return value

    def stamp(self, value: str) -> str:
        """A stored date-time as the user sees it."""
        return display_date(value, self._date_time, self._zone)

    def reference(self, column: Column, value: str) -> str:
        """Display name of the row a reference points to; empty when it is gone."""
        if column.type == "domain_id" or not column.reference or column.reference not in self._dictionary:
            return value
        if column.reference_key != "sys_id":
            return value
        row = self._fetch(column.reference, value)
        return self.name(row) if row is not None else ""

    def name(self, row: Row) -> str:
        """What stands for the row in a display value."""
        name = self._dictionary.display_column(row.table)
        column = self._dictionary.column(row.table, name)
        value = row.get(name)
        if column is not None and column.is_reference and value and column.reference != row.table:
            return self.reference(column, value)
        return value
