"""Reads an encoded query (``sysparm_query``) into groups of conditions. Pure, and never fails.

Grammar (ServiceNow docs, "Encoded query strings")::

    query := group ("^NQ" group)* ["^EQ"]
    group := cond ("^" cond | "^OR" cond)*
    cond  := field OP value | "ORDERBY" field | "ORDERBYDESC" field

``^OR`` joins with the condition just before it, ``^NQ`` starts a whole new alternative, ``^^`` is a caret inside a
value. What cannot be read becomes :class:`Unreadable`, which the evaluator drops, as an instance does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

OPERATORS = (
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "*",
    "!*",
    "%",
    "LIKE",
    "NOT LIKE",
    "CONTAINS",
    "DOES NOT CONTAIN",
    "STARTSWITH",
    "ENDSWITH",
    "IN",
    "NOT IN",
    "ISEMPTY",
    "ISNOTEMPTY",
    "EMPTYSTRING",
    "ANYTHING",
    "BETWEEN",
    "SAMEAS",
    "NSAMEAS",
    "GT_FIELD",
    "LT_FIELD",
    "GT_OR_EQUALS_FIELD",
    "LT_OR_EQUALS_FIELD",
    "GE_OR_EQUALS_FIELD",
    "LE_OR_EQUALS_FIELD",
    "INSTANCEOF",
    "IN_HIERARCHY",
    "ON",
    "NOTON",
    "DATEPART",
    "RELATIVEGT",
    "RELATIVELT",
    "RELATIVEGE",
    "RELATIVELE",
    "RELATIVEEE",
    "MORETHAN",
    "LESSTHAN",
    "DYNAMIC",
    "VALCHANGES",
    "CHANGESFROM",
    "CHANGESTO",
)
_BY_LENGTH = "|".join(re.escape(op) for op in sorted(OPERATORS, key=len, reverse=True))
#: The field name is lower case, so the first position where an operator fits ends it; there the longest one wins.
_CONDITION = re.compile(rf"(?P<field>[a-z0-9_.]+?)(?P<op>{_BY_LENGTH})(?P<value>.*)", re.DOTALL)
_SEPARATED = re.compile(r"(?:[^^]|\^\^)+")
_TEXT_SEARCH = "123TEXTQUERY321="
_JOIN = re.compile(r"JOIN(?P<table>\w+)\.(?P<field>\w+)=(?P<other>\w+)\.(?P<other_field>\w+)!(?P<rest>.*)", re.DOTALL)
_RELATED = re.compile(r"RLQUERY(?P<table>\w+)\.(?P<field>\w+),(?P<op>>=|<=|!=|=|>|<)(?P<count>\d+)(?P<m2m>,m2m)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """``field OP value``, the value still as written."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class TextSearch:
    """``123TEXTQUERY321=words``: rows whose text holds every word."""

    words: str


@dataclass(frozen=True, slots=True)
class Join:
    """``JOINa.x=b.y!query``: rows of a for which a row of b matches."""

    field: str
    other: str
    other_field: str
    query: Query


@dataclass(frozen=True, slots=True)
class RelatedList:
    """``RLQUERYb.y,>0[,m2m][^query]^ENDRLQUERY``: rows with so many matching related rows."""

    other: str
    other_field: str
    operator: str
    count: int
    query: Query


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A condition that is none; it will be dropped."""

    text: str


Term = Condition | TextSearch | Join | RelatedList | Unreadable


@dataclass(slots=True)
class Query:
    """Alternatives (``^NQ``) of conjunctions (``^``) of disjunctions (``^OR``), and the sort columns.

    ``order``: (field, descending) in precedence.
    """

    groups: list[list[list[Term]]] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)


def parse(text: str) -> Query:
    """Read an encoded query; an empty one has a single empty group, which matches everything."""
    query = Query()
    tokens = _SEPARATED.findall(text)
    group: list[list[Term]] = []
    query.groups.append(group)
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token.startswith("ORDERBY"):
            _add_order(query, token)
            continue
        if token == "EQ" or token.startswith("GROUPBY"):
            continue
        if token.startswith("NQ"):
            group = []
            query.groups.append(group)
            token = token[2:]
            if token.startswith("ORDERBY"):
                _add_order(query, token)
                continue
        alternative = token.startswith("OR")
        if alternative:
            token = token[2:]
        if not token:
            continue
        if token.startswith("RLQUERY"):
            term, position = _related_list(token, tokens, position)
        elif token.startswith("JOIN"):
            term, position = _join(token, tokens, position)
        else:
            term = _condition(token)
        if alternative and group:
            group[-1].append(term)
        else:
            group.append([term])
    return query


def _add_order(query: Query, token: str) -> None:
    descending = token.startswith("ORDERBYDESC")
    name = token.removeprefix("ORDERBYDESC" if descending else "ORDERBY").strip()
    if name:
        query.order.append((name, descending))


def _condition(token: str) -> Term:
    if token.startswith(_TEXT_SEARCH):
        return TextSearch(token.removeprefix(_TEXT_SEARCH).replace("^^", "^"))
    found = _CONDITION.match(token)
    if found is None:
        return Unreadable(token)
    return Condition(found["field"], found["op"], found["value"].replace("^^", "^"))


def _related_list(token: str, tokens: list[str], position: int) -> tuple[Term, int]:
    inner = []
    while position < len(tokens) and tokens[position] != "ENDRLQUERY":
        inner.append(tokens[position])
        position += 1
    found = _RELATED.fullmatch(token)
    if found is None:
        return Unreadable(token), position + 1
    sub_query = parse("^".join(inner))
    return RelatedList(found["table"], found["field"], found["op"], int(found["count"]), sub_query), position + 1


def _join(token: str, tokens: list[str], position: int) -> tuple[Term, int]:
    found = _JOIN.fullmatch(token)
    if found is None:
        return Unreadable(token), position
    inner = [found["rest"]]
    while position < len(tokens) and not tokens[position].startswith(("NQ", "ORDERBY", "EQ", "JOIN", "RLQUERY")):
        inner.append(tokens[position])
        position += 1
    return Join(found["field"], found["other"], found["other_field"], parse("^".join(inner))), position
