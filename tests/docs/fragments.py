"""A fragment of bridge.yaml from the docs, put where it belongs in a whole file, and validated by the real loader."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from app.configuration import load_config
from shared.core.errors import ConfigurationError
from tests.docs.pages import Block
from tests.docs.tables import FRAGMENTS

SETTINGS = {"SERVICENOW_URL": "https://contoso.service-now.com", "SERVICENOW_CLIENT_ID": "0123456789abcdef"}

#: Files beside it.
FILES = {"owners.csv": "resource_group,team\nrg-shop-*,Shop\n"}

_CONNECTION = """
    type: servicenow
    url: ${SERVICENOW_URL}
    auth: {type: basic, username: azure.bridge, password: {secret: servicenow-password}}
"""
#: What the fragments of the docs refer to: two names of connections, and a look-up.
_WHOLE = f"""
version: 1
connections:
  servicenow: {_CONNECTION}
  production: {_CONNECTION}
lookups:
  teams: {{rg-shop-prod: Software}}
default: {{connection: servicenow}}
"""


def mistakes(block: Block) -> list[str]:
    """What the loader finds wrong; nothing when the example is valid."""
    with TemporaryDirectory() as folder:
        for name, text in FILES.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        file = Path(folder) / "bridge.yaml"
        file.write_text(whole(block), encoding="utf-8")
        try:
            load_config(file, SETTINGS)
        except ConfigurationError as error:
            return [str(error)]
    return []


def whole(block: Block) -> str:
    """The text of a bridge.yaml with the fragment in its place."""
    content = yaml.safe_load(block.text)
    if isinstance(content, dict) and "version" in content:
        return block.text
    file: dict[str, Any] = yaml.safe_load(_WHOLE)
    match place_of(block):
        case "connection":
            file["connections"]["servicenow"] |= content
        case "route":
            file["routes"] = [{"name": "example", "when": {"severity": 0}, "connection": "servicenow", **content}]
        case "routes":
            file["routes"] = [{"connection": "servicenow", **route} for route in content]
        case "integration":
            file["defender"] = {"integrations": [{"name": "example", "connection": "servicenow", **content}]}
        case _:
            file |= content
    return yaml.safe_dump(file, sort_keys=False, allow_unicode=True)


def place_of(block: Block) -> str:
    """Where the fragment belongs; empty for a section of the file."""
    row = row_of(block)
    return row[2] if row else ""


def row_of(block: Block) -> tuple[str, str, str] | None:
    """The row of the table that fits a fragment: one of its lines begins so."""
    lines = [line.strip() for line in block.text.splitlines()]
    fitting = (row for row in FRAGMENTS if row[0] == block.file and any(line.startswith(row[1]) for line in lines))
    return next(fitting, None)
