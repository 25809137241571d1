"""The allow-list: what may become a ticket, by what Azure put into the payload."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from app.registry import REGISTRY
from shared.config.access import AcceptOnly
from shared.core.conditions import When
from shared.core.signal import Resource, Signal, from_dict, to_dict
from shared.mapping.allow_list import not_allowed
from shared.mapping.routes import compile_when, matches_any
from shared.operations.preview import preview
from shared.payloads.parse import parse as parse_body
from tests.mapping.signals import CPU, VM, mapper, signal
from tests.payloads.support import GUID, common, log, parse

OURS = "11111111-2222-3333-4444-555555555555"
THEIRS = "99999999-2222-3333-4444-555555555555"


def rules(**conditions: Any) -> AcceptOnly:
    return AcceptOnly.model_validate(conditions)


def resource(subscription: str = OURS, group: str | None = "rg-shop-prod") -> Resource:
    return Resource(id=f"/subscriptions/{subscription}/x", name="x", resource_group=group, subscription_id=subscription)


ALLOWED: dict[str, tuple[Signal, dict[str, Any]]] = {
    "no conditions": (CPU, {}),
    "its subscription": (CPU, {"subscriptions": OURS}),
    "its subscription in capitals": (CPU, {"subscriptions": OURS.upper()}),
    "one of several subscriptions": (CPU, {"subscriptions": [THEIRS, OURS]}),
    "its resource group by pattern": (CPU, {"resource_groups": "rg-*-prod"}),
    "its rule by name": (CPU, {"rules": "cpu-*"}),
    "its rule by id": (
        signal(rule_id=f"/subscriptions/{OURS}/x/metricalerts/cpu"),
        {"rules": f"/subscriptions/{OURS}/*"},
    ),
    "everything together": (CPU, {"subscriptions": OURS, "resource_groups": "rg-*", "rules": "cpu-high"}),
    "a tenant that is named": (
        signal(links={"search": "https://portal.azure.com/#@contoso.example/blade/x"}),
        {"tenants": "contoso.example"},
    ),
    "a tenant where none is named": (CPU, {"tenants": "contoso.example"}),
    "names without ids beside a resource": (
        signal(resources=(VM, Resource(id=None, name="host-1"))),
        {"subscriptions": OURS, "resource_groups": "rg-shop-prod"},
    ),
}

#: name: (signal, conditions, words of the reason)
REFUSED: dict[str, tuple[Signal, dict[str, Any], str]] = {
    "another subscription": (CPU, {"subscriptions": THEIRS}, f"subscriptions does not allow '{OURS}'"),
    "one resource of several elsewhere": (
        signal(resources=(VM, resource(THEIRS))),
        {"subscriptions": OURS},
        f"does not allow '{THEIRS}'",
    ),
    "a rule of another subscription": (
        signal(rule_id=f"/subscriptions/{THEIRS}/resourceGroups/x/providers/y"),
        {"subscriptions": OURS},
        f"does not allow '{THEIRS}'",
    ),
    "an alert of another subscription": (
        signal(details={"alert_id": f"/subscriptions/{THEIRS}/providers/Microsoft.AlertsManagement/alerts/a"}),
        {"subscriptions": OURS},
        f"does not allow '{THEIRS}'",
    ),
    "no subscription at all": (signal(resources=()), {"subscriptions": OURS}, "the alert names none"),
    "another resource group": (CPU, {"resource_groups": "rg-network"}, "resource_groups does not allow 'rg-shop-prod'"),
    "a group that only begins alike": (CPU, {"resource_groups": "rg-shop"}, "does not allow"),
    "one group of several": (
        signal(resources=(VM, resource(group="rg-other"))),
        {"resource_groups": "rg-shop-prod"},
        "does not allow 'rg-other'",
    ),
    "a whole subscription beside a group": (
        signal(resources=(VM, resource(group=None))),
        {"resource_groups": "rg-shop-prod"},
        "does not allow 'one without'",
    ),
    "no resource group": (signal(resources=()), {"resource_groups": "*"}, "the alert names none"),
    "another rule": (CPU, {"rules": ["disk-*", "cpu"]}, "rules does not allow 'cpu-high'"),
    "no rule": (signal(rule=None), {"rules": "*"}, "the alert names none"),
    "another tenant": (
        signal(links={"search": "https://portal.azure.com#@fabrikam.example/blade/x"}),
        {"tenants": "contoso.example"},
        "tenants does not allow 'fabrikam.example'",
    ),
    "the last of all conditions": (CPU, {"subscriptions": OURS, "rules": "disk"}, "rules"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_matches_may_become_a_ticket(name: str) -> None:
    found, conditions = ALLOWED[name]
    assert not_allowed(found, rules(**conditions)) is None


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_match_is_named_with_its_condition(name: str) -> None:
    found, conditions, words = REFUSED[name]
    reason = not_allowed(found, rules(**conditions))
    assert reason is not None
    assert words in reason, reason


def ids(count: int, subscription: str = OURS, group: str = "rg-shop-prod") -> list[str]:
    scope = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines"
    return [f"{scope}/vm-{number}" for number in range(count)]


def one(body: Any) -> Signal:
    body["data"]["essentials"]["alertId"] = f"/subscriptions/{OURS}/providers/Microsoft.AlertsManagement/alerts/{GUID}"
    (found,) = parse(body, datetime.now(UTC))
    assert isinstance(found, Signal)
    return from_dict(json.loads(json.dumps(to_dict(found))))  # as the queue carries it


BOTH = {"subscriptions": OURS, "resource_groups": "rg-shop-*"}


@pytest.mark.parametrize("first", [1, 49, 50, 51, 499, 500, 501, 1200])
@pytest.mark.parametrize("field", ["alertTargetIDs", "configurationItems"])
def test_resources_that_a_signal_has_no_room_for_are_checked_too(first: int, field: str) -> None:
    allowed = one(common(**{"alertTargetIDs": [], field: [*ids(first), *ids(1, group="rg-shop-test")]}))
    assert not_allowed(allowed, rules(**BOTH)) is None
    for stranger, words in ((ids(1, THEIRS), THEIRS), (ids(1, group="rg-network"), "rg-network")):
        found = one(common(**{"alertTargetIDs": [], field: [*ids(first), *stranger]}))
        assert words in (not_allowed(found, rules(**BOTH)) or "")


def test_what_was_cut_because_the_alert_is_too_large_is_checked_too() -> None:
    custom = {f"n{number}": "\u65e5" * 2000 for number in range(100)}
    found = one(common(custom=custom, alertTargetIDs=[*ids(9), *ids(1, THEIRS)]))
    assert len(found.resources) < 10
    assert THEIRS in (not_allowed(found, rules(**BOTH)) or "")


@pytest.mark.parametrize(
    "targets",
    [
        ids(5_001),
        [*ids(1), ids(1)[0] + "x" * 1100],
        [item for number in range(90) for item in ids(1, group=f"rg-shop-{number}")],
    ],
)
def test_resources_that_cannot_be_known_are_not_allowed(targets: list[str]) -> None:
    found = one(common(alertTargetIDs=targets))
    assert "more resources than can be checked" in (not_allowed(found, rules(**BOTH)) or "")
    assert not_allowed(found, rules(rules="cpu-high")) is None


def test_a_row_of_a_query_that_names_a_strangers_resource_is_checked_wherever_it_stands() -> None:
    rows = [[one_id] for one_id in [*ids(200), *ids(1, THEIRS)]]
    context = {"SearchQuery": "q", "SearchResults": {"tables": [{"columns": [{"name": "_ResourceId"}], "rows": rows}]}}
    found = one(common(context, alertTargetIDs=[], monitoringService="Log Analytics"))
    assert THEIRS in (not_allowed(found, rules(**BOTH)) or "")
    events = [[{"name": "_ResourceId", "value": one_id}] for one_id in [*ids(200), *ids(1, THEIRS)]]
    found = one(common(log(searchQuery="q", event=events), alertTargetIDs=[], monitoringService="Simple Log Alert"))
    assert THEIRS in (not_allowed(found, rules(**BOTH)) or "")


@pytest.mark.parametrize("letter", ["s\u017f", "k\u212a", "i\u0130", "i\u0131"])
def test_a_letter_of_another_alphabet_is_another_letter_in_every_pattern(letter: str) -> None:
    plain, other = letter[0], letter[1]
    ours, theirs = f"rg-{plain}hop-prod", f"rg-{other}hop-prod"
    for group in (ours, ours.upper()):
        assert not_allowed(signal(resources=(resource(group=group),)), rules(resource_groups=ours)) is None
    for pattern in (ours, f"rg-{plain}*", f"*{plain}hop-prod", f"*{plain}*"):
        assert not_allowed(signal(resources=(resource(group=theirs),)), rules(resource_groups=pattern)) is not None
    assert not_allowed(signal(rule=theirs), rules(rules=ours)) is not None
    when = compile_when(When.model_validate({"resource_group": ours, "tags": {ours: ours}}))
    assert when(signal(resources=(resource(group=ours),), tags={ours.upper(): ours}))
    assert not when(signal(resources=(resource(group=ours),), tags={theirs: ours}))
    assert not when(signal(resources=(resource(group=ours),), tags={ours: theirs}))


def test_names_of_other_alphabets_are_compared_without_case_too() -> None:
    for pattern, value in (("rg-m\u00fcnchen", "RG-M\u00dcNCHEN"), ("\u03a9*", "\u03c9-1"), ("\u0416", "\u0436")):
        assert not_allowed(signal(rule=value), rules(rules=pattern)) is None


def test_without_the_section_everything_may() -> None:
    assert not_allowed(CPU, None) is None


def test_a_resolved_is_held_to_the_same_conditions_as_its_firing() -> None:
    resolved = signal(state="resolved")
    assert not_allowed(resolved, rules(subscriptions=THEIRS)) == not_allowed(CPU, rules(subscriptions=THEIRS))


def test_what_a_rules_author_writes_freely_opens_no_door() -> None:
    claims = {"subscriptionId": OURS, "subscription": OURS}
    (found,) = parse(
        common(custom=claims, alertTargetIDs=[f"/subscriptions/{THEIRS}/resourceGroups/rg-shop-prod/providers/a/b/c"]),
        datetime.now(UTC),
    )
    assert isinstance(found, Signal)
    assert not_allowed(found, rules(subscriptions=OURS)) is not None


def test_the_preview_shows_a_refused_alert_as_quarantined() -> None:
    body = common(alertTargetIDs=[f"/subscriptions/{THEIRS}/resourceGroups/rg-shop-prod/providers/a/b/c"])
    built = mapper(f"default: {{connection: desk}}\naccept_only: {{subscriptions: ['{OURS}']}}\n")
    (item,) = preview(parse_body(body, datetime.now(UTC), REGISTRY.schemas), built)
    assert (item["outcome"], item["ticket"], item["route"]) == ("quarantined", None, None)
    assert "accept_only.subscriptions does not allow" in item["reason"]
    assert item["signal"]["key"]


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("*", "", True),
        ("**", "ab", True),
        ("a*b", "ab", True),
        ("a*b", "a-b-b", True),
        ("a*b", "a-b-c", False),
        ("*a*b*", "xxaxxbxx", True),
        ("*b*a*", "xxaxxbxx", False),
        ("*ab", "aab", True),
        ("?*?", "a", False),
        ("?*?", "ab", True),
        ("a.c", "abc", False),
        ("[a]*", "[a]b", True),
        ("a*a", "a", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_patterns_mean_what_they_say(pattern: str, value: str, matches: bool) -> None:
    assert matches_any(pattern)(value) is matches


def test_no_pattern_and_no_value_cost_more_than_their_length() -> None:
    started = time.thread_time()
    assert not matches_any("*a" * 30 + "*b")("a" * 5000)
    assert time.thread_time() - started < 1.0
