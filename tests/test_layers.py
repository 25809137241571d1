"""What import-linter cannot see: single modules of a package from outside."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    assert modules <= {
        "app",
        "app.container",
        "app.registry",
        "app.timers",
        "shared.core",
        "shared.web",
        "shared.platform",
    }


def test_no_file_of_ours_is_too_long_to_read_in_one_sitting() -> None:
    own = [f for part in (*DEPLOYED, "cli", "local", "benchmarks", "tests") for f in (ROOT / part).rglob("*.py")]
    own = [f for f in own if "node_modules" not in f.parts] + [ROOT / "bridge.py", ROOT / "function_app.py"]
    long = {f.relative_to(ROOT).as_posix(): n for f in own if (n := len(f.read_text("utf-8").splitlines())) > 450}
    assert long == {}


#: Columns and names of ticket systems. Another system adds its own words here.
_SYSTEM_WORDS = re.compile(
    r"sys_id|sys_mod_count|work_notes|caller_id|short_description|service[-_ ]?now", re.IGNORECASE
)


def test_the_engine_speaks_no_ticket_systems_language() -> None:
    files = [ROOT / "function_app.py", *(f for part in ("app", "shared") for f in (ROOT / part).rglob("*.py"))]
    lines = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        if file != ROOT / "app" / "registry.py"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if _SYSTEM_WORDS.search(line)
    ]
    assert lines == []


#: Columns of the ticket systems that there are. Sources name fields by their roles.
_COLUMNS = {
    *(
        "sys_id",
        "number",
        "caller_id",
        "opened_by",
        "short_description",
        "work_notes",
        "close_notes",
        "assignment_group",
    ),
    *("cmdb_ci", "correlation_id", "correlation_display", "requested_by_date", "sys_class_name"),
}

#: What Azure calls so, and what requests and the shape of a ticket do.
_OTHER_MEANINGS = {
    ("azure_monitor", "correlation_id"),  # of an operation in the activity log
    ("log_analytics", "number"),  # of a record that is exported
    ("secure_score", "number"),  # of a ticket, in the comment that the control gets
}


def test_no_source_speaks_a_ticket_systems_language() -> None:
    found = {
        (folder.name, node.value)
        for folder in (ROOT / "connectors").iterdir()
        if folder.name != "servicenow"
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _COLUMNS
    }
    assert found == _OTHER_MEANINGS


def test_only_the_registry_names_a_connector() -> None:
    files = [ROOT / "function_app.py", *(f for part in ("app", "shared") for f in (ROOT / part).rglob("*.py"))]
    users = {f.relative_to(ROOT).as_posix() for f in files if any(n.startswith("connectors") for n in imports(f))}
    assert users == {"app/registry.py"}


def test_a_public_class_name_is_used_once_in_the_product() -> None:
    places: dict[str, list[str]] = {}
    for part in (*DEPLOYED, "cli"):
        for file in (ROOT / part).rglob("*.py"):
            for name in _classes(file):
                places.setdefault(name, []).append(file.relative_to(ROOT).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def _classes(file: Path) -> Iterator[str]:
    """Names of public classes, and of aliases of types, that a module defines."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from (name for name in names if re.fullmatch(r"[A-Z][a-z]\w*", name) and name != "T")


#: Stages that come as arguments, by the name of the argument.
_STAGES = {"tags": "AddTags", "split": "SplitParts", "dry_run": "DryRun", "source_stages": "AssignOwner"}


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/delivery.md"])
def test_the_pages_name_every_stage_in_order(page: str) -> None:
    tree = ast.parse((ROOT / "shared/delivery/stages.py").read_text("utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "delivery_stages")
    (listed,) = (node.value for node in ast.walk(function) if isinstance(node, ast.Return))
    assert isinstance(listed, ast.Tuple)
    names = [_stage(element) for element in listed.elts]
    assert len(set(names)) == len(names)
    text = (ROOT / page).read_text("utf-8")
    assert sorted(names, key=text.index) == names


def _stage(element: ast.expr) -> str:
    """The name of the stage that an element of the list is."""
    names = [node.id for node in ast.walk(element) if isinstance(node, ast.Name)]
    return next(_STAGES.get(name, name) for name in names if name in _STAGES or name[0].isupper())


#: What every folder under connectors/ has beside its code: tests, and a page of documentation.
_CONNECTORS = {
    "azure_monitor": ("tests/reconcile", "docs/reconcile.md"),
    "bridge": ("tests/own_problems", "docs/operations.md"),
    "defender": ("tests/defender_connector", "docs/defender.md"),
    "key_vault": ("tests/key_vault", "docs/configuration.md"),
    "log_analytics": ("tests/log_analytics", "docs/log-analytics.md"),
    "manual": ("tests/manual", "docs/manual-tickets.md"),
    "microsoft": ("tests/reconcile/test_reach.py", "docs/reconcile.md"),
    "secure_score": ("tests/secure_score", "docs/secure-score.md"),
    "servicenow": ("tests/servicenow_connector/test_conformance.py", "docs/servicenow.md"),
}


def test_every_connector_has_settings_a_check_tests_and_a_page() -> None:
    folders = {f.name for f in (ROOT / "connectors").iterdir() if (f / "__init__.py").is_file()}
    assert folders == _CONNECTORS.keys()
    for name, (tests, page) in _CONNECTORS.items():
        assert (ROOT / tests).exists(), tests
        assert (ROOT / page).is_file(), page
        folder = ROOT / "connectors" / name
        if not (folder / "plugin.py").is_file() or name == "manual":
            continue  # a part that others use, no plug-in; people have no settings, and nothing to check
        assert (folder / "settings.py").is_file(), name
        assert (folder / "check.py").is_file() or (folder / "check" / "__init__.py").is_file(), name
