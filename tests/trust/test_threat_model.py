"""The threat model names tests: each has to exist, and be one that runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8"))


def defined_in(file: Path) -> set[str]:
    """Names of the test functions of a file that nothing skips."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
            if "skip" not in marks and "xfail" not in marks:
                found.add(node.name)
    return found


def test_every_test_that_the_threat_model_names_exists() -> None:
    assert len(NAMED) > 30
    missing = [f"{file}::{name}" for file, name in NAMED if name not in defined_in(ROOT / "tests" / file)]
    assert missing == []


def test_every_threat_has_a_test() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| threat", "| ---"))]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []
