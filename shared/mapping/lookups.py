"""Tables under ``lookups``: keys without case, patterns among them, and chains of keys. Pure, compiled once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.core.field_values import Lookup, LookupValue
from shared.core.letter_case import fold_case
from shared.mapping.routes import pattern
from shared.mapping.templates import Render, compile_template

#: What a message shows of a value.
_SHOWN = 60


class TableEntry(NamedTuple):
    """An entry of a table: its key as the table spells it, and its value."""

    key: str
    value: str


class LookupTable:
    """One table. A key that stands in it goes before every pattern; of the patterns, the first that matches wins.

    Args:
        name: in the configuration.
        entries: key to value, in the order of the file; ``*`` and ``?`` make a key a pattern.
    """

    def __init__(self, name: str, entries: Mapping[str, str]) -> None:
        self.name = name
        self.values = frozenset(entries.values())
        self._exact: dict[str, TableEntry] = {}
        self._patterns: list[tuple[re.Pattern[str], TableEntry]] = []
        for key, value in entries.items():
            if is_pattern(key):
                self._patterns.append((pattern(key), TableEntry(key, value)))
            else:
                self._exact[fold_case(key.strip())] = TableEntry(key, value)

    def find(self, key: str) -> TableEntry | None:
        """The entry of a key, None for none; an empty key has none."""
        folded = fold_case(key.strip())
        if not folded:
            return None
        found = self._exact.get(folded)
        if found is not None:
            return found
        return next((entry for compiled, entry in self._patterns if compiled.fullmatch(folded)), None)


def is_pattern(key: str) -> bool:
    """Whether a key of a table stands for several."""
    return "*" in key or "?" in key


@dataclass(frozen=True, slots=True)
class Found:
    """What a chain gave: the value, None for none, and which step gave it, in words."""

    value: str | None
    step: str


class Chain:
    """The look-up of one field."""

    def __init__(self, lookup: Lookup, table: LookupTable) -> None:
        """Raises jinja2.TemplateSyntaxError for a step that is no template."""
        self.table = table
        self._steps: list[tuple[str, Render, bool]] = []
        for step in lookup.steps:
            looked_up = not isinstance(step, LookupValue)
            text = step.value if isinstance(step, LookupValue) else step
            self._steps.append((text, compile_template(text), looked_up))
        self._default = None if lookup.default is None else compile_template(lookup.default)

    def find(self, context: Mapping[str, Any], missing: list[str]) -> Found:
        """The value of the first step that gives one, else the default's.

        Names that a template misses are added to ``missing`` only where the default is used or there is no value.
        Raises what a template raises.
        """
        tried: list[str] = []
        lost: list[str] = []
        for place, (text, render, looked_up) in enumerate(self._steps, 1):
            found = render(context, lost)
            if not looked_up and found:
                return Found(found, f"step {place}, {text}, is the value '{_short(found)}'")
            entry = self.table.find(found) if looked_up else None
            if entry is not None:
                what = f"step {place}, {text}, is '{_short(found)}'"
                return Found(entry.value, f"{what}: entry '{_short(entry.key)}' of lookup '{self.table.name}'")
            tried.append(found)
        keys = " or ".join(f"'{_short(one)}'" for one in tried if one) or "''"
        none = f"lookup '{self.table.name}' has no entry {keys}"
        if self._default is None:
            missing += lost
            return Found(None, none)
        return Found(self._default(context, missing), f"{none}: the default")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
