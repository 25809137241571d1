"""The allow-list: what may become a ticket, by what Azure put into the payload."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from app.registry import REGISTRY
from shared.config.access import AcceptOnly
from shared.core.signal import Resource, Signal
from shared.mapping.allow_list import not_allowed
from shared.mapping.routes import matches_any
from shared.operations.preview import preview
from tests.mapping.signals import CPU, VM, mapper, signal
from tests.payloads.support import common, parse

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
    (item,) = preview(body, built, datetime.now(UTC), REGISTRY.schemas)
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
