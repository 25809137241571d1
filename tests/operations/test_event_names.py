"""Every event that the product logs is in the table of docs/operations.md, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.core.outcome import OutcomeKind

ROOT = Path(__file__).parents[2]


def recorded() -> Iterator[str]:
    """Names given to ``record`` in the deployed code. One that is no plain text shows as the place of the call."""
    files = [
        ROOT / "function_app.py",
        *(f for part in ("app", "connectors", "shared") for f in (ROOT / part).rglob("*.py")),
    ]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "record":
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value
                else:
                    yield f"{file.relative_to(ROOT).as_posix()}: {ast.unparse(first)}"


def documented() -> list[str]:
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    section = text.split("## Log events", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)


def test_every_event_is_documented_once_and_exists() -> None:
    names = set(recorded())
    # Outcomes are logged in one place, by their kind.
    assert [name for name in names if ":" in name] == ["shared/delivery/event_log.py: event"]
    names = {name for name in names if ":" not in name} | {kind.value for kind in OutcomeKind}
    assert sorted(documented()) == sorted(names)


def test_queries_in_the_documentation_name_events_that_exist() -> None:
    names = set(documented())
    for file in [*(ROOT / "docs").glob("*.md"), *(ROOT / "infra").rglob("*.md"), *(ROOT / "infra").rglob("*.bicep")]:
        for condition in re.findall(r"d\.event (?:==|in) ([^\n|]+)", file.read_text("utf-8")):
            asked = condition.split(" and ")[0]
            assert set(re.findall(r"\"([a-z_]+)\"", asked)) <= names, f"{file.name}: {condition}"
