"""The workbook's files and its page, for people who change it."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

import duckdb

from local.workbook.queries import FOLDER, ROOT
from local.workbook.render import render
from local.workbook.workspace import Workspace
from local.workbook.written import write


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m local.workbook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help="write infra/export/*.json and the columns of docs/log-analytics.md anew")
    page = commands.add_parser("page", help="show the workbook on the rows of a DuckDB file, as one HTML page")
    page.add_argument("rows", type=Path, help="DuckDB file with the tables ServiceDesk_CL and ServiceDeskLog_CL")
    page.add_argument("--out", type=Path, default=Path("workbook.html"), help="file to write (default: workbook.html)")
    options = parser.parse_args(arguments)
    if options.command == "write":
        for file in write():
            print(f"wrote {file.relative_to(ROOT)}")
        return 0
    if not options.rows.is_file():
        parser.error(f"{options.rows}: no such file")
    workbook = json.loads((FOLDER / "workbook.json").read_text(encoding="utf-8"))
    try:
        workspace = Workspace(options.rows)
    except duckdb.Error as error:
        parser.error(f"{options.rows}: no file of DuckDB that can be opened: {error}")
    with closing(workspace):
        render(workbook, workspace.run, options.out)
    print(f"wrote {options.out.resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
