"""Reads the tables of ``lookups`` that stand in files beside bridge.yaml: CSV, or JSON. Says every mistake with its
line and its fix.

The files come from people and their spreadsheets: another delimiter than the comma, an encoding of the office suite,
the same key twice. A table that is not read as it was meant would send tickets to the wrong people: nothing is
guessed.

Sources: RFC 4180 (CSV), RFC 8259 (JSON: names within an object should be unique).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.config.checks import suggest_value
from shared.config.model import BridgeConfig, LookupFile
from shared.core.letter_case import fold_case
from shared.core.plugins import ConfigPath, Mistake

#: Bounds of one file: its bytes, its entries, and how many of these may be patterns, which are tried one by one.
MOST_BYTES = 2_000_000
MOST_ENTRIES = 20_000
MOST_PATTERNS = 1_000

#: Characters of one key or value; no ticket field takes more, and no name of Azure has more.
_LONGEST = 1_000

#: Mistakes of one file that are listed.
_MOST_LISTED = 20

_DELIMITERS = (",", ";", "\t")
_RESAVE = "Fix: save it as UTF-8; Excel calls this 'CSV UTF-8'"


@dataclass(slots=True)
class _Table:
    """A table while it is read. ``mistakes`` and ``warnings`` are sentences."""

    file: str
    entries: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _seen: dict[str, int] = field(default_factory=dict)
    _patterns: int = 0

    def place(self, line: int) -> str:
        """Where something is; line 0 for the file as a whole."""
        return f"{self.file}:{line}" if line else self.file

    def wrong(self, line: int, text: str) -> None:
        self.mistakes.append(f"{self.place(line)}: {text}")

    def add(self, line: int, key: Any, value: Any) -> None:
        """Add an entry, or say what is wrong with it."""
        if not isinstance(key, str) or not key.strip():
            self.wrong(line, "the key is empty. Fix: write one, or remove the line")
            return
        if isinstance(value, bool) or not isinstance(value, str | int):
            self.wrong(line, f"the value of '{_short(key)}' is no text. Fix: put it in quotes")
            return
        key, value = key.strip(), str(value).strip()
        if max(len(key), len(value)) > _LONGEST:
            self.wrong(line, f"'{_short(key)}' or its value has more than {_LONGEST:,} characters. Fix: shorten it")
            return
        folded = fold_case(key)
        if folded in self._seen:
            first = f" (first in line {self._seen[folded]})" if self._seen[folded] else ""
            self.wrong(line, f"the key '{_short(key)}' is given twice{first}. Fix: remove one")
            return
        self._seen[folded] = line
        if not value:
            self.warnings.append(f"{self.place(line)}: '{_short(key)}' has no value, so it is no entry")
            return
        self._patterns += "*" in key or "?" in key
        self.entries[key] = value

    def check_bounds(self) -> None:
        """Say what there is too much or too little of."""
        if len(self.entries) > MOST_ENTRIES:
            self.wrong(0, f"it has {len(self.entries):,} entries, more than {MOST_ENTRIES:,}. Fix: split it")
        if self._patterns > MOST_PATTERNS:
            text = f"{self._patterns:,} keys are patterns (* or ?), more than {MOST_PATTERNS:,}"
            self.wrong(0, f"{text}. Fix: write whole keys, or fewer and wider patterns")
        if not self.entries and not self.mistakes:
            self.wrong(0, "it has no entry. Fix: add one, or remove the lookup")


def load_tables(config: BridgeConfig, folder: Path) -> tuple[BridgeConfig, list[Mistake], list[Mistake]]:
    """The configuration with the content of the files of ``lookups`` in their place; mistakes, and warnings.

    Args:
        config: as validated.
        folder: of bridge.yaml; a file outside of it is a mistake.
    """
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    tables: dict[str, Any] = dict(config.lookups)
    for name, settings in config.lookups.items():
        if not isinstance(settings, LookupFile):
            continue
        table = _read(settings, folder)
        path: ConfigPath = ("lookups", name, "file")
        mistakes += [(path, text) for text in _listed(table.mistakes)]
        warnings += [(path, text) for text in _listed(table.warnings)]
        if (line := _not_deployed(settings.file, folder)) is not None:
            text = f"{settings.file} is not deployed: .funcignore leaves out '{line}'. Fix: move the file"
            warnings.append((path, text))
        tables[name] = table.entries
    return config.model_copy(update={"lookups": tables}), mistakes, warnings


def _listed(texts: list[str]) -> list[str]:
    more = len(texts) - _MOST_LISTED
    return texts if more <= 0 else [*texts[:_MOST_LISTED], f"and {more:,} more like these"]


def _read(settings: LookupFile, folder: Path) -> _Table:
    table = _Table(settings.file)
    data = _content(table, folder)
    if data is None:
        return table
    text = _text(table, data)
    if text is None:
        return table
    if settings.file.lower().endswith(".json"):
        _read_json(table, text, settings)
    else:
        _read_csv(table, text, settings)
    table.check_bounds()
    return table


def _content(table: _Table, folder: Path) -> bytes | None:
    """The bytes of the file, None where it cannot or must not be read."""
    root = folder.resolve()
    if not table.file.lower().endswith((".csv", ".json")):
        table.wrong(0, "neither .csv nor .json. Fix: save it as one of these")
        return None
    try:
        file = (root / table.file).resolve()
        if not file.is_relative_to(root):
            table.wrong(0, "it is outside of the folder of bridge.yaml, and would not be deployed. Fix: move it there")
            return None
        size = file.stat().st_size
        if size > MOST_BYTES:
            table.wrong(
                0, f"it has {size:,} bytes, more than {MOST_BYTES:,}. Fix: keep only the two columns, or split it"
            )
            return None
        return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such name is possible"
        table.wrong(0, f"cannot be read: {reason}. Fix: put it into the folder of bridge.yaml, or correct the name")
        return None


def _text(table: _Table, data: bytes) -> str | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        table.wrong(1, f"it is UTF-16. {_RESAVE}")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        table.wrong(data.count(b"\n", 0, error.start) + 1, f"a character is not UTF-8. {_RESAVE}")
        return None
    if "\0" in text:
        table.wrong(
            text.count("\n", 0, text.index("\0")) + 1, f"there is a NUL character: it is no text file. {_RESAVE}"
        )
        return None
    return text


def _read_csv(table: _Table, text: str, settings: LookupFile) -> None:
    wanted = (str(settings.key), str(settings.value))
    rows = _rows(table, text, _delimiter(text, wanted))
    first = next(rows, None)
    if first is None:
        table.wrong(0, "it is empty. Fix: a first line with the names of the columns, then a line for each entry")
        return
    columns = _columns(table, first[1], wanted)
    if columns is None:
        return
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(columns):
            table.wrong(
                line, f"it has {len(cells)} cells, and the first line {len(first[1])}. Fix: add what is missing"
            )
            continue
        table.add(line, *(cells[column] for column in columns))


def _delimiter(text: str, wanted: tuple[str, str]) -> str:
    """The delimiter with which the first line has the columns; a comma where none does."""
    head = text.split("\n", 1)[0]
    names = {fold_case(one.strip()) for one in wanted}
    return next((one for one in _DELIMITERS if names <= {_name(cell) for cell in head.split(one)}), _DELIMITERS[0])


def _name(cell: str) -> str:
    return fold_case(cell.strip().strip('"').strip())


def _rows(table: _Table, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with its last line. The reader's own mistakes end them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            table.wrong(
                reader.line_num, f"it is not valid CSV: {error}. Fix: check the quotation marks in and above it"
            )
            return
        yield reader.line_num, cells


def _columns(table: _Table, head: list[str], wanted: tuple[str, str]) -> tuple[int, int] | None:
    """Positions of key and value."""
    names = [_name(cell) for cell in head]
    found: list[int] = []
    for name in wanted:
        count = names.count(fold_case(name.strip()))
        if count != 1:
            shown = [cell.strip() for cell in head if cell.strip()][:10]
            fix = suggest_value(name, shown)
            what = (
                f"there is no column '{name}'.{fix}"
                if not count
                else f"column '{name}' is there twice. Fix: rename one"
            )
            table.wrong(1, what)
            return None
        found.append(names.index(fold_case(name.strip())))
    return found[0], found[1]


def _read_json(table: _Table, text: str, settings: LookupFile) -> None:
    lines = _KeyLines(text)
    try:
        found = json.loads(text, object_pairs_hook=_Pairs, parse_constant=str)
    except ValueError as error:
        table.wrong(
            getattr(error, "lineno", 0), f"it is not valid JSON: {getattr(error, 'msg', error)}. Fix: correct it"
        )
        return
    except RecursionError:
        table.wrong(0, "it is nested too deeply. Fix: write one object of keys and values")
        return
    if isinstance(found, _Pairs) and settings.key is None:
        for key, value in found:
            table.add(lines.of(key), key, value)
    elif isinstance(found, list) and not isinstance(found, _Pairs) and settings.key is not None:
        for place, item in enumerate(found, 1):
            _add_item(table, place, item, settings)
    elif settings.key is None:
        table.wrong(
            0, "it is no object of keys and values. Fix: write one, or name 'key' and 'value' for a list of objects"
        )
    else:
        table.wrong(
            0,
            "it is no list of objects. Fix: write one, or take 'key' and 'value' out for an object of keys and values",
        )


def _add_item(table: _Table, place: int, item: Any, settings: LookupFile) -> None:
    """Add one object of a list."""
    if not isinstance(item, _Pairs):
        table.wrong(0, f"item {place} of the list is no object. Fix: write {{{settings.key}, {settings.value}}}")
        return
    members: Mapping[str, Any] = dict(item)
    for name in (str(settings.key), str(settings.value)):
        if [one for one, _ in item].count(name) > 1:
            table.wrong(0, f"item {place} of the list has '{name}' twice. Fix: remove one")
            return
        if name not in members:
            table.wrong(0, f"item {place} of the list has no '{name}'. Fix: add it")
            return
    before = len(table.mistakes)
    table.add(0, members[str(settings.key)], members[str(settings.value)])
    table.mistakes[before:] = [f"{text} (item {place} of the list)" for text in table.mistakes[before:]]


class _Pairs(list[tuple[str, Any]]):
    """The members of an object as the file has them, also those that are given twice."""


class _KeyLines:
    """Finds the lines of an object's keys, in the order in which they stand in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._line = 1

    def of(self, key: str) -> int:
        """Line of the next member with this key; 0 where it is not found, because it is written with escapes."""
        member = re.compile(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:")
        found = member.search(self._text, self._place)
        if found is None:
            return 0
        self._line += self._text.count("\n", self._place, found.start())
        self._place = found.start()
        line = self._line
        self._line += self._text.count("\n", self._place, found.end())
        self._place = found.end()
        return line


def _not_deployed(file: str, folder: Path) -> str | None:
    """The line of .funcignore that leaves a file out of the deployment; None for none."""
    try:
        lines = (folder / ".funcignore").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    parts = Path(file).parts
    places = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)} | {parts[-1]} if parts else set()
    for line in lines:
        wanted = line.strip().rstrip("/").removeprefix("/")
        if wanted and not wanted.startswith("#") and any(Path(place).match(wanted) for place in places):
            return line.strip()
    return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
