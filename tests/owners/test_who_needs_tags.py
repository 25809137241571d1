"""Tags cost a call: they are read for the signals alone whose route or fields depend on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.mapping.tag_use import template_uses_tags
from tests.mapping.signals import VM, mapper, signal

TAGGED = signal(resources=(replace(VM, group_tags={"Team": "shop"}, subscription_tags={"team": "platform"}),))


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("{{ resource.tags.team }}", True),
        ("{{ resource['tags'].team }}", True),
        ("{{ resource.group_tags.team }}", True),
        ("{% for one in signal.resources %}{{ one.own_tags }}{% endfor %}", True),
        ("{{ signal.tags.team or resource.tags.team }}", True),
        ("{{ signal.tags.team }}", False),
        ('{{ signal["tags"].team }}', False),
        ("{{ resource.name }}", False),
        ("resource.tags.team", False),
        ("{{ signal.custom_properties.stags }}", False),
    ],
)
def test_a_template_that_may_print_a_tag_of_a_resource_is_known(text: str, uses: bool) -> None:
    assert template_uses_tags(text) is uses


ROUTES = """
routes:
  - {name: shop, when: {severity: [0, 1], resource_tags: {team: shop}}, connection: desk}
  - {name: log, when: {kind: log}, connection: desk}
  - {name: metric, when: {kind: metric}, connection: desk, fields: {assignment_group: "{{ resource.tags.team }}"}}
default: {connection: desk}
"""


@pytest.mark.parametrize(
    ("kind", "severity", "needs"),
    [("log", 1, True), ("log", 2, False), ("metric", 2, True), ("budget", 1, True), ("budget", 2, False)],
)
def test_tags_are_read_where_the_way_through_the_routes_depends_on_them(kind: str, severity: int, needs: bool) -> None:
    assert mapper(ROUTES).tags.needed(signal(kind=kind, severity=severity)) is needs


@pytest.mark.parametrize(
    "rest",
    [
        "default: {connection: desk}\nmaintenance: [{name: w, when: {not: {resource_tags: {a: b}}}, cron: '0 1 * * *', "
        "lasts: 1h}]",
        "default: {connection: desk}\nthrottles: [{name: t, tickets: 1, per: 1h, by: '{{ resource.tags.team }}'}]",
        "default: {connection: desk, group: {by: '{{ resource.tags.team }}'}}",
        "default: {connection: desk, resolve: {fields: {close_notes: '{{ resource.tags.team }}'}}}",
        "lookups: {t: {a: b}}\n"
        "default: {connection: desk, fields: {x: {lookup: t, key: a, default: '{{ resource.tags.team }}'}}}",
        "routes: [{name: r, when: {any: [{kind: log}, {all: [{resource_tags: {a: b}}]}]}, connection: desk}]",
    ],
)
def test_every_place_that_may_use_tags_is_seen(rest: str) -> None:
    assert mapper(rest).tags.needed(signal())
    assert not mapper(rest).tags.needed(signal(resources=(replace(VM, id=None),))), "without an id nothing can be asked"


def test_a_configuration_without_tags_asks_for_none() -> None:
    made = mapper("default: {connection: desk, fields: {x: '{{ signal.tags.team }}'}}")
    assert (made.tags.used, made.tags.needed(signal())) == (False, False)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("{resource_tags: {TEAM: 'sh?p'}}", True),
        ("{resource_tags: {team: platform}}", False),
        ("{resource_tags: {team: [other, shop]}}", True),
        ("{resource_tags: {owner: '*'}}", False),
        ("{not: {resource_tags: {owner: '*'}}}", True),
    ],
)
def test_conditions_on_tags_look_at_the_nearest(when: str, holds: bool) -> None:
    made = mapper(f"routes: [{{name: r, when: {when}, connection: desk}}]")
    assert (made.route(TAGGED) is not None) is holds


def test_an_alert_that_may_match_with_its_tags_is_not_taken_for_one_without_a_route() -> None:
    made = mapper("routes: [{name: r, when: {kind: metric, resource_tags: {team: shop}}, connection: desk}]")
    assert (made.route(signal()), made.may_route(signal())) == (None, True)
    assert not made.may_route(signal(kind="log"))
