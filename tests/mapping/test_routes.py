"""Which route a signal takes."""

from __future__ import annotations

import pytest

from shared.core.errors import ConfigurationError
from shared.core.signal import Resource
from tests.mapping.signals import VM, mapper, signal


def matches(when: str, **changes: object) -> bool:
    routes = f"routes: [{{name: wanted, when: {when}, connection: desk}}]\n"
    found = mapper(routes).route(signal(**changes))
    return found is not None and found.name == "wanted"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{source: azure_monitor}", True),
        ("{source: defender}", False),
        ("{kind: [log, metric]}", True),
        ("{severity: 1}", True),
        ("{severity: [0, 2]}", False),
        ("{severity: unknown}", False),
        ("{rule: 'CPU-*'}", True),
        ("{rule: 'cpu'}", False),
        ("{rule: 'cpu?high'}", True),
        ("{rule: '[c]pu-high'}", False),
        ("{title: '*vm-shop*'}", True),
        ("{subscription: 11111111-2222-3333-4444-555555555555}", True),
        ("{resource_group: RG-SHOP-*}", True),
        ("{resource_type: microsoft.compute/virtualmachines}", True),
        ("{resource_type: microsoft.compute/*}", True),
        ("{resource: vm-shop-01}", True),
        ("{resource: '*/virtualmachines/vm-shop-01'}", True),
        ("{custom_properties: {team: payments}}", True),
        ("{custom_properties: {team: payments, runbook: nowhere}}", False),
        ("{custom_properties: {other: '*'}}", False),
        ("{dimensions: {instance: ['0', '1']}}", True),
        ("{details: {metric_name: Percentage CPU}}", True),
        ("{details: {Metric_Name: ['Network*', 'percentage *']}}", True),
        ("{details: {metric_name: Network In}}", False),
        ("{details: {cause: '*'}}", False),
        ("{tags: {env: prod}}", True),
        ("{tags: {team: payments}}", True),
        ("{tags: {env: test}}", False),
        ("{not: {kind: log}}", True),
        ("{not: {kind: metric}}", False),
        ("{not: {tags: {env: test}}}", True),
        ("{not: {tags: {absent: '*'}}}", True),
        ("{not: {kind: metric, severity: 2}}", True),
        ("{not: {any: [{kind: log}, {severity: 1}]}}", False),
        ("{not: {not: {kind: metric}}}", True),
        ("{any: [{kind: log}, {severity: 1}]}", True),
        ("{any: [{kind: log}, {severity: 2}]}", False),
        ("{rule: 'cpu-*', any: [{severity: 0}, {tags: {env: prod}}]}", True),
        ("{rule: 'disk-*', any: [{severity: 1}]}", False),
        ("{all: [{any: [{kind: log}, {kind: metric}]}, {any: [{severity: 0}, {severity: 1}]}]}", True),
        ("{all: [{kind: metric}, {severity: 2}]}", False),
        ("{severity: 1, rule: 'cpu-*', tags: {env: prod}}", True),
        ("{severity: 1, rule: 'disk-*', tags: {env: prod}}", False),
    ],
)
def test_conditions(when: str, expected: bool) -> None:
    assert matches(when) is expected


def test_unknown_severity_and_missing_values_match_only_what_asks_for_them() -> None:
    assert matches("{severity: unknown}", severity=None)
    assert not matches("{severity: [0, 1, 2, 3, 4]}", severity=None)
    assert not matches("{rule: '*'}", rule=None)
    assert not matches("{resource_group: '*'}", resources=(Resource(id=None, name="host"),))


def test_a_condition_on_resources_holds_for_any_of_them() -> None:
    assert matches("{resource: db-01}", resources=(VM, Resource(id=None, name="db-01")))


def test_the_first_route_that_matches_wins_and_the_default_takes_the_rest() -> None:
    found = mapper(
        "routes:\n"
        "- {name: urgent, when: {severity: [0, 1]}, connection: desk}\n"
        "- {name: cpu, when: {rule: 'cpu*'}, connection: desk}\n"
        "default: {connection: desk}\n"
    )
    names = [found.route(signal(severity=s, rule=r)) for s, r in ((1, "cpu-high"), (2, "cpu-high"), (2, "disk"))]
    assert [route.name for route in names if route] == ["urgent", "cpu", "default"]


def test_a_route_without_a_ticket_takes_its_signals_from_those_after_it() -> None:
    found = mapper(
        "routes:\n"
        "- {name: urgent, when: {severity: 0}, connection: desk}\n"
        "- {name: noise, when: {rule: 'cpu*'}, ticket: none}\n"
        "default: {connection: desk}\n"
    )
    seen = [
        (found.route(one), found.no_ticket_route(one)) for one in (signal(severity=0), signal(), signal(rule="disk"))
    ]
    assert [(route.name if route else None, name) for route, name in seen] == [
        ("urgent", ""),
        (None, "noise"),
        ("default", ""),
    ]


def test_a_route_that_neither_has_a_connection_nor_says_no_ticket_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="needs a 'connection'"):
        mapper("routes:\n- {name: nowhere, when: {severity: 0}}\ndefault: {connection: desk}\n")


def test_a_signal_of_a_group_goes_by_the_route_that_made_the_group() -> None:
    one = "{name: first, when: {kind: metric}, connection: desk}"
    routes = f"routes: [{one}, {one.replace('first', 'second')}]\n"
    found = mapper(routes).route(signal(via="second"))
    assert found is not None
    assert found.name == "second"
    gone = mapper(routes).route(signal(via="a route that is gone"))
    assert gone is not None
    assert gone.name == "first"
