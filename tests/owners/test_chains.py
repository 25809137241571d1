"""Look-ups with patterns, and chains of keys: a tag, else the resource group, else a default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from app.configuration import parse_config
from shared.core.errors import ConfigurationError
from shared.core.signal import Resource
from shared.mapping.field_sources import MappedFields
from tests.mapping.signals import HEAD, VM, mapper, signal

TABLE = {"rg-shop-*": "Shop", "rg-shop-prod": "Shop Production", "*": "Cloud", "payments": "Payments"}
CHAIN = {"lookup": "owners", "key": ["{{ resource.tags.team }}", "{{ resource.resource_group }}"]}


def mapped(value: Any, table: dict[str, str] | None = None, **tags: str) -> MappedFields:
    text = yaml.safe_dump(
        {
            "lookups": {"owners": TABLE if table is None else table},
            "default": {"connection": "desk", "fields": {"assignment_group": value}},
        },
        sort_keys=False,
    )
    made = mapper(text)
    given = signal(resources=(replace(VM, own_tags=tags),))
    route = made.route(given)
    assert route is not None
    return made.ticket(route, given)


def group_of(name: str) -> Resource:
    return replace(VM, resource_group=name)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("rg-shop-prod", "Shop Production"),
        ("RG-SHOP-Prod", "Shop Production"),
        ("rg-shop-test", "Shop"),
        ("rg-other", "Cloud"),
        ("rg-ſhop-test", "Cloud"),
    ],
)
def test_a_whole_key_goes_before_patterns_and_the_first_pattern_wins(key: str, expected: str) -> None:
    assert mapped({"lookup": "owners", "key": key}).fields["assignment_group"] == expected


def test_the_first_step_that_is_in_the_table_gives_the_value_and_says_so() -> None:
    found = mapped(CHAIN, team="payments")
    assert found.fields["assignment_group"] == "Payments"
    assert found.lookups == {
        "assignment_group": "step 1, {{ resource.tags.team }}, is 'payments': entry 'payments' of lookup 'owners'"
    }
    found = mapped(CHAIN)
    assert found.fields["assignment_group"] == "Shop Production"
    assert found.lookups["assignment_group"].startswith("step 2, {{ resource.resource_group }}, is 'rg-shop-prod'")
    assert found.warnings == (), "a tag that a later step makes up for is not missed"


def test_a_tag_may_be_the_value_itself() -> None:
    chain = {"lookup": "owners", "key": [{"value": "{{ resource.tags.team }}"}, "{{ resource.resource_group }}"]}
    found = mapped(chain, team="Any Group")
    assert found.fields["assignment_group"] == "Any Group"
    assert found.lookups["assignment_group"] == "step 1, {{ resource.tags.team }}, is the value 'Any Group'"
    assert mapped(chain).fields["assignment_group"] == "Shop Production"


def test_without_any_step_there_is_the_default_or_a_warning() -> None:
    table = {"other": "Other"}
    found = mapped({**CHAIN, "default": "Service Desk"}, table, team="shop")
    assert found.fields["assignment_group"] == "Service Desk"
    assert found.lookups["assignment_group"] == "lookup 'owners' has no entry 'shop' or 'rg-shop-prod': the default"
    assert found.warnings == ()
    found = mapped(CHAIN, table)
    assert "assignment_group" not in found.fields
    assert found.warnings == (
        "assignment_group: lookup 'owners' has no entry 'rg-shop-prod'",
        "assignment_group: the signal has no 'team'",
    )


def test_an_empty_key_matches_no_pattern() -> None:
    assert (
        "assignment_group" not in mapped({"lookup": "owners", "key": "{{ resource.tags.team }}"}, {"*": "All"}).fields
    )


@pytest.mark.parametrize(
    ("key", "place", "said"),
    [
        ("['{{ resource.tag.team }}']", "key[0]", "'resource' has no 'tag'. Fix: did you mean 'resource.tags'?"),
        ("[a, {value: '{{ x }}'}]", "key[1].value", "nothing is called 'x'"),
        ("[]", "key", "must have at least one entry"),
        ("[a, {lookup: b}]", "key[1]", "'value' is missing"),
        ("7", "key", "must be text"),
    ],
)
def test_a_mistake_in_a_chain_is_named_with_its_step(key: str, place: str, said: str) -> None:
    text = f"lookups: {{t: {{a: b}}}}\ndefault: {{connection: desk, fields: {{x: {{lookup: t, key: {key}}}}}}}\n"
    with pytest.raises(ConfigurationError) as refused:
        parse_config(HEAD + text, settings={})
    assert any(f"default.fields.x.{place}" in one and said in one for one in refused.value.problems), refused.value
