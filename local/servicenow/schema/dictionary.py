"""Inheritance over the dictionary: what columns a table has, which tables extend it, which choices apply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from local.servicenow.schema.model import Column, Table


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of sys_choice, as far as rules need it."""

    value: str
    label: str
    inactive: bool = False
    dependent_value: str = ""


class Dictionary:
    """Every table of the instance. Changing it (a column made through the API) empties the caches."""

    def __init__(self, tables: Iterable[Table]) -> None:
        # Copies: a column altered here must reach no other instance and not outlive a reset.
        self.tables: dict[str, Table] = {table.name: replace(table, columns=dict(table.columns)) for table in tables}
        self._choices: dict[tuple[str, str], list[Choice]] = {}
        self._columns: dict[str, dict[str, Column]] = {}
        self._lineage: dict[str, tuple[str, ...]] = {}
        self._family: dict[str, tuple[str, ...]] = {}
        self._labels: dict[tuple[str, str], dict[str, str]] = {}

    def replace_with(self, other: Dictionary) -> None:
        """Take another dictionary's tables and choices; whoever holds this one sees them."""
        self.tables = other.tables
        self._choices = other._choices
        self.changed()

    def changed(self) -> None:
        """Forget derived answers after a table, column or choice was added or altered."""
        self._columns.clear()
        self._lineage.clear()
        self._family.clear()
        self._labels.clear()

    def __contains__(self, table: str) -> bool:
        return table in self.tables

    def lineage(self, table: str) -> tuple[str, ...]:
        """The table, its parent, and so on up to its base table."""
        found = self._lineage.get(table)
        if found is None:
            names = [table]
            while (parent := self.tables[names[-1]].extends) and parent not in names:
                names.append(parent)
            found = self._lineage[table] = tuple(names)
        return found

    def base(self, table: str) -> str:
        """The table at the top of the hierarchy: where sys_ids are unique."""
        return self.lineage(table)[-1]

    def family(self, table: str) -> tuple[str, ...]:
        """The table and every table that extends it, directly or not."""
        found = self._family.get(table)
        if found is None:
            found = tuple(name for name in self.tables if table in self.lineage(name))
            self._family[table] = found
        return found

    def columns(self, table: str) -> dict[str, Column]:
        """Own and inherited columns by name; a child's definition overrides its parent's."""
        found = self._columns.get(table)
        if found is None:
            found = {}
            for name in reversed(self.lineage(table)):
                found.update(self.tables[name].columns)
            self._columns[table] = found
        return found

    def column(self, table: str, name: str) -> Column | None:
        """One column, inherited or own; None when the table has none of that name."""
        return self.columns(table).get(name) if table in self.tables else None

    def display_column(self, table: str) -> str:
        """The column whose text stands for a row in display values."""
        for name in self.lineage(table):
            if self.tables[name].display:
                return self.tables[name].display
        columns = self.columns(table)
        return next((name for name in ("name", "number", "label") if name in columns), "sys_id")

    def set_choices(self, table: str, element: str, choices: list[Choice]) -> None:
        """Replace one set of choices."""
        self._choices[table, element] = choices
        self._labels.clear()

    def choices(self, table: str, element: str) -> list[Choice]:
        """The choices of a column: a child table's own set replaces its parent's completely."""
        for name in self.lineage(table):
            found = self._choices.get((name, element))
            if found:
                return found
        return []

    def choice_labels(self, table: str, element: str) -> dict[str, str]:
        """Label by value, inactive choices included: old records still show their text."""
        labels = self._labels.get((table, element))
        if labels is None:
            labels = {choice.value: choice.label for choice in reversed(self.choices(table, element))}
            self._labels[table, element] = labels
        return labels
