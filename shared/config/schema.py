"""Writes the JSON Schema of bridge.yaml and the reference tables of docs/configuration.md from the model.

``make schema`` writes both; a test fails when they are out of date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared.config.model import BridgeConfig
from shared.core.settings import format_duration

BEGIN = "<!-- reference: written by `make schema` -->"
END = "<!-- end of reference -->"

SCHEMA_FILE = "bridge.schema.json"
REFERENCE_FILE = "configuration.md"


def _schema(model: type[BridgeConfig]) -> dict[str, Any]:
    """The model's schema as it applies to the file: durations written as the file writes them, and a setting
    (``${NAME}``) wherever a text has a form."""
    schema = model.model_json_schema()
    _as_in_the_file(schema)
    return schema


def _as_in_the_file(node: Any) -> None:
    if isinstance(node, list):
        for value in node:
            _as_in_the_file(value)
    if not isinstance(node, dict):
        return
    for value in node.values():
        _as_in_the_file(value)
    default, pattern = node.get("default"), node.get("pattern")
    if node.get("type") == "string" and isinstance(pattern, str):
        node["pattern"] = rf"(?:{pattern})|\$\{{"
        if isinstance(default, str) and default.startswith("P"):
            node["default"] = format_duration(TypeAdapter(timedelta).validate_python(default))


def _or_a_setting(node: Any) -> None:
    """Let a setting stand where one of several words is expected."""
    if isinstance(node, list):
        for value in node:
            _or_a_setting(value)
    if not isinstance(node, dict):
        return
    for value in node.values():
        _or_a_setting(value)
    words = node.get("enum")
    if node.get("type") == "string" and isinstance(words, list):
        del node["enum"], node["type"]
        node["anyOf"] = [{"type": "string", "enum": words}, {"type": "string", "pattern": r"\$\{"}]


def json_schema(model: type[BridgeConfig]) -> str:
    """The JSON Schema (draft 2020-12) as text, for editors and other programs."""
    schema = _schema(model)
    _or_a_setting(schema)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "bridge.yaml"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def reference(model: type[BridgeConfig]) -> str:
    """Markdown: a table per section, in the order in which they are met."""
    schema = _schema(model)
    definitions: dict[str, Any] = schema.get("$defs", {})
    queue: list[tuple[str, dict[str, Any]]] = [("BridgeConfig", schema)]
    seen = {"BridgeConfig"}
    parts: list[str] = []
    while queue:
        name, section = queue.pop(0)
        if "properties" not in section:
            continue
        parts.append(_table(name, section, definitions))
        for field in section["properties"].values():
            for found in _references(field):
                if found not in seen and "properties" in definitions.get(found, {}):
                    seen.add(found)
                    queue.append((found, definitions[found]))
    return "\n\n".join(parts)


def _table(name: str, section: dict[str, Any], definitions: dict[str, Any]) -> str:
    title = "bridge.yaml" if name == "BridgeConfig" else name
    about = _cell(" ".join(str(section.get("description", "")).split()))
    required = set(section.get("required", ()))
    rows = ["| name | value | default | |", "| --- | --- | --- | --- |"]
    for field, spec in sorted(section["properties"].items(), key=lambda item: item[0] not in required):
        spec = _inlined(spec, definitions)
        default = "**required**" if field in required else _default(spec)
        text = " ".join(str(spec.get("description", "")).split())
        rows.append(f"| `{field}` | {_cell(_type(spec))} | {default} | {_cell(text)} |")
    return f"### {title}\n\n{about}\n\n" + "\n".join(rows)


def _inlined(spec: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to a mere list of values becomes that list."""
    if "items" in spec:
        return spec | {"items": _inlined(spec["items"], definitions)}
    found = definitions.get(str(spec.get("$ref", "")).rsplit("/", 1)[-1], {})
    return found if "enum" in found else spec


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def _default(spec: dict[str, Any]) -> str:
    value = spec.get("default")
    if value is None or value in ({}, [], ""):
        return ""
    if value == spec.get("items", {}).get("enum"):
        return "all"
    if isinstance(value, dict):
        return "see there"
    return f"`{value}`" if not isinstance(value, bool) else f"`{str(value).lower()}`"


def _type(spec: dict[str, Any]) -> str:
    """A value's type in words."""
    if "$ref" in spec:
        name = str(spec["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "const" in spec:
        return f"`{json.dumps(spec['const'])}`".replace('"', "")
    if "enum" in spec:
        return ", ".join(f"`{value}`" for value in spec["enum"])
    for several in ("anyOf", "oneOf"):
        if several in spec:
            return " or ".join(dict.fromkeys(_type(s) for s in spec[several] if s.get("type") != "null"))
    kind = str(spec.get("type", "value"))
    if kind == "array":
        return f"list of {_type(spec.get('items', {}))}"
    if kind == "object":
        values = spec.get("additionalProperties")
        return f"names to {_type(values)}" if isinstance(values, dict) else "section"
    low, high = spec.get("minimum"), spec.get("maximum")
    if low is not None and high is not None:
        return f"{kind} {low} to {high}"
    if "pattern" in spec and "examples" in spec:
        what = "share" if "%" in spec["examples"][0] else "duration"
        return f"{what}, such as " + ", ".join(f"`{example}`" for example in spec["examples"])
    return {"string": "text", "boolean": "`true`, `false`"}.get(kind, kind)


def _references(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        if "$ref" in spec:
            yield str(spec["$ref"]).rsplit("/", 1)[-1]
        for value in spec.values():
            yield from _references(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _references(value)


def with_reference(document: str, model: type[BridgeConfig]) -> str:
    """``document`` with the text between the markers replaced. Raises ValueError when they are missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{REFERENCE_FILE} has no '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{reference(model)}\n\n{END}{after}"


def write(folder: Path, model: type[BridgeConfig]) -> None:
    """Write both files into ``folder``."""
    (folder / SCHEMA_FILE).write_text(json_schema(model), encoding="utf-8")
    page = folder / REFERENCE_FILE
    page.write_text(with_reference(page.read_text(encoding="utf-8"), model), encoding="utf-8")
