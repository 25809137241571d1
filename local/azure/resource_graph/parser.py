"""From a query to a plan that runs over rows.

Known: where, project, project-away, extend, order by, sort by, take, limit, top, count, distinct, ``summarize count()
by`` and ``union`` with up to three tables in brackets; and, or, not, comparisons, ``in``; paths into dynamic columns;
the functions of ``values.py``.
Everything else is refused as Resource Graph refuses what it does not support.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from local.azure.resource_graph.steps import Expression, Plan, Row, Step, constant, distinct, extended, member, sort_key
from local.azure.resource_graph.tokens import BadQuery, Token, split
from local.azure.resource_graph.values import COMPARISONS, FUNCTIONS, equal, text_of, time_of, timespan

_OPERATORS = (
    "where",
    "project",
    "project-away",
    "extend",
    "order",
    "sort",
    "take",
    "limit",
    "top",
    "count",
    "distinct",
    "summarize",
    "union",
)

#: Other tables that one query may add. Source: Resource Graph docs, "Understanding the Azure Resource Graph query
#: language", supported tabular operators.
_MOST_UNIONS = 3


class Parser:
    """Reads one query.

    Args:
        tables: columns by table, in lower case.
        now: of the clouds' clock, for ``now()`` and ``ago()``.
    """

    def __init__(self, query: str, tables: dict[str, Sequence[str]], now: datetime) -> None:
        self._tokens = split(query)
        self._place = 0
        self._tables = tables
        self._now = now
        self._plan = Plan("", [])
        self._unions = 0

    def parse(self) -> Plan:
        """The plan.

        Raises:
            BadQuery: it cannot be run.
        """
        table = "resources" if self._next.text.lower() in _OPERATORS else self._table()
        self._plan = Plan(table, list(self._tables[table]))
        while self._next.kind != "end":
            if self._plan.steps or self._place:
                self._expect("|")
            self._operator()
            if self._next.text == ";":
                self._take()
        return self._plan

    def _table(self) -> str:
        token = self._take()
        table = token.text.lower()
        if token.kind != "name" or table not in self._tables:
            raise BadQuery(f"no table {token.text}", token, "DisallowedLogicalTableName")
        return table

    def _union(self, token: Token) -> None:
        """``union (table | ...)``: the rows of another table after those of this one."""
        self._unions += 1
        if self._unions > _MOST_UNIONS:
            raise BadQuery("too many tables in one query", token, "InvalidQueryLanguage")
        self._expect("(")
        outer, table = self._plan, self._table()
        self._plan = inner = Plan(table, list(self._tables[table]))
        while not self._accept(")"):
            self._expect("|")
            self._operator()
        self._plan = outer
        outer.steps.append(inner)
        outer.columns = list(dict.fromkeys((*outer.columns, *inner.columns)))
        outer.ordered = False

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._tokens[self._place]
        if token.kind == "end":
            raise BadQuery("the query ends too early", token)
        self._place += 1
        return token

    def _accept(self, *texts: str) -> Token | None:
        if self._next.kind in ("sign", "name") and self._next.text.lower() in texts:
            return self._take()
        return None

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise BadQuery(f"expected {text}", self._next)

    def _operator(self) -> None:
        token = self._take()
        match token.text.lower():
            case "where":
                condition = self._expression()
                self._add(lambda rows: [row for row in rows if condition(row) is True])
            case "extend":
                self._extend(self._assignments())
            case "project":
                self._project(self._assignments())
            case "project-away":
                gone = {name for name, _ in self._assignments()}
                self._plan.columns = [name for name in self._plan.columns if name not in gone]
            case "order" | "sort":
                self._expect("by")
                self._sort(self._sort_keys())
            case "take" | "limit":
                self._limit(self._whole())
            case "top":
                count = self._whole()
                self._expect("by")
                self._sort(self._sort_keys())
                self._limit(count)
            case "count":
                self._plan.columns = ["Count"]
                self._add(lambda rows: [{"Count": len(rows)}])
            case "distinct":
                self._project(self._assignments())
                self._add(distinct)
            case "summarize":
                self._summarize()
            case "union":
                self._union(token)
            case _:
                raise BadQuery(f"operator {token.text} is not supported here", token, "InvalidQueryLanguage")

    def _add(self, step: Step) -> None:
        self._plan.steps.append(step)

    def _assignments(self) -> list[tuple[str, Expression]]:
        """``name``, ``name = expression`` or a bare expression, separated by commas."""
        found: list[tuple[str, Expression]] = []
        while True:
            start, first = self._place, self._next
            if first.kind == "name" and self._tokens[self._place + 1].text == "=":
                self._place += 2
                found.append((first.text, self._expression()))
            else:
                value = self._expression()
                found.append((self._name_of(start), value))
            if not self._accept(","):
                return found

    def _extend(self, made: list[tuple[str, Expression]]) -> None:
        for name, value in made:
            self._add(extended(name, value))
            if name not in self._plan.columns:
                self._plan.columns.append(name)

    def _name_of(self, start: int) -> str:
        """Name of a column without one: the path in it, also when a function is around it (``properties_status``)."""
        words = self._tokens[start : self._place + 1]
        path = [one.text for one, after in pairwise(words) if one.kind in ("name", "string") and after.text != "("]
        return "_".join(path) or "Column1"

    def _project(self, made: list[tuple[str, Expression]]) -> None:
        self._add(lambda rows: [{name: value(row) for name, value in made} for row in rows])
        self._plan.columns = list(dict.fromkeys(name for name, _ in made))

    def _sort_keys(self) -> list[tuple[Expression, bool]]:
        keys = []
        while True:
            value = self._expression()
            direction = self._accept("asc", "desc")
            if self._accept("nulls"):
                self._take()
            keys.append((value, direction is None or direction.text.lower() == "desc"))
            if not self._accept(","):
                return keys

    def _sort(self, keys: list[tuple[Expression, bool]]) -> None:
        def step(rows: list[Row]) -> list[Row]:
            rows = list(rows)
            for value, descending in reversed(keys):
                rows.sort(key=sort_key(value), reverse=descending)
            return rows

        self._add(step)
        self._plan.ordered = True

    def _whole(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdecimal():
            raise BadQuery("expected a whole number", token)
        return int(token.text)

    def _limit(self, count: int) -> None:
        self._add(lambda rows: rows[:count])
        self._plan.limited = True

    def _summarize(self) -> None:
        alias = "count_"
        if self._tokens[self._place + 1].text == "=":
            alias = self._take().text
            self._take()
        for text in ("count", "(", ")"):
            self._expect(text)
        keys = self._assignments() if self._accept("by") else []

        def step(rows: list[Row]) -> list[Row]:
            groups: dict[str, Row] = {}
            for row in rows:
                values = {name: value(row) for name, value in keys}
                group = groups.setdefault(text_of([text_of(value) for value in values.values()]), {**values, alias: 0})
                group[alias] += 1
            return list(groups.values()) if keys else [{alias: len(rows)}]

        self._add(step)
        self._plan.columns = [*(name for name, _ in keys), alias]

    def _expression(self) -> Expression:
        parts = [self._conjunction()]
        while self._accept("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) is True for part in parts)

    def _conjunction(self) -> Expression:
        parts = [self._comparison()]
        while self._accept("and"):
            parts.append(self._comparison())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) is True for part in parts)

    def _comparison(self) -> Expression:
        left = self._term()
        text = self._next.text.lower()
        if self._next.kind not in ("sign", "name"):
            return left
        if text in ("in", "in~", "!in", "!in~"):
            self._take()
            return self._membership(left, text)
        negated = text.startswith("!")
        name = {"!=": "==", "!~": "=~"}.get(text, text.lstrip("!"))
        check = COMPARISONS.get(name)
        if check is None:
            return left
        self._take()
        right = self._term()
        return lambda row: check(left(row), right(row)) != negated

    def _membership(self, left: Expression, text: str) -> Expression:
        self._expect("(")
        values = [self._expression()]
        while self._accept(","):
            values.append(self._expression())
        self._expect(")")
        check = COMPARISONS["=~"] if text.endswith("~") else equal
        negated = text.startswith("!")
        return lambda row: any(check(left(row), value(row)) for value in values) != negated

    def _term(self) -> Expression:
        token = self._take()
        match token.kind:
            case "string":
                return constant(token.text)
            case "number":
                return constant(float(token.text) if "." in token.text else int(token.text))
            case "timespan":
                return constant(timespan(token.text))
            case "datetime":
                return constant(self._moment(token))
            case "name":
                return self._path(self._named(token))
        if token.text == "(":
            inner = self._expression()
            self._expect(")")
            return self._path(inner)
        raise BadQuery("expected a value", token)

    def _moment(self, token: Token) -> datetime:
        when = time_of(token.text)
        if when is None:
            raise BadQuery("no date", token)
        return when

    def _named(self, token: Token) -> Expression:
        name = token.text
        if name.lower() in ("true", "false"):
            return constant(name.lower() == "true")
        if self._next.text == "(":
            return self._call(token)
        if name not in self._plan.columns:
            raise BadQuery(f"no column {name} at this place", token)
        return lambda row: row.get(name)

    def _call(self, token: Token) -> Expression:
        self._expect("(")
        arguments: list[Expression] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._expression())
        name = token.text
        if name == "now" and not arguments:
            return constant(self._now)
        if name == "ago" and len(arguments) == 1:
            return lambda row: self._now - arguments[0](row)
        if name == "not" and len(arguments) == 1:
            return lambda row: arguments[0](row) is not True
        least, most, function = FUNCTIONS.get(name, (1, 0, None))
        if function is None or not least <= len(arguments) <= most:
            raise BadQuery(f"function {name} is not supported here with {len(arguments)} arguments", token)
        return lambda row: function(*(argument(row) for argument in arguments))

    def _path(self, value: Expression) -> Expression:
        """``.name``, ``['name']`` and ``[0]`` after a value."""
        while self._next.text in (".", "[") and self._next.kind == "sign":
            if self._take().text == ".":
                token = self._take()
                if token.kind != "name":
                    raise BadQuery("expected a name", token)
                value = member(value, token.text)
                continue
            token = self._take()
            if token.kind not in ("string", "number"):
                raise BadQuery("expected a name or a place", token)
            value = member(value, token.text if token.kind == "string" else int(token.text))
            self._expect("]")
        return value
