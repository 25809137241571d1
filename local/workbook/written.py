"""Files that are written from others: two in ``infra/export``, and the tables of columns in the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from connectors.log_analytics.columns import LOG_STREAM, LOG_TABLE, TABLES, TICKETS_STREAM, TICKETS_TABLE, ColumnType
from local.workbook.layout import workbook
from local.workbook.queries import FOLDER, ROOT

_TABLES_FILE = FOLDER / "tables.json"
_WORKBOOK_FILE = FOLDER / "workbook.json"
_PAGE = ROOT / "docs" / "log-analytics.md"

#: Where the tables of columns stand in the page.
_BEGIN, _END = "<!-- columns -->", "<!-- end of columns -->"


def tables() -> dict[str, Any]:
    """Columns as the template needs them: of tables, and of the streams of the data collection rule. The two differ in
    how they spell the type of a time ("Tables - Create Or Update", "Structure of a data collection rule")."""
    return {
        "tables": {
            table: [
                {
                    "name": one.name,
                    "type": "dateTime" if one.type is ColumnType.DATETIME else one.type.value,
                    "description": one.about,
                }
                for one in columns
            ]
            for table, columns in TABLES.items()
        },
        "streams": {
            stream: [{"name": one.name, "type": one.type.value} for one in TABLES[table]]
            for stream, table in ((TICKETS_STREAM, TICKETS_TABLE), (LOG_STREAM, LOG_TABLE))
        },
    }


def documented() -> str:
    """The tables of columns, in Markdown."""
    parts = []
    for table, columns in TABLES.items():
        rows = [f"| `{one.name}` | {one.type.value} | {'yes' if one.old else ''} | {one.about} |" for one in columns]
        parts.append("\n".join([f"`{table}`:", "", "| column | type | ITSMC | |", "| --- | --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def files() -> dict[Path, str]:
    """What each file should hold. Raises ValueError when the page of the docs lacks the place for its tables."""
    page = _PAGE.read_text(encoding="utf-8")
    part = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    if not part.search(page):
        raise ValueError(f"{_PAGE.name} has no '{_BEGIN}' with '{_END}' below it.")
    return {
        _TABLES_FILE: _json(tables()),
        _WORKBOOK_FILE: _json(workbook()),
        _PAGE: part.sub(lambda _: f"{_BEGIN}\n\n{documented()}\n\n{_END}", page),
    }


def write() -> list[Path]:
    """Write what changed; the files that did."""
    changed = [(file, text) for file, text in files().items() if not file.exists() or file.read_text("utf-8") != text]
    for file, text in changed:
        file.write_text(text, encoding="utf-8")
    return [file for file, _ in changed]


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
