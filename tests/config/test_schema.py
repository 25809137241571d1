"""The JSON Schema and the reference in docs/ say what the model says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from app.configuration import parse_config
from app.registry import REGISTRY
from shared.config.model import config_model
from shared.config.schema import REFERENCE_FILE, SCHEMA_FILE, json_schema, with_reference

MODEL = config_model(REGISTRY)
DOCS = Path(__file__).parents[2] / "docs"


def test_the_schema_in_docs_is_fresh() -> None:
    assert (DOCS / SCHEMA_FILE).read_text(encoding="utf-8") == json_schema(MODEL), "run: make schema"


def test_the_reference_in_docs_is_fresh() -> None:
    page = (DOCS / REFERENCE_FILE).read_text(encoding="utf-8")
    assert page == with_reference(page, MODEL), "run: make schema"


def test_the_schema_accepts_the_shipped_file_and_the_example_and_refuses_mistakes() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(json_schema(MODEL)))
    page = (DOCS / REFERENCE_FILE).read_text(encoding="utf-8")
    example = page.split("## An example to start from")[1].split("```yaml\n")[1].split("```")[0]
    shipped = (DOCS.parent / "bridge.yaml").read_text(encoding="utf-8")
    for text in (shipped, example):
        validator.validate(yaml.safe_load(text))
    wrong = yaml.safe_load(shipped)
    wrong["default"]["ticket"] = "incidentt"
    wrong["default"]["reopen_window"] = "soon"
    wrong["rout"] = []
    paths = {"/".join(map(str, error.absolute_path)) for error in validator.iter_errors(wrong)}
    assert {"", "default"} <= {path.split("/")[0] for path in paths}


def test_the_example_of_the_guide_is_valid() -> None:
    page = (DOCS / REFERENCE_FILE).read_text(encoding="utf-8")
    example = page.split("## An example to start from")[1].split("```yaml\n")[1].split("```")[0]
    config = parse_config(example, settings={"SERVICENOW_CLIENT_ID": "demo-client"})
    assert [route.name for route in config.routes] == ["planned maintenance", "production"]
