"""Bicep files as data. The parser knows syntax only, so what a compiler would say about names is checked here too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pycep import BicepParser

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "infra" / "main.bicep"
ACCESS = ROOT / "infra" / "modules" / "access.bicep"
CONSENT = ROOT / "infra" / "modules" / "consent.bicep"
WATCH = ROOT / "infra" / "modules" / "watch.bicep"
EXPORT = ROOT / "infra" / "modules" / "export.bicep"
EXPORT_ALERTS = ROOT / "infra" / "modules" / "export_alerts.bicep"
EXPORT_TABLES = ROOT / "infra" / "modules" / "export_tables.bicep"
ACTION_GROUP = ROOT / "infra" / "action-group.bicep"
FILES = sorted((ROOT / "infra").rglob("*.bicep"))

_TOKENS = re.compile(r"'''.*?'''|'(?:[^'\\]|\\.)*'|//[^\n]*|/\*.*?\*/", re.DOTALL)
_PLACEHOLDER = re.compile(r"(?<!\\)\$\{([^}]*)\}")
_DECLARED = re.compile(
    r"^\s*(?:param|var|resource|module|output|type) (\w+)|^import \{ (\w+) \}"
    r"|\[for (\w+) in |\[for \((\w+), (\w+)\) in ",
    re.MULTILINE,
)
_USED = re.compile(r"(?<![\w.@])([A-Za-z_]\w*)(?![\w(])")
_GRAMMAR = {
    "existing",
    "for",
    "from",
    "if",
    "import",
    "in",
    "module",
    "output",
    "param",
    "resource",
    "targetScope",
    "type",
    "var",
}
_TYPES = {"string", "int", "bool", "object", "array", "true", "false", "null"}


def parse(file: Path) -> dict[str, Any]:
    """A file as the parser sees it. Raises lark's UnexpectedInput when it is no Bicep."""
    return dict(BicepParser().parse(text=file.read_text(encoding="utf-8")))


def body(item: dict[str, Any]) -> dict[str, Any]:
    """What stands between the braces of a resource or module, also behind ``if`` or ``for``."""
    config: dict[str, Any] = item["config"]
    inner: dict[str, Any] = config.get("config", config)
    return inner


def only(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one resource of a type that a template makes."""
    (found,) = [r for r in template["resources"].values() if r["type"] == kind and not r["existing"]]
    return body(found)


def text(value: Any) -> Any:
    """An expression as it was written: ``storage.name``, ``a[1]``, ``a ? b : c``. Other values stay as they are."""
    if isinstance(value, dict) and "operator" in value:
        kind, operands = value["operator"]["type"], [text(one) for one in value["operator"]["operands"].values()]
        if kind == "conditional":
            condition, then, otherwise = operands
            return f"{condition} ? {then} : {otherwise}"
        if kind == "index_accessor":
            return f"{operands[0]}[{operands[1]}]"
        assert kind == "property_accessor", kind
        return ".".join(operands)
    return value


def settings(template: dict[str, Any], *, export: bool = False) -> dict[str, Any]:
    """The application settings that a template sets, with their expressions as text; with those of the export too."""
    union = only(template, "Microsoft.Web/sites/config")["properties"]["function"]
    assert union["type"] == "union"
    further, own, chosen = union["parameters"].values()
    assert further == "extraSettings", "the template's own settings come last, or those of the user could undo them"
    operands = chosen["operator"]["operands"]
    assert (operands["condition"], operands["false_value"]) == ("exportTickets", {})
    return {name: text(value) for name, value in (own | (operands["true_value"] if export else {})).items()}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested sections and lists, with its dotted path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def names(source: str) -> tuple[set[str], set[str]]:
    """Names that a file declares, and names that it uses; of texts only what stands in their placeholders."""

    def code(match: re.Match[str]) -> str:
        found = match[0]
        return " ".join(_PLACEHOLDER.findall(found)) if found.startswith("'") else ""

    bare = _TOKENS.sub(code, source)
    declared = {name for found in _DECLARED.findall(bare) for name in found if name}
    bare = re.sub(r"^\s*(?:param|var|resource|module|output) \w+.*?(?==|$)", "", bare, flags=re.MULTILINE)
    bare = re.sub(r"^\s*\w+:", "", bare, flags=re.MULTILINE)
    return declared, set(_USED.findall(bare)) - _GRAMMAR - _TYPES
