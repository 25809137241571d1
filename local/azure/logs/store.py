"""What queries find: no engine for KQL, but rows that tests set for the text of a query."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from local.azure.demo.inventory import PRODUCTION

#: The workspace of the first day: its id, and its id in Resource Manager.
WORKSPACE = "9d3c6b1e-54a7-4f02-8c9b-0e7f1a2d3c4b"
WORKSPACE_RESOURCE = (
    f"/subscriptions/{PRODUCTION}/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/law-contoso"
)

_LIMIT = re.compile(r"\|\s*(?:take|limit)\s+(\d+)\s*\Z")
_PRINT = re.compile(r"print\s+(\w+)\s*=\s*(\d+)")


@dataclass(frozen=True, slots=True)
class SavedResult:
    """What a query gives.

    Attributes:
        columns: name and type. rows: values.
        seconds: that the query takes; longer than the client waits, it is a 504.
        partial: the engine failed in part: an error stands beside the rows.
        error: ``syntax`` or ``semantic``: the query is refused.
    """

    columns: list[dict[str, str]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    seconds: float = 0.0
    partial: bool = False
    error: str = ""


class LogStore:
    """Workspaces, and results by the text of their query (blanks do not matter)."""

    def __init__(self) -> None:
        self.workspaces = {WORKSPACE: WORKSPACE_RESOURCE}
        self._results: dict[str, SavedResult] = {}

    def save(self, query: str, result: SavedResult) -> None:
        """Set what a query gives."""
        self._results[_plain(query)] = result

    def clear(self) -> int:
        """Forget all; how many there were."""
        count = len(self._results)
        self._results.clear()
        return count

    def find(self, query: str) -> SavedResult | None:
        """What a query gives; one that ends in ``| take n`` gives so many rows of the query before that.

        ``print name = number`` needs no data, as in a real workspace.
        """
        limit = _LIMIT.search(query)
        text = query[: limit.start()] if limit else query
        found = self._results.get(_plain(text))
        printed = _PRINT.fullmatch(_plain(text))
        if found is None and printed:
            found = SavedResult([{"name": printed[1], "type": "long"}], [[int(printed[2])]])
        if found is None or limit is None:
            return found
        rows = found.rows[: int(limit[1])]
        return SavedResult(found.columns, rows, found.seconds, found.partial, found.error)


def _plain(query: str) -> str:
    return " ".join(query.split())
