"""Words of a query: the part of Kusto Query Language that Resource Graph queries of findings and alerts need.

Source: Resource Graph docs, "Understanding the Azure Resource Graph query language"; Kusto docs for literals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = re.compile(
    r"""
    (?P<blank>\s+|//[^\n]*)
  | (?P<datetime>datetime\s*\(\s*(?P<when>[^)]*?)\s*\))
  | (?P<string>@'[^']*'|@"[^"]*"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
  | (?P<timespan>\d+(?:\.\d+)?(?:ms|d|h|m|s)\b)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<name>project-away|project-rename|mv-expand|mv-apply|!?[A-Za-z_]\w*~?)
  | (?P<sign>==|!=|=~|!~|<=|>=|[<>=()\[\],.|*+/;-])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class BadQuery(Exception):
    """The query cannot be run.

    ``code`` is Resource Graph's; ``token`` is where it stopped (line from 1, character from 0); ``reason`` is ours and
    goes to the request log.
    """

    def __init__(self, reason: str, token: Token | None = None, code: str = "ParserFailure") -> None:
        super().__init__(reason)
        self.reason = reason
        self.token = token
        self.code = code


@dataclass(frozen=True, slots=True)
class Token:
    """One word. ``kind`` is string, timespan, number, name, sign, datetime or end; ``text`` is without quotes."""

    kind: str
    text: str
    line: int
    column: int


def split(query: str) -> list[Token]:
    """Words of a query, ended by one of kind ``end``.

    Raises:
        BadQuery: a character that no word begins with.
    """
    found: list[Token] = []
    place = 0
    while place < len(query):
        line, column = query.count("\n", 0, place) + 1, place - (query.rfind("\n", 0, place) + 1)
        match = _WORDS.match(query, place)
        if match is None:
            raise BadQuery("unexpected character", Token("sign", query[place], line, column))
        place = match.end()
        kind = str(match.lastgroup if match.lastgroup != "when" else "datetime")
        if kind != "blank":
            text = match["when"] if kind == "datetime" else match.group()
            found.append(Token(kind, _unquoted(text) if kind == "string" else text, line, column))
    found.append(Token("end", "<EOF>", query.count("\n") + 1, len(query) - (query.rfind("\n") + 1)))
    return found


def _unquoted(text: str) -> str:
    if text.startswith("@"):
        return text[2:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
