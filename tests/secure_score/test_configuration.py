"""The section of bridge.yaml, and the route that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.configuration import parse_config
from app.registry import REGISTRY
from connectors.secure_score.settings import SecureScoreSettings
from shared.core.errors import ConfigurationError
from shared.core.ticket_system import TicketKind
from shared.mapping.mapper import Mapper
from shared.operations.preview import preview
from shared.payloads.parse import parse
from tests.mapping.signals import mapper
from tests.payloads.findings import control
from tests.payloads.support import RECEIVED

TENANT = "11111111-2222-4333-8444-555555555555"
SIGN_IN = f"{{tenant: {TENANT}, client_id: {TENANT}, client_secret: {{secret: graph}}}}"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{connection: dsk}", "there is no connection 'dsk'. Fix: did you mean 'desk'?"),
        ("{connection: desk, ticket: problem}", "secure_score.ticket: must be"),
        ("{connection: desk, fields: {description: '{{ signal.'}}", "secure_score.fields.description: template"),
        (
            "{connection: desk, rules: [{name: a, fields: {u_x: {lookup: teams, key: a}}}]}",
            "there is no lookup 'teams'",
        ),
        ("{connection: desk, ticket: incident, fields: {priority: 1}}", "ServiceNow computes priority"),
        ("{connection: desk, rules: [{name: a}, {name: a}]}", "two rules are called 'a'"),
        ("{connection: desk, rules: [{name: a, when: {below: 0}}]}", "secure_score.rules[0].when.below"),
        ("{connection: desk, rules: [{name: a, when: {dropt: true}}]}", "did you mean 'dropped'?"),
        ("{connection: desk, rules: [{name: a, priority: 5}]}", "secure_score.rules[0].priority"),
        ("{connection: desk, states: [{control: Reviewed}]}", "say which tickets"),
        ("{connection: desk, states: [{phase: open, state: New, control: Default}]}", "either 'phase' or 'state'"),
        ("{connection: desk, states: [{phase: done, control: Default}]}", "secure_score.states[0].phase"),
        ("{connection: desk, states: [{phase: open, control: Done}]}", "secure_score.states[0].control"),
        ("{connection: desk, states: [{phase: open, control: Default, comment: '{% if %}'}]}", "states[0].comment"),
        ("{connection: desk, every: 5m}", "secure_score.every"),
        (f"{{connection: desk, tenants: [{{}}, {{sign_in: {SIGN_IN}}}]}}", "name the 'tenant' of each entry"),
        (f"{{connection: desk, tenants: [{{tenant: {TENANT}}}, {{sign_in: {SIGN_IN}}}]}}", "is given twice"),
        (
            f"{{connection: desk, tenants: [{{tenant: {TENANT[:-1]}6, sign_in: {SIGN_IN}}}]}}",
            "'tenant' and 'sign_in.tenant' are not the same",
        ),
        (
            f"{{connection: desk, tenants: [{{sign_in: {{tenant: {TENANT}, client_id: {TENANT}}}}}]}}",
            "give exactly one of 'client_secret', 'certificate' and 'managed_identity'",
        ),
    ],
)
def test_mistakes_are_named(section: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mapper(f"secure_score: {section}\n")
    (problem, *_) = [one for one in caught.value.problems if said in one] or [str(caught.value)]
    assert said in problem
    assert "Fix:" in problem


def test_no_other_route_may_bear_its_name() -> None:
    for name in ("secure_score", "secure_score/incident"):
        with pytest.raises(ConfigurationError, match="may not be called"):
            mapper(f"routes: [{{name: {name}, when: {{kind: control}}, connection: desk}}]\n")


def test_the_section_alone_is_a_configuration() -> None:
    assert mapper("secure_score: {connection: desk}\n").connections == {"desk"}


def of(routes: Mapper, **changes: Any) -> dict[str, Any]:
    (item,) = preview(parse(control(6.5, **changes), RECEIVED, REGISTRY.schemas), routes)
    return item


def test_a_control_that_is_sent_takes_the_route_too() -> None:
    item = of(mapper("default: {connection: desk}\nsecure_score: {connection: desk, requested_by: \"Lee 'x' Gu\"}\n"))
    fields = item["ticket"]["fields"]
    assert (item["route"], item["ticket"]["kind"]) == ("secure_score", "change_request")
    assert fields["short_description"].startswith("Microsoft 365 Security and Configuration Change Request: ")
    assert (fields["requested_by"], fields["priority"], fields["impact"], fields["urgency"]) == (
        "Lee 'x' Gu",
        "2",
        "2",
        "1",
    )
    assert "due_date" not in fields
    assert item["warnings"] == []


def test_without_the_section_it_takes_the_routes() -> None:
    assert of(mapper("default: {connection: desk}\n"))["route"] == "default"


def test_fields_are_added_changed_and_taken_away() -> None:
    fields = "{short_description: 'Score {{ signal.details.score }}', category: Software, priority: null}"
    item = of(mapper(f"secure_score: {{connection: desk, fields: {fields}}}\n"))
    shown = item["ticket"]["fields"]
    assert (shown["short_description"], shown["category"]) == ("Score 6.5", "Software")
    assert "priority" not in shown


def test_the_check_of_a_connection_looks_at_what_rules_write_but_not_at_kinds_that_nobody_asked_for() -> None:
    rules = "[{name: a, fields: {assignment_group: Shop}}, {name: b}]"
    needs = mapper(f"secure_score: {{connection: desk, rules: {rules}}}\n").needs("desk")
    assert needs.kinds == {TicketKind.CHANGE_REQUEST}
    assert needs.fields[TicketKind.CHANGE_REQUEST]["assignment_group"] == {"Shop"}


def test_the_example_of_the_documentation_is_valid() -> None:
    text = (Path(__file__).parents[2] / "docs" / "secure-score.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    connection = (
        "version: 1\nconnections:\n  servicenow: {type: servicenow, url: 'https://contoso.service-now.com', "
        "auth: {type: api_key, key: {secret: key}}}\n"
    )
    config = parse_config(connection + example, settings={})
    section = config.section("secure_score", SecureScoreSettings)
    assert section is not None
    assert len(section.rules) >= 3
