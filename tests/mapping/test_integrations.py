"""Integrations: the nearest scope, the routes they are, and what is wrong with a section."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.configuration import parse_config
from connectors.defender.routes import integration_of, with_facts
from connectors.defender.scopes import places, subscription_of
from shared.core.errors import ConfigurationError
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from shared.mapping.mapper import CompiledRoute, Mapper
from tests.mapping.recommendations import CONNECTOR, GROUP, IN_AWS, MACHINE, SUBSCRIPTION, TENANT, recommendation
from tests.mapping.signals import mapper, signal

FACTS = {
    "owner": "abel.tuter@contoso.example",
    "due_date": "2026-03-31 12:00:00",
    "governance_rule": "thirty days",
    "integration": "all",
}
PLACED = {"management_groups": "mg-shop, mg-prod, contoso", "tenant_id": TENANT}


def scope_of(group: str) -> str:
    return f"/providers/Microsoft.Management/managementGroups/{group}"


#: Every scope that covers the machine, nearest first.
CHAIN = [
    GROUP,
    f"/subscriptions/{SUBSCRIPTION}",
    scope_of("mg-shop"),
    scope_of("mg-prod"),
    scope_of("contoso"),
    f"/tenants/{TENANT}",
    "/",
]


def built(*integrations: dict[str, Any], more: str = "default: {connection: desk}\n") -> Mapper:
    sections = [{"connection": "desk", **integration} for integration in integrations]
    return mapper(f"{more}defender:\n  integrations: {json.dumps(sections)}\n")


def route_of(found: Mapper, noticed: Signal, **facts: str) -> CompiledRoute:
    route = found.route(with_facts(noticed, {**FACTS, **facts}))
    assert route is not None
    return route


def test_the_nearest_scope_wins_from_connector_to_everything() -> None:
    noticed = recommendation(details=PLACED)
    for nearest in range(len(CHAIN)):
        sections = [{"name": f"n{n}", "scope": scope} for n, scope in enumerate(CHAIN) if n >= nearest]
        route = integration_of(built(*reversed(sections)), noticed)
        assert route is not None
        assert route.name == f"integration:n{nearest}"


def test_what_lies_behind_a_connector_is_covered_by_it_and_by_what_holds_it() -> None:
    holder = CONNECTOR.partition("/providers/")[0]
    chain = [CONNECTOR, holder, f"/subscriptions/{SUBSCRIPTION}", "/"]
    for nearest in range(len(chain)):
        sections = [{"name": f"n{n}", "scope": scope} for n, scope in enumerate(chain) if n >= nearest]
        route = integration_of(built(*sections), recommendation(IN_AWS))
        assert route is not None
        assert route.name == f"integration:n{nearest}"
    assert integration_of(built({"name": "other", "scope": CONNECTOR + "-2"}), recommendation(IN_AWS)) is None


def test_what_ids_do_not_say_covers_nothing() -> None:
    found = built({"name": "mg", "scope": scope_of("mg-shop")}, {"name": "tenant", "scope": f"/tenants/{TENANT}"})
    assert integration_of(found, recommendation()) is None
    placed = integration_of(found, recommendation(details=PLACED))
    assert placed is not None
    assert placed.name == "integration:mg"


def test_a_native_resource_is_covered_through_the_subscription_it_reports_to() -> None:
    native = replace(recommendation().resources[0], id="arn:aws:ec2:eu-west-1:1:instance/i-1", resource_group=None)
    noticed = replace(recommendation(), origin="", resources=(native,))
    assert places(noticed) == (f"/subscriptions/{SUBSCRIPTION}", "/")
    assert subscription_of(noticed) == SUBSCRIPTION


@given(st.data())
def test_scope_selection_is_a_search_along_the_chain(data: st.DataObject) -> None:
    """Whatever the configuration holds, and however ids are spelt: the first of the chain that it names."""
    strangers = [GROUP + "-2", "/subscriptions/00000000-0000-0000-0000-000000000000", scope_of("mg-sho"), CONNECTOR]
    chosen = data.draw(st.lists(st.sampled_from(CHAIN + strangers), unique=True, min_size=1))
    spelt = [data.draw(st.sampled_from([scope, scope.upper(), scope.lower()])) for scope in chosen]
    spelt = [scope.replace("/PROVIDERS/MICROSOFT.MANAGEMENT/", "/providers/Microsoft.Management/") for scope in spelt]
    found = built(*({"name": f"n{n}", "scope": scope} for n, scope in enumerate(spelt)))
    spellings: list[Callable[[str], str]] = [str.lower, str.upper, str]
    respell = data.draw(st.sampled_from(spellings))
    noticed = recommendation(respell(MACHINE), details={name: respell(value) for name, value in PLACED.items()})
    expected = next((chosen.index(scope) for scope in CHAIN if scope in chosen), None)
    route = integration_of(found, noticed)
    assert (route.name if route is not None else None) == (None if expected is None else f"integration:n{expected}")


def test_an_assigned_recommendation_goes_by_its_integration_and_others_by_routes() -> None:
    found = built({"name": "all"})
    noticed = recommendation()
    assert route_of(found, noticed).name == "integration:all"
    plain = found.route(noticed)
    assert plain is not None
    assert plain.name == "default"
    alert = found.route(signal(details=FACTS))
    assert alert is not None
    assert alert.name == "default"


def test_an_assignment_stays_with_its_integration_when_a_nearer_one_appears() -> None:
    found = built({"name": "all"}, {"name": "near", "scope": GROUP})
    assert route_of(found, recommendation()).name == "integration:all"
    assert route_of(found, recommendation(), integration="gone").name == "integration:near"


def test_default_fields_tell_title_owner_due_date_steps_and_link() -> None:
    found = built({"name": "all", "caller": "beth.anglin"})
    noticed = with_facts(recommendation(), {**FACTS, "assignment_caller": "beth.anglin"})
    mapped = found.ticket(route_of(found, noticed, assignment_caller="beth.anglin"), noticed)
    assert mapped.warnings == ()
    fields = mapped.fields
    assert fields["short_description"] == "Disks should be encrypted on vm-web-01"
    assert (fields["assigned_to"], fields["due_date"]) == (FACTS["owner"], FACTS["due_date"])
    assert (fields["caller_id"], fields["impact"], fields["urgency"]) == ("beth.anglin", "2", "1")
    assert fields["description"].startswith(
        "To be fixed by 2026-03-31 12:00:00 UTC, owner abel.tuter@contoso.example. "
        "Assigned by governance rule thirty days.\n\n"
    )
    assert "Remediation steps:\n1. Encrypt it." in fields["description"]
    assert fields["description"].endswith("https://portal.azure.com/#blade/x")


def test_the_link_survives_the_longest_description() -> None:
    found = built({"name": "all"})
    noticed = with_facts(
        recommendation(description="x" * 9000), {**FACTS, "owner": "o" * 300, "governance_rule": "r" * 80}
    )
    fields = found.ticket(route_of(found, noticed), noticed).fields
    assert len(fields["description"]) <= 4000
    assert fields["description"].endswith("https://portal.azure.com/#blade/x")


def test_kinds_have_routes_and_callers_of_their_own() -> None:
    found = built({"name": "all", "ticket": "change_request"})
    facts = {**FACTS, "assignment_caller": "beth.anglin"}
    for kind, name, caller in (
        ("", "integration:all", "requested_by"),
        ("change_request", "integration:all", "requested_by"),
        ("incident", "integration:all/incident", "caller_id"),
        ("problem", "integration:all/problem", ""),
    ):
        noticed = with_facts(recommendation(), {**facts, "assignment_kind": kind})
        route = found.route(noticed)
        assert route is not None
        assert route.name == name
        assert found.named(name) is route
        fields = found.ticket(route, noticed).fields
        assert [field for field in ("requested_by", "caller_id") if field in fields] == [caller] * bool(caller)


def test_customised_fields_stand_over_the_defaults_of_their_kind_alone() -> None:
    customised = {
        "caller_id": "beth.anglin",
        "assigned_to": "david.loo",
        "short_description": "[{{ signal.details.owner }}] {{ signal.rule }}",
        "assignment_group": "Network",
        "due_date": None,
    }
    found = built({"name": "all", "fields": {"incident": customised}})
    noticed = with_facts(recommendation(), FACTS)
    fields = found.ticket(route_of(found, noticed), noticed).fields
    assert fields["short_description"] == "[abel.tuter@contoso.example] Disks should be encrypted"
    assert (fields["assigned_to"], fields["assignment_group"]) == ("david.loo", "Network")
    assert "due_date" not in fields
    problem = with_facts(noticed, {**FACTS, "assignment_kind": "problem"})
    assert found.ticket(route_of(found, problem, assignment_kind="problem"), problem).fields["due_date"]


def test_fields_that_a_person_gave_are_values_and_never_templates() -> None:
    found = built({"name": "all"})
    own = {"field.assignment_group": "{{ signal.title }}", "field.short_description": "Mine", "field.due_date": ""}
    noticed = with_facts(recommendation(), {**FACTS, **own, "field.short_description": "m" * 200})
    fields = found.ticket(route_of(found, noticed), noticed).fields
    assert fields["assignment_group"] == "{{ signal.title }}"
    assert fields["short_description"] == "m" * 159 + "…"
    assert fields["assigned_to"] == FACTS["owner"]


def test_tickets_may_be_shared_by_recommendation_or_owner() -> None:
    per = {name: built({"name": "all", "one_ticket_per": name}) for name in ("resource", "recommendation", "owner")}
    noticed = with_facts(recommendation(), FACTS)

    def key(name: str, seen: Signal) -> str:
        group = route_of(per[name], seen).group
        assert group is not None
        return group.base(seen)

    assert key("resource", noticed) == ""
    assert key("recommendation", noticed) == f"group:1:integration:all/{noticed.details['assessment_key']}"
    assert key("owner", noticed) == "group:1:integration:all/abel.tuter@contoso.example"
    assert key("owner", with_facts(noticed, {"integration": "all"})) == "", "without an owner it stands alone"
    for name in per:
        pinned = with_facts(noticed, {**FACTS, "assignment_ticket": "group:1:integration:old/x"})
        assert key(name, pinned) == "group:1:integration:old/x", "who is in a group stays there"
        alone = with_facts(noticed, {**FACTS, "assignment_ticket": noticed.key})
        assert key(name, alone) == "", "who has a ticket keeps it"
    titles = {name: per[name].ticket(route_of(per[name], noticed), noticed).fields for name in per}
    assert titles["recommendation"]["short_description"] == "Disks should be encrypted"
    assert titles["owner"]["short_description"].endswith("for abel.tuter@contoso.example")


def test_the_check_of_a_connection_asks_for_what_is_configured_and_not_for_other_kinds() -> None:
    fields = {"requested_by": "beth.anglin", "assigned_to": "david.loo", "short_description": "x", "risk": 2}
    needs = built({"name": "all", "fields": {"change_request": fields}}).needs("desk")
    assert needs.kinds == {TicketKind.INCIDENT, TicketKind.CHANGE_REQUEST}
    assert needs.fields[TicketKind.CHANGE_REQUEST]["risk"] == {"2"}
    assert "due_date" in needs.fields[TicketKind.INCIDENT]


def test_closing_notes_say_why_the_finding_is_gone() -> None:
    found = built({"name": "all", "resolve_fields": {"close_code": "Solved (Permanently)"}})
    over = replace(
        with_facts(recommendation(), FACTS),
        condition="The resource is exempted from the recommendation.",
        resolved_at=datetime(2026, 3, 4, tzinfo=UTC),
        details={**FACTS, "resolution": "exempted"},
    )
    closing = found.closing(route_of(found, over), over).fields
    assert closing["close_notes"] == (
        "The resource is exempted from the recommendation.\n\nDisks should be encrypted ended at "
        "2026-03-04T00:00:00.000Z (exempted), reported by Microsoft Defender for Cloud."
    )
    assert closing["close_code"] == "Solved (Permanently)"
    firing = with_facts(recommendation(), FACTS)
    late = found.closing(route_of(found, firing), firing, datetime(2026, 3, 4, tzinfo=UTC)).fields
    assert late["close_notes"].startswith("Disks should be encrypted ended at"), "no condition of the firing"


@pytest.mark.parametrize(
    ("integrations", "problem"),
    [
        (
            [{"name": "a", "connection": "dsk"}],
            "integrations[0].connection: there is no connection 'dsk'. Fix: did you",
        ),
        (
            [{"name": "a", "fields": {"incident": {"assigned_to": "x"}}}],
            "the customised fields of 'incident' do not say caller_id and short_description. Fix: add them to "
            "fields.incident",
        ),
        (
            [{"name": "a", "fields": {"change_request": {"assigned_to": "x", "short_description": "y"}}}],
            "of 'change_request' do not say requested_by. Fix: add it",
        ),
        (
            [{"name": "a", "fields": {"problem": {"assigned_to": "{{ x", "short_description": "y"}}}],
            "fields.problem.assigned_to: template:",
        ),
        (
            [
                {
                    "name": "a",
                    "fields": {"problem": {"assigned_to": {"lookup": "no", "key": "x"}, "short_description": "y"}},
                }
            ],
            "fields.problem.assigned_to.lookup: there is no lookup 'no'",
        ),
        (
            [{"name": "a", "fields": {"problem": {"assigned_to": "x", "short_description": "y", "priority": 1}}}],
            "ServiceNow computes priority",
        ),
        ([{"name": "a", "fields": {"event": {}}}], "must be"),
        ([{"name": "a", "ticket": "event"}], "ticket: must be 'incident', 'change_request' or 'problem'"),
        ([{"name": "a", "resolve_fields": {"close_notes": "{% if"}}], "resolve_fields.close_notes: template:"),
        ([{"name": "a", "scope": "/resourceGroups/x"}], "not a scope. Fix: write / (everything)"),
        ([{"name": "a"}, {"name": "a", "scope": GROUP}], "two are called 'a'"),
        ([{"name": "a", "scope": GROUP}, {"name": "b", "scope": GROUP.lower()}], "two integrations have the scope"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_fix(integrations: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        built(*integrations)
    assert any(problem in said for said in raised.value.problems), raised.value.problems


def test_integrations_alone_make_a_configuration_and_their_names_are_reserved() -> None:
    assert built({"name": "all"}, more="").route(recommendation()) is None
    head = "version: 1\nconnections:\n  desk: {type: servicenow, url: 'https://contoso.service-now.com', auth: {}}\n"
    with pytest.raises(ConfigurationError, match="a route may not be called 'integration:x'"):
        parse_config(head + "routes: [{name: 'integration:x', when: {kind: log}, connection: desk}]\n", settings={})


def test_a_disabled_integration_is_skipped_and_keeps_the_tickets_that_it_made() -> None:
    near = {"name": "near", "scope": GROUP, "disabled": True}
    found = built(near, {"name": "all"})
    taken = integration_of(found, recommendation())
    assert taken is not None
    assert taken.name == "integration:all"
    assert route_of(found, recommendation(), integration="near").name == "integration:near"
    assert integration_of(built(near), recommendation()) is None
