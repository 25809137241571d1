"""The part export of a connection: mistakes are named with line and fix, and what has no effect is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.configuration import load_config
from app.registry import REGISTRY
from connectors.servicenow.encoded_query import alternatives, columns_of
from shared.config.export import ExportSettings
from shared.core.errors import ConfigurationError
from shared.core.export import ExportField

TEXT = """version: 1
connections:
  desk:
    type: servicenow
    url: https://contoso.service-now.com
    auth: {{type: api_key, key: {{secret: desk-key}}}}
    export:
      {option}
default: {{connection: desk, ticket: incident}}
"""


def mistakes(folder: Path, option: str) -> list[str]:
    path = folder / "bridge.yaml"
    path.write_text(TEXT.format(option=option))
    with pytest.raises(ConfigurationError) as error:
        load_config(path, {}, REGISTRY)
    return error.value.problems


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("kinds: [incidents]", "export.kinds[0]: must be 'incident', 'change_request' or 'problem'. Fix: did you mean"),
        ("kinds: []", "export.kinds: it names nothing. Fix: name one at least, or take it out"),
        ("kinds: [incident, incident]", "export.kinds: incident stands here twice. Fix: name each once"),
        ("fields: [titel]", "Fix: did you mean 'title'?"),
        ("tickets: mine", "export.tickets: must be 'all' or 'ours'"),
        ("days: 0", "export.days: must be at least 1"),
        ("more: ['u region']", "export.more[0]: has characters that are not allowed here"),
        ("redact: {peoples: hash}", "'peoples' in redact names no person. Fix: write people, assigned_to"),
        ("redact: {people: encrypt}", "must be 'hash' or 'drop'"),
        ("{fields: [title], redact: {closed_by: hash}}", "'closed_by' in redact is not among 'fields'. Fix: take it"),
        ("query: 'active=true^ORDERBYnumber'", "export.query: 'ORDERBYnumber' sorts or groups"),
        ("query: 'ORactive=true'", "export.query: '^ORactive=true' has no condition before it. Fix: put one before"),
        ("query: 'active=true^NQ^state=1'", "export.query: a condition between two ^ is missing. Fix: copy"),
        ("quary: x", "Fix: did you mean 'query'?"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_fix(tmp_path: Path, option: str, said: str) -> None:
    (problem,) = mistakes(tmp_path, option)
    assert problem.startswith("bridge.yaml:")
    assert said in problem


def test_an_export_without_a_log_store_and_one_of_many_days_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(TEXT.format(option="days: 365"))
    warnings = load_config(path, {}, replace(REGISTRY, destinations=())).warnings
    assert warnings[0].startswith("bridge.yaml:7: connections.desk.export: no log store is configured")
    assert warnings[1].startswith("bridge.yaml:8: connections.desk.export.days: 365 days are more than the usual 120")
    assert "bridge.py export preview" in warnings[1]


def test_redaction_of_people_holds_for_each_of_them_and_one_may_differ() -> None:
    settings = ExportSettings.model_validate({"redact": {"people": "hash", "closed_by": "drop"}})
    people = {one.value: "hash" for one in (ExportField.CREATED_BY, ExportField.RESOLVED_BY, ExportField.ASSIGNED_TO)}
    assert dict(settings.redactions) == people | {"closed_by": "drop"}
    assert ExportSettings().redactions == {}


@pytest.mark.parametrize(
    ("query", "groups"),
    [
        ("", [""]),
        ("active=true", ["active=true"]),
        ("a=1^ORb=2^NQc=3^EQ", ["a=1^ORb=2", "c=3"]),
        ("a=x^^NQy^b=2", ["a=x^^NQy^b=2"]),
        ("^a=1", ["a=1"]),
    ],
)
def test_a_query_is_taken_apart_where_it_begins_anew(query: str, groups: list[str]) -> None:
    assert alternatives(query) == groups


def test_the_columns_that_a_query_names_are_known() -> None:
    query = "a=1^ORb_2LIKEx^caller_id.name=y^RLQUERYincident.parent,>=1^c=1^ENDRLQUERY^NQ123TEXTQUERY321=z^order=5"
    assert columns_of(query) == ["a", "b_2", "caller_id", "order"]
