"""What import-linter cannot see: single modules of a package from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

DEPLOYED = ("app", "connectors", "shared")


def imports(file: Path) -> Iterator[str]:
    """Names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_triggers_and_the_local_host_know_azure_functions() -> None:
    deployed = [ROOT / "function_app.py", *(f for part in DEPLOYED for f in (ROOT / part).rglob("*.py"))]
    users = {f.relative_to(ROOT).as_posix() for f in deployed if "azure.functions" in set(imports(f))}
    assert users == {"function_app.py"}


def test_the_triggers_know_services_and_nothing_below_them() -> None:
    below = {name for name in imports(ROOT / "function_app.py") if name.startswith(("app", "connectors", "shared"))}
    modules = {".".join(name.split(".")[:2]) for name in below}
    assert modules <= {"app.registry", "app.requests", "shared.core", "shared.web", "shared.platform"}


def test_no_file_of_ours_is_too_long_to_read_in_one_sitting() -> None:
    own = [f for part in (*DEPLOYED, "local", "benchmarks", "tests") for f in (ROOT / part).rglob("*.py")]
    own = [f for f in own if "node_modules" not in f.parts] + [ROOT / "bridge.py", ROOT / "function_app.py"]
    long = {f.relative_to(ROOT).as_posix(): n for f in own if (n := len(f.read_text("utf-8").splitlines())) > 450}
    assert long == {}
