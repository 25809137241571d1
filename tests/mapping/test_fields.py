"""What a signal becomes, field by field."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.core.signal import Resource, Signal, SignalState
from shared.core.ticket_system import TicketKind
from shared.mapping.field_sources import MappedFields
from shared.mapping.mapper import Mapper
from tests.mapping.signals import VM, mapper, signal, unchecked_mapper


def ticket(body: str, given: Signal | None = None) -> MappedFields:
    return _ticket(mapper(body), given or signal())


def _ticket(found: Mapper, given: Signal) -> MappedFields:
    route = found.route(given)
    assert route is not None
    return found.ticket(route, given)


def field(text: str, given: Signal | None = None) -> tuple[str | None, tuple[str, ...]]:
    """One field called x, and the warnings."""
    made = unchecked_mapper(f"default: {{connection: desk, fields: {{x: {text}}}}}")
    mapped = _ticket(made, given or signal())
    return mapped.fields.get("x"), mapped.warnings


def test_an_incident_has_what_a_service_desk_needs_when_nothing_is_configured() -> None:
    mapped = ticket("default: {connection: desk}")
    assert mapped.warnings == ()
    assert {name: mapped.fields[name] for name in ("short_description", "impact", "urgency")} == {
        "short_description": "cpu-high on vm-shop-01",
        "impact": "2",
        "urgency": "1",
    }
    text = mapped.fields["description"]
    for part in ("Percentage CPU 97.5 is greater than 90", "Sev1", "2026-03-01T12:00", VM.id or "", "Team: payments"):
        assert part in text
    assert text.endswith("Alert in Azure: https://portal.azure.com/#blade/Alert")
    assert "priority" not in mapped.fields


@pytest.mark.parametrize(("severity", "levels"), [(0, "11"), (1, "21"), (2, "22"), (3, "32"), (4, "33"), (None, "32")])
def test_severity_becomes_impact_and_urgency(severity: int | None, levels: str) -> None:
    fields = ticket("default: {connection: desk}", signal(severity=severity)).fields
    assert fields["impact"] + fields["urgency"] == levels


def test_a_route_changes_single_lines_of_the_severity_table() -> None:
    body = "default: {connection: desk, severity: {sev1: {impact: 3, urgency: 3}}}"
    assert ticket(body).fields["impact"] == "3"
    assert ticket(body, signal(severity=0)).fields["impact"] == "1"


def test_an_event_is_what_event_management_wants() -> None:
    fields = ticket("default: {connection: desk, ticket: event}").fields
    assert fields["severity"] == "2"
    assert fields["node"] == "vm-shop-01"
    assert fields["resource"] == "vm-shop-01"
    assert fields["resource_id"] == VM.id
    assert fields["type"] == "cpu-high"
    assert fields["metric_name"] == "Percentage CPU"
    assert fields["time_of_event"] == "2026-03-01 12:00:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", "constant"),
        ("3", "3"),
        ("true", "true"),
        ("'{{ signal.severity }}'", "1"),
        ("'{{ resource.name | upper }}'", "VM-SHOP-01"),
        ("'{{ signal.custom_properties.team }}'", "payments"),
        ("'{{ signal.custom_properties[\"TEAM\"] }}'", "payments"),
        ("'{{ signal.fired_at }}'", "2026-03-01T12:00:00.000Z"),
        ("'{{ signal.fired_at | utc }}'", "2026-03-01 12:00:00"),
        ("'{{ signal.title | shorten(9) }}'", "cpu-high…"),
        ("'{% for n, v in signal.dimensions.items() %}{{ n }}={{ v }}{% endfor %}'", "Instance=0"),
        ("'{{ signal.rule or \"none\" }}/{{ route }}/{{ levels.impact }}'", "cpu-high/default/2"),
        ("'{{ signal.tags.missing | default(\"x\") }}'", "x"),
    ],
)
def test_values(text: str, expected: str) -> None:
    assert field(text) == (expected, ())


def test_a_name_the_signal_lacks_leaves_the_field_out_and_is_reported() -> None:
    value, warnings = field("'{{ signal.custom_properties.owner }}'")
    assert value is None
    assert warnings == ("x: the signal has no 'owner'",)
    assert field("'{{ signal.custom_properties.owner.mail }}'")[0] is None


@pytest.mark.parametrize(
    "name",
    [
        "signal.title",
        "signal.severity",
        "signal.fired_at",
        "signal.resolved_at",
        "signal.tags.ENV",
        "signal.tags.nothing",
        "signal.tags.nothing.at.all",
        "signal.tags.items",
        "signal.resources",
        "signal.nowhere",
        "signal.title.upper",
        "signal.order",
        "resource.name",
        "levels.impact",
        "route",
        "nowhere",
    ],
)
def test_a_bare_name_prints_what_jinja_prints(name: str) -> None:
    """The short cut for ``{{ a.name }}`` gives what the whole engine gives for the same with an empty comment."""
    assert field(f"'{{{{ {name} }}}}'") == field(f"'{{{{ {name} }}}}{{# #}}'")


def test_an_entry_called_like_a_method_is_still_the_entry() -> None:
    assert field("'{{ signal.tags.items }}'", signal(tags={"items": "7"}))[0] == "7"
    assert field("'{{ signal.tags.copy }}'", signal(tags={}))[1] == ("x: the signal has no 'copy'",)


def test_a_template_that_fails_falls_back_to_the_default_and_the_ticket_is_made() -> None:
    mapped = ticket("default: {connection: desk, fields: {short_description: '{{ signal.severity / 0 }}'}}")
    assert mapped.fields["short_description"] == "cpu-high on vm-shop-01"
    assert "the template failed: division by zero" in mapped.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "{{ signal.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ signal.title.__init__.__globals__ }}",
        "{{ signal.tags.__class__ }}",
        "{{ range(100000000) | list }}",
    ],
)
def test_the_sandbox_gives_away_nothing(text: str) -> None:
    value, warnings = field(f'"{text}"')
    assert not value or "class" not in value
    assert warnings


def test_what_a_payload_holds_is_never_a_template() -> None:
    given = signal(title="{{ 7 * 7 }} {% raw %}", custom_properties={"team": "{{ signal.key }}"})
    assert ticket("default: {connection: desk}", given).fields["short_description"] == "{{ 7 * 7 }} {% raw %}"
    assert field("'{{ signal.custom_properties.team }}'", given)[0] == "{{ signal.key }}"


LOOKUP = (
    "lookups: {groups: {Payments: Payment Operations}}\ndefault: {connection: desk, fields: {assignment_group: %s}}"
)


def test_lookups() -> None:
    found = ticket(LOOKUP % "{lookup: groups, key: '{{ signal.custom_properties.team }}'}")
    assert found.fields["assignment_group"] == "Payment Operations"
    other = signal(custom_properties={"team": "nobody"})
    found = ticket(LOOKUP % "{lookup: groups, key: '{{ signal.custom_properties.team }}', default: Desk}", other)
    assert found.fields["assignment_group"] == "Desk"
    found = ticket(LOOKUP % "{lookup: groups, key: '{{ signal.custom_properties.team }}'}", other)
    assert "assignment_group" not in found.fields
    assert found.warnings == ("assignment_group: lookup 'groups' has no entry 'nobody'",)


def test_null_takes_a_default_away() -> None:
    assert "urgency" not in ticket("default: {connection: desk, fields: {urgency: null}}").fields


def test_titles_are_one_line_and_cut_with_a_word_about_it() -> None:
    mapped = ticket("default: {connection: desk}", signal(title="a\nb " + "x" * 300))
    assert mapped.fields["short_description"].startswith("a b xxx")
    assert len(mapped.fields["short_description"]) == 160
    assert mapped.fields["short_description"].endswith("…")
    assert mapped.warnings == ("short_description: cut from 304 to 160 characters",)


def test_a_long_text_is_cut_before_its_links() -> None:
    link = "https://portal.azure.com/#" + "q" * 1500
    mapped = ticket("default: {connection: desk}", signal(description="w" * 9000, links={"search": link}))
    assert len(mapped.fields["description"]) <= 4000
    assert mapped.fields["description"].endswith(link)
    too_long = "https://portal.azure.com/#" + "q" * 3000
    mapped = ticket("default: {connection: desk}", signal(links={"search": too_long}))
    assert "Search results: too long for this field" in mapped.fields["description"]


def test_closing_fields_say_when_the_problem_ended() -> None:
    found = mapper("default: {connection: desk, resolve: {fields: {close_code: Resolved by caller}}}")
    ended = datetime(2026, 3, 1, 12, 9, tzinfo=UTC)
    given = signal(state=SignalState.RESOLVED, resolved_at=ended, occurred_at=ended)
    route = found.route(given)
    assert route is not None
    closing = found.closing(route, given).fields
    assert closing["close_code"] == "Resolved by caller"
    assert closing["close_notes"] == "cpu-high ended at 2026-03-01T12:09:00.000Z, reported by Azure."
    assert found.closing(route, signal(), ended).fields == closing


ABOUT = (
    "source",
    "event_class",
    "node",
    "resource",
    "type",
    "metric_name",
    "resource_id",
    "alertId",
    "originAlertId",
    "alertRule",
    "monitoringService",
    "signalType",
    "alertTargetIDs",
    "resourceType",
    "resourceGroup",
    "subscriptionId",
    "firedDateTime",
)


@pytest.mark.parametrize("own", ["", ", fields: {node: '{{ resource.id }}', type: disk, metric_name: null}"])
def test_the_closing_event_is_about_what_the_opening_one_was_about_and_bears_the_time_of_the_end(own: str) -> None:
    found = mapper(f"default: {{connection: desk, ticket: event{own}}}")
    opening = signal()
    ended = datetime(2026, 3, 1, 12, 9, tzinfo=UTC)
    route = found.route(opening)
    assert route is not None
    first = found.ticket(route, opening).fields
    assert first["source"]
    assert first["resource_id"]
    last = found.closing(route, signal(state=SignalState.RESOLVED, resolved_at=ended, occurred_at=ended)).fields
    for closing in (last, found.closing(route, opening, ended).fields):
        assert {name: closing.get(name) for name in ABOUT} == {name: first.get(name) for name in ABOUT}
        assert closing["time_of_event"] == "2026-03-01 12:09:00"
        assert closing["monitorCondition"] == "Resolved"
        assert "severity" not in closing
    between = found.repeated(route, opening).fields
    assert between == {name: first[name] for name in ABOUT if name in first}


def test_an_incident_repeats_nothing_when_it_ends() -> None:
    found = mapper("default: {connection: desk}")
    route = found.route(signal())
    assert route is not None
    assert found.repeated(route, signal()).fields == {}
    assert list(found.closing(route, signal()).fields) == ["close_notes"]


@pytest.mark.parametrize(("severity", "priority"), [(0, "1"), (1, "2"), (2, "3"), (3, "4"), (4, "4"), (None, "4")])
def test_a_change_has_a_priority_because_servicenow_computes_none_for_it(severity: int | None, priority: str) -> None:
    fields = ticket("default: {connection: desk, ticket: change_request}", signal(severity=severity)).fields
    assert fields["priority"] == priority


def test_a_route_gives_a_change_another_priority() -> None:
    body = "default: {connection: desk, ticket: change_request, fields: {priority: '1'}}"
    assert ticket(body, signal(severity=3)).fields["priority"] == "1"


def test_needs_name_what_the_connection_check_must_look_for() -> None:
    body = LOOKUP % "{lookup: groups, key: '{{ signal.rule }}'}, category: network"
    needs = mapper(body).needs("desk")
    assert needs.kinds == {TicketKind.INCIDENT}
    fields = needs.fields[TicketKind.INCIDENT]
    assert fields["category"] == {"network"}
    assert fields["assignment_group"] == {"Payment Operations"}
    assert fields["impact"] == {"1", "2", "3"}
    assert fields["description"] == frozenset()
    assert mapper(body).needs("other").kinds == frozenset()


def test_a_signal_without_resources_maps_too() -> None:
    mapped = ticket("default: {connection: desk, ticket: event}", signal(resources=(), severity=None, rule=None))
    assert mapped.fields["severity"] == "4"
    assert "node" not in mapped.fields
    assert Resource(id=None).name is None
