"""A condition that people write for the export, taken apart so that it can be combined with conditions of ours. Pure.

``^NQ`` begins a new query that is OR-ed with the one before it, so every group between two of them has to repeat what
holds for all. ``^OR`` binds to the condition before it, so ours come first, and a group may not begin with one.

Source: ServiceNow docs, "Encoded query strings" and "Operators available for filters and queries".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_SORTS = re.compile(r"ORDERBY|GROUPBY|TRENDBY")
_OR = re.compile(r"OR(?=[a-z0-9_])")
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")

#: Stands for an escaped caret while a query is taken apart. No query has it: it is not printable.
_CARET = "\x00"


def alternatives(query: str) -> list[str]:
    """The groups of an encoded query: a record is selected when one of them holds. One empty group for an empty query.

    Raises ValueError, with the fix, for a query that cannot be combined with others.
    """
    return ["^".join(group).replace(_CARET, "^^") for group in _groups(query)]


def columns_of(query: str) -> list[str]:
    """The columns of the table that the conditions of a query name; of a path (``caller_id.name``) the first.

    Conditions on related lists and searches of text name none.
    """
    found: list[str] = []
    for group in _groups(query):
        related = False
        for term in group:
            related = term.startswith("RLQUERY") or (related and not term.startswith("ENDRLQUERY"))
            name = _COLUMN.match(_OR.sub("", term, count=1))
            if name is not None and not related:
                found.append(name[0])
    return list(dict.fromkeys(found))


def all_of(*conditions: str) -> str:
    """Conditions that all have to hold; empty ones are left out."""
    return "^".join(one for one in conditions if one)


def any_group(groups: Sequence[str]) -> str:
    """Groups of which one has to hold."""
    return "^NQ".join(groups)


def _groups(query: str) -> Iterator[list[str]]:
    text = query.strip().replace("^^", _CARET)
    group: list[str] = []
    for place, term in enumerate(text.removeprefix("^").split("^")):
        if _SORTS.match(term):
            raise ValueError(
                f"'{term[:60]}' sorts or groups, and the export has an order of its own. Fix: take it out of the query"
            )
        if term.startswith("NQ") and place:
            yield _checked(group)
            group = [term.removeprefix("NQ")]
        elif term != "EQ":
            group.append(term)
    yield group if not text else _checked(group)


def _checked(group: list[str]) -> list[str]:
    if not all(group) or not group:
        raise ValueError("a condition between two ^ is missing. Fix: copy the query from ServiceNow's list once more")
    if _OR.match(group[0]):
        raise ValueError(f"'^{group[0][:60]}' has no condition before it. Fix: put one before ^OR, or write ^NQ")
    return group
