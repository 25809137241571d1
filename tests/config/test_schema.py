"""The JSON Schema and the reference in docs/ say what the model says."""

from __future__ import annotations

from pathlib import Path

from shared.config.schema import REFERENCE_FILE, SCHEMA_FILE, json_schema, with_reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_schema_in_docs_is_fresh() -> None:
    assert (DOCS / SCHEMA_FILE).read_text(encoding="utf-8") == json_schema(), "run: make schema"


def test_the_reference_in_docs_is_fresh() -> None:
    page = (DOCS / REFERENCE_FILE).read_text(encoding="utf-8")
    assert page == with_reference(page), "run: make schema"
