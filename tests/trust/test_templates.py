"""Templates that would take for ever, fill the memory or leave the sandbox: each fails soon and costs one field."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from jinja2 import TemplateError

from shared.core.errors import ConfigurationError
from shared.mapping.sandbox_bounds import MAX_TEXT
from shared.mapping.templates import compile_template
from tests.mapping.signals import mapper, signal

#: Far above what any of these takes, far below what they would take without bounds.
SECONDS = 2.0
BYTES = 64 * 1024 * 1024

NS = "{% set ns = namespace(x='aaaaaaaaaa') %}"

GREEDY = {
    "a text repeated": "{{ 'x' * 1000000000 }}",
    "a text repeated from the left": "{{ 1000000000 * 'x' }}",
    "a text repeated as the payload says": "{{ 'x' * (signal.custom_properties.size | int) }}",
    "a list repeated": "{{ ([0] * 100000000) | length }}",
    "a power": "{{ 10 ** (10 ** 9) }}",
    "a power of a power": "{% set a = 2 ** 4000 %}{{ (a ** a) | string }}",
    "numbers multiplied": "{% set n = namespace(x=2 ** 2000) %}"
    "{% for i in range(40) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "a long range": "{% for i in range(100000) %}x{% endfor %}",
    "a long range as a list": "{{ range(10000000) | list | length }}",
    "loops in loops with a budget of its own": "{% macro s() %}{% endmacro %}{% macro m(x) %}{% endmacro %}"
    "{% set _budget = namespace(step=s, made=m) %}"
    "{% for i in range(999) %}{% for j in range(999) %}{% endfor %}{% endfor %}",
    "loops in loops": "{% for a in range(999) %}{% for b in range(999) %}{% for c in range(999) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "loops over a text": "{% for a in summary %}{% for b in summary %}{% for c in summary %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "loops with a condition": "{% for a in range(999) if range(999) | list %}"
    "{% for b in range(999) if false %}{% endfor %}"
    "{% endfor %}",
    "a length asked of loops": "{% for a in range(999) %}"
    "{% for b in range(999) %}{{ loop.length }}{% endfor %}{% endfor %}",
    "doubling by +": NS + "{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "doubling by ~": NS + "{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "doubling by a block": NS + "{% for i in range(60) %}{% set b %}{{ ns.x }}{{ ns.x }}{% endset %}"
    "{% set ns.x = b %}{% endfor %}",
    "doubling by a macro": NS + "{% macro d(x) %}{{ x }}{{ x }}{% endmacro %}"
    "{% for i in range(60) %}{% set ns.x = d(ns.x) %}{% endfor %}",
    "doubling by join": NS + "{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
    "doubling by replace": NS + "{% for i in range(60) %}{% set ns.x = ns.x | replace('a', 'aa') %}{% endfor %}",
    "doubling by a method": NS + "{% for i in range(60) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}",
    "a list doubled": "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}"
    "{% endmacro %}{{ f(40) }}",
    "a macro without end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "center": "{{ 'x' | center(1000000000) }}",
    "indent": "{{ summary | indent(1000000000) }}",
    "replace of nothing": "{{ (summary * 5) | replace('', summary) }}",
    "join with much": "{{ range(1000) | join(summary * 5) }}",
    "wordwrap with much": "{{ (summary * 5) | wordwrap(1, wrapstring=summary * 5) }}",
    "tojson": "{{ [1, 2] | tojson(indent=1000000000) }}",
    "slice": "{{ 'x' | slice(1000000000) | list }}",
    "batch": "{{ 'x' | batch(1000000000, 'y') | list }}",
    "ljust": "{{ 'x'.ljust(1000000000) }}",
    "zfill": "{{ 'x'.zfill(1000000000) }}",
    "a width in a format": "{{ '%01000000000d' % 1 }}",
    "a width in a named format": "{{ '%(a)1000000000d' % {'a': 1} }}",
    "a width beside a format": "{{ '%*d' % (1000000000, 1) }}",
}

FORBIDDEN = {
    "format": "{{ '{:>1000000000}'.format(1) }}",
    "format by attr": "{{ ('{:>1000000000}' | attr('format'))(1) }}",
    "format_map": "{{ '{a:>1000000000}'.format_map({'a': 1}) }}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by attr": "{{ '' | attr('__class__') | attr('__mro__') }}",
    "globals of a function": "{{ cycler.__init__.__globals__ }}",
    "the signal's class": "{{ signal.__class__.__init__.__globals__ }}",
    "changing a mapping": "{{ signal.tags.update({'a': 'b'}) }}",
    "including a file": "{% include '/etc/passwd' %}",
    "importing": "{% import 'os' as os %}",
    "a new budget": "{% set _budget = namespace(steps=0) %}{{ 'x' * 1000000000 }}",
}

REFUSED = {
    "lipsum": "{{ lipsum(n=1000000) }}",
    "the filter format": "{{ '%01000000000d' | format(1) }}",
    "a filter applied by map": "{{ [signal.title] | map('center', 1000000000) | list }}",
    "a filter whose name is computed": "{{ [signal.title] | map(signal.title) | list }}",
    "a loop that calls itself": "{% for a in [1] recursive %}{% if loop.depth < 3 %}"
    "{{ loop(range(999)) }}{% endif %}{% endfor %}",
    "arguments from a list": "{{ 'x' | center(*[1000000000]) }}",
}


def rendered(text: str) -> str:
    """What a template gives, or that it failed; within the bounds of time and memory."""
    hostile = signal(custom_properties={"size": "1000000000"}, description="x\n" * 2000)
    tracemalloc.start()
    started = time.thread_time()  # of this thread: how busy the machine is does not count
    try:
        context = {"signal": hostile, "summary": "s\n" * 2000, "resource": hostile.resources[0], "route": "r"}
        return compile_template(text)(context, [])
    except Exception as error:
        return f"failed: {type(error).__name__}"
    finally:
        took, (_, most) = time.thread_time() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert took < SECONDS, took
        assert most < BYTES, most


@pytest.mark.parametrize("name", GREEDY)
def test_a_greedy_template_fails_soon_and_small(name: str) -> None:
    found = rendered(GREEDY[name])
    assert found.startswith("failed: "), found[:100]
    assert found != "failed: MemoryError"


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_template_cannot_leave_the_sandbox(name: str) -> None:
    found = rendered(FORBIDDEN[name])
    assert found == "" or found.startswith("failed: "), found[:100]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_bounded_is_refused_when_it_is_read_or_rendered(name: str) -> None:
    try:
        compile_template(REFUSED[name])
    except TemplateError:
        return
    found = rendered(REFUSED[name])
    assert found.startswith("failed: "), found


def test_a_greedy_template_costs_its_field_and_not_the_ticket() -> None:
    built = mapper("default: {connection: desk, fields: {short_description: \"{{ 'x' * 1000000000 }}\"}}\n")
    route = built.route(signal())
    assert route is not None
    mapped = built.ticket(route, signal())
    assert mapped.fields["short_description"] == "cpu-high on vm-shop-01"
    assert any("the template failed" in warning for warning in mapped.warnings)


def test_what_cannot_be_bounded_is_a_mistake_in_the_file() -> None:
    with pytest.raises(ConfigurationError, match="map takes attribute="):
        mapper("default: {connection: desk, fields: {category: \"{{ [1] | map('center', 9) }}\"}}\n")


def test_what_a_payload_says_is_a_value_and_never_a_template() -> None:
    hostile = signal(title="{{ 7 * 7 }}{% for i in range(9) %}x{% endfor %}", custom_properties={"a": "{{ 7 * 7 }}"})
    built = mapper("default: {connection: desk, fields: {category: '<{{ signal.custom_properties.a }}>'}}\n")
    route = built.route(hostile)
    assert route is not None
    fields = built.ticket(route, hostile).fields
    assert fields["short_description"] == hostile.title
    assert fields["category"] == "<{{ 7 * 7 }}>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ signal.title | upper | truncate(10) }}", "CPU-HIG..."),
        ("{{ signal.title ~ ' / ' ~ signal.severity }}", "cpu-high on vm-shop-01 / 1"),
        ("{{ 'a' + 'b' * 3 }} {{ 2 ** 10 }} {{ 7 % 4 }} {{ '%05.1f' % 3.14159 }}", "abbb 1024 3 003.1"),
        (
            "{% for r in signal.resources %}{{ loop.index }}/{{ loop.length }} {{ r.name }}{% endfor %}",
            "1/1 vm-shop-01",
        ),
        ("{{ signal.resources | map(attribute='name') | join(', ') }}", "vm-shop-01"),
        ("{{ signal.dimensions.items() | list | length }}", "1"),
        ("{{ signal.custom_properties.Team | replace('pay', 'PAY') | center(20) }}", "PAYments"),
        ("{{ signal.rule.split('-') | first }}", "cpu"),
        ("{% set words %}{{ signal.rule }}!{% endset %}{{ words | trim }}", "cpu-high!"),
        ("{% filter upper %}{{ signal.rule }}{% endfilter %}", "CPU-HIGH"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(signal.rule) }}", "[cpu-high]"),
        ("{{ ['b', 'a'] | map('upper') | sort | join('+') }}", "A+B"),
        ("{{ signal.nothing | default(signal.description) | shorten(12) }}", "The process…"),
        ("{{ 'yes' if signal.severity == 1 and 'cpu' in signal.rule else 'no' }}", "yes"),
    ],
)
def test_templates_that_people_write_work_as_ever(text: str, expected: str) -> None:
    context = {"signal": signal(), "summary": "s", "route": "r"}
    assert compile_template(text)(context, []) == expected


def test_a_long_text_is_no_greed() -> None:
    context = {"signal": signal(description="x" * 8000), "summary": "s" * 4000}
    text = compile_template("{{ summary }}{{ signal.description | default(summary) }}{{ summary ~ summary }}")
    assert len(text(context, [])) == 20_000 < MAX_TEXT
