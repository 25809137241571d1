"""Turns a parsed query into a test on rows.

Invalid conditions (unknown field, bad operator, a script that is not understood) are dropped and the rest still counts;
the plan says what was dropped, so that the property ``glide.invalid_query.returns_no_rows`` can be honoured
(ServiceNow docs, Table API, ``sysparm_query``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from local.servicenow.query.dates import Sandbox
from local.servicenow.query.operators import Side, field_test, value_test
from local.servicenow.query.parser import Condition, Join, Query, RelatedList, Term, TextSearch
from local.servicenow.schema.model import Column
from local.servicenow.store import Row

RowTest = Callable[[Row], bool]


class Environment(Protocol):
    """What the evaluator asks of the instance."""

    @property
    def sandbox(self) -> Sandbox:
        """Time and user for scripts."""
        ...

    @property
    def case_sensitive(self) -> bool:
        """Do strings compare with their case?"""
        ...

    def column(self, table: str, name: str) -> Column | None:
        """A column, inherited or own."""
        ...

    def readable(self, table: str, name: str) -> bool:
        """May the user use the column in a condition?"""
        ...

    def row(self, table: str, sys_id: str) -> Row | None:
        """One row."""
        ...

    def rows(self, table: str) -> Iterable[Row]:
        """All rows of a table and those that extend it."""
        ...

    def family(self, table: str) -> tuple[str, ...]:
        """The table and those that extend it; empty for an unknown table."""
        ...

    def text(self, row: Row, column: Column) -> str:
        """Stored value, also of journal columns."""
        ...

    def display(self, row: Row, column: Column) -> str:
        """Display value."""
        ...


@dataclass(slots=True)
class Plan:
    """A query made ready for one table.

    Attributes:
        matches: the test.
        dropped: texts of the conditions that were left out because they are invalid.
        hidden: fields in conditions that the user may not read; those conditions are left out too.
        candidates: for each alternative, equalities (column, values) that every match must meet, for index use.
        order: (sort key, descending) in precedence.
    """

    matches: RowTest
    dropped: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    candidates: list[list[tuple[str, list[str]]]] = field(default_factory=list)
    order: list[tuple[Callable[[Row], tuple[bool, object]], bool]] = field(default_factory=list)

    def sort(self, rows: list[Row]) -> None:
        """Order rows in place; empty values come first ascending and last descending, as in the database."""
        for key, descending in reversed(self.order):
            rows.sort(key=key, reverse=descending)


@dataclass(slots=True)
class Path:
    """A field of a condition, dot-walked: the reference columns to follow, then the column itself."""

    steps: list[tuple[Column, str]]
    column: Column


class Compiler:
    """Compiles queries for one user at one moment."""

    def __init__(self, env: Environment, previous: Row | None = None) -> None:
        self.env = env
        self.previous = previous
        self.dropped: list[str] = []
        self.hidden: list[str] = []

    def plan(self, table: str, query: Query) -> Plan:
        """Make a plan; the query is never refused."""
        alternatives: list[list[RowTest]] = []
        candidates = []
        for group in query.groups:
            tests = []
            equalities = []
            for disjunction in group:
                options = [test for term in disjunction if (test := self.term(table, term)) is not None]
                if options:
                    tests.append(_any(options))
                    if len(disjunction) == 1:
                        equalities += self._equality(table, disjunction[0])
            alternatives.append(tests)
            candidates.append(equalities)
        order = []
        for name, descending in query.order:
            path = self.path(table, name)
            if path is not None:
                order.append((self._sort_key(path), descending))
        return Plan(_any([_all(tests) for tests in alternatives]), self.dropped, self.hidden, candidates, order)

    def path(self, table: str, name: str) -> Path | None:
        """Resolve a dot-walked field name; None when a part of it does not exist."""
        steps: list[tuple[Column, str]] = []
        parts = name.split(".")
        for part in parts[:-1]:
            column = self.env.column(table, part)
            if column is None or not column.is_reference or not column.reference:
                return None
            table = column.reference
            steps.append((column, table))
        last = self.env.column(table, parts[-1])
        if last is None:
            return None
        if not self.env.readable(table, parts[-1]):
            self.hidden.append(name)
            return None
        return Path(steps, last)

    def term(self, table: str, term: Term) -> RowTest | None:
        """Test for one term, None when it is dropped."""
        if isinstance(term, Condition):
            return self._condition(table, term)
        if isinstance(term, TextSearch):
            return self._text_search(term)
        if isinstance(term, Join):
            return self._join(table, term)
        if isinstance(term, RelatedList):
            return self._related_list(term)
        self.dropped.append(term.text)
        return None

    def _condition(self, table: str, condition: Condition) -> RowTest | None:
        hidden_before = len(self.hidden)
        path = self.path(table, condition.field)
        if path is None:
            if len(self.hidden) == hidden_before:
                self.dropped.append(f"{condition.field}{condition.operator}{condition.value}")
            return None
        test = self._test(table, path, condition)
        if test is None:
            self.dropped.append(f"{condition.field}{condition.operator}{condition.value}")
        return test

    def _test(self, table: str, path: Path, condition: Condition) -> RowTest | None:
        get = self._getter(path)
        side = Side(path.column, self.env.sandbox, self.env.case_sensitive)
        operator, value = condition.operator, condition.value
        if operator in ("VALCHANGES", "CHANGESFROM", "CHANGESTO"):
            return self._change_test(get, operator, value)
        if operator in ("INSTANCEOF", "IN_HIERARCHY"):
            family = self.env.family(value)
            return (lambda row: get(row) in family) if family else None
        if operator in ("MORETHAN", "LESSTHAN") or operator.endswith("_FIELD") or operator in ("SAMEAS", "NSAMEAS"):
            other_name, _, rest = value.partition("@")
            other_path = self.path(table, other_name)
            if other_path is None:
                return None
            get_other = self._getter(other_path)
            compare = field_test(side, operator, rest)
            return (lambda row: compare(get(row), get_other(row))) if compare else None
        test = value_test(side, operator, value)
        return (lambda row: test(get(row))) if test else None

    def _change_test(self, get: Callable[[Row], str], operator: str, value: str) -> RowTest | None:
        before = self.previous
        if before is None:
            return None
        if operator == "VALCHANGES":
            return lambda row: get(row) != get(before)
        if operator == "CHANGESFROM":
            return lambda row: get(before) == value and get(row) != value
        return lambda row: get(before) != value and get(row) == value

    def _getter(self, path: Path) -> Callable[[Row], str]:
        env, last = self.env, path.column
        if not path.steps:
            if last.virtual:
                return lambda row: env.text(row, last)
            name = last.name
            return lambda row: row.values.get(name, "")

        def walk(row: Row) -> str:
            at: Row | None = row
            for column, table in path.steps:
                at = env.row(table, env.text(at, column)) if at is not None else None
            return env.text(at, last) if at is not None else ""

        return walk

    def _sort_key(self, path: Path) -> Callable[[Row], tuple[bool, object]]:
        get = self._getter(path)
        column, env = path.column, self.env
        if column.is_number:
            return lambda row: _number_key(get(row))
        if column.is_reference and not path.steps:
            return lambda row: (bool(get(row)), env.display(row, column).casefold())
        return lambda row: (bool(text := get(row)), text.casefold())

    def _text_search(self, search: TextSearch) -> RowTest | None:
        words = search.words.casefold().split()
        if not words:
            self.dropped.append(search.words)
            return None

        def test(row: Row) -> bool:
            text = "\n".join(row.values.values()).casefold()
            return all(word in text for word in words)

        return test

    def _join(self, table: str, join: Join) -> RowTest | None:
        own = self.env.column(table, join.field)
        other = self.env.column(join.other, join.other_field)
        if own is None or other is None:
            self.dropped.append(f"JOIN{join.other}")
            return None
        matching = Compiler(self.env).plan(join.other, join.query).matches
        wanted = {self.env.text(row, other).casefold() for row in self.env.rows(join.other) if matching(row)} - {""}
        return lambda row: self.env.text(row, own).casefold() in wanted

    def _related_list(self, related: RelatedList) -> RowTest | None:
        other = self.env.column(related.other, related.other_field)
        if other is None:
            self.dropped.append(f"RLQUERY{related.other}")
            return None
        matching = Compiler(self.env).plan(related.other, related.query).matches
        counts: dict[str, int] = {}
        for row in self.env.rows(related.other):
            if matching(row):
                key = self.env.text(row, other).casefold()
                counts[key] = counts.get(key, 0) + 1
        compare, limit = _COUNT_TESTS[related.operator], related.count
        return lambda row: compare(counts.get(row.sys_id.casefold(), 0), limit)

    def _equality(self, table: str, term: Term) -> list[tuple[str, list[str]]]:
        """Equalities that an index can answer: a plain column, no script, no empty value."""
        if not isinstance(term, Condition) or "." in term.field or term.operator not in ("=", "IN"):
            return []
        if self.env.column(table, term.field) is None or term.value.startswith("javascript:"):
            return []
        values = [term.value] if term.operator == "=" else [part.strip() for part in term.value.split(",")]
        return [(term.field, values)] if values and all(values) and "NULL" not in values else []


_COUNT_TESTS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def _number_key(text: str) -> tuple[bool, float]:
    try:
        return (True, float(text))
    except ValueError:
        return (False, 0.0)


def _any(tests: list[RowTest]) -> RowTest:
    if len(tests) == 1:
        return tests[0]
    return lambda row: any(test(row) for test in tests)


def _all(tests: list[RowTest]) -> RowTest:
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)
