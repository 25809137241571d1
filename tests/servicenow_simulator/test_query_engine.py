"""The query engine by itself: never an exception, and the same answer as a second, simpler evaluator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from local.servicenow.query.dates import Sandbox
from local.servicenow.query.evaluate import Compiler
from local.servicenow.query.parser import OPERATORS, parse
from local.servicenow.schema.model import Column
from local.servicenow.store import Row

COLUMNS = {
    "sys_id": Column("sys_id", "GUID"),
    "name": Column("name"),
    "note": Column("note"),
    "size": Column("size", "integer"),
    "born": Column("born", "glide_date_time"),
    "owner": Column("owner", "reference", reference="thing"),
}


@dataclass
class Things:
    """One small table that refers to itself."""

    rows_by_id: dict[str, Row] = field(default_factory=dict)
    sandbox: Sandbox = field(default_factory=lambda: Sandbox(datetime(2026, 3, 1, tzinfo=UTC), "me", "me"))
    case_sensitive: bool = False

    def column(self, table: str, name: str) -> Column | None:
        return COLUMNS.get(name) if table == "thing" else None

    def readable(self, table: str, name: str) -> bool:
        return True

    def row(self, table: str, sys_id: str) -> Row | None:
        return self.rows_by_id.get(sys_id)

    def rows(self, table: str) -> Iterable[Row]:
        return self.rows_by_id.values()

    def family(self, table: str) -> tuple[str, ...]:
        return ("thing",) if table == "thing" else ()

    def text(self, row: Row, column: Column) -> str:
        return row.get(column.name)

    def display(self, row: Row, column: Column) -> str:
        return row.get(column.name)


def select(things: Things, query: str) -> list[Row]:
    plan = Compiler(things).plan("thing", parse(query))
    found = [row for row in things.rows("thing") if plan.matches(row)]
    plan.sort(found)
    return found


words = st.sampled_from(["", "a", "b", "ab", "Ab", "10", "9", "-1", "2026-02-01 00:00:00", "2026-03-05 12:00:00"])
records = st.fixed_dictionaries({name: words for name in COLUMNS if name != "sys_id"})
tables = st.lists(records, max_size=6).map(
    lambda values: Things({str(at): Row("thing", {"sys_id": str(at), **record}) for at, record in enumerate(values)})
)
SCRAPS = """
^ ^^ ^OR ^NQ ^EQ ORDERBY ORDERBYDESC RLQUERY ENDRLQUERY JOIN thing.owner ,>0 thing.sys_id=thing.owner! javascript:gs.
daysAgo(1) dateGenerate('2026-01-01','start') @ @hour@ago@1 123TEXTQUERY321= owner.owner.name
gs.datePart('month','jan','EE') size name born NULL
"""
pieces = st.sampled_from([" ", *SCRAPS.split(), *OPERATORS])


@settings(deadline=None)
@given(tables, st.lists(st.one_of(pieces, words, st.text(max_size=5)), max_size=12).map("".join))
def test_any_text_is_a_query(things: Things, query: str) -> None:
    found = select(things, query)
    assert len(found) == len({row.sys_id for row in found})


Atom = tuple[str, str, str]
atoms = st.tuples(st.sampled_from(["name", "note"]), st.sampled_from(["=", "!=", "LIKE", "STARTSWITH"]), words)
disjunctions = st.lists(atoms, min_size=1, max_size=3)
groups = st.lists(disjunctions, min_size=1, max_size=3)
queries = st.lists(groups, min_size=1, max_size=3)


def written(query: list[list[list[Atom]]]) -> str:
    return "^NQ".join("^".join("^OR".join("".join(atom) for atom in options) for options in group) for group in query)


def holds(atom: Atom, row: Row) -> bool:
    """The second opinion: one comparison, spelled out."""
    name, operator, wanted = atom
    value, wanted = row.get(name).lower(), wanted.lower()
    if operator == "=":
        return value == wanted
    if operator == "!=":
        return value != wanted
    return wanted in value if operator == "LIKE" else value.startswith(wanted)


@settings(deadline=None)
@given(tables, queries)
def test_a_second_evaluator_agrees(things: Things, query: list[list[list[Atom]]]) -> None:
    expected = [
        row.sys_id
        for row in things.rows("thing")
        if any(all(any(holds(atom, row) for atom in options) for options in group) for group in query)
    ]
    assert [row.sys_id for row in select(things, written(query))] == expected


@settings(deadline=None)
@given(tables, queries, st.integers(0, 2))
def test_invalid_conditions_change_nothing(things: Things, query: list[list[list[Atom]]], at: int) -> None:
    alternatives = [written([group]) for group in query]
    spoiled = "^NQ".join(["bunk=1^" + text if index == at else text for index, text in enumerate(alternatives)])
    plan = Compiler(things).plan("thing", parse(spoiled))
    found = [row.sys_id for row in things.rows("thing") if plan.matches(row)]
    assert found == [row.sys_id for row in select(things, written(query))]
    assert bool(plan.dropped) == (at < len(query))


@settings(deadline=None)
@given(tables, st.sampled_from(["name", "size"]), st.booleans())
def test_order_is_by_value_with_the_empty_ones_first(things: Things, name: str, descending: bool) -> None:
    found = select(things, f"ORDERBY{'DESC' if descending else ''}{name}")
    keys = [row.get(name) for row in (reversed(found) if descending else found)]
    if name == "name":
        folded = [key.lower() for key in keys]
        assert folded == sorted(folded)
    else:
        whole = [int(key) for key in keys if key.lstrip("-").isdecimal()]
        assert whole == sorted(whole)
        assert all(not key.lstrip("-").isdecimal() for key in keys[: len(keys) - len(whole)])


@settings(deadline=None)
@given(tables, words.filter(bool))
def test_dot_walking_follows_the_reference(things: Things, wanted: str) -> None:
    expected = [
        row.sys_id
        for row in things.rows("thing")
        if (owner := things.row("thing", row.get("owner"))) is not None and owner.get("name").lower() == wanted.lower()
    ]
    assert [row.sys_id for row in select(things, f"owner.name={wanted}")] == expected
