"""Every filter, test, operator and method of Jinja2 with values made to be slow or large: each rendering ends soon."""

from __future__ import annotations

import pytest
from jinja2 import TemplateError

from shared.mapping.sandbox import BoundedEnvironment
from shared.mapping.template_check import template_problem
from shared.mapping.templates import _LONGEST_SOURCE, compile_template
from tests.mapping.signals import signal, unchecked_mapper
from tests.trust.test_templates import rendered

FILTERS = sorted(name for name in BoundedEnvironment().filters if not name.startswith("_"))
TESTS = sorted(name for name in BoundedEnvironment().tests if name.isidentifier())

#: Lists that hold each other: little memory, endless text.
DOUBLED = "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
DOUBLED_KEYS = (
    "{% set ns = namespace(x={'a': 1}) %}{% for i in range(60) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}"
)
DOUBLED_TUPLES = "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}"
DOUBLED_DICTS = "{% set ns = namespace(x=1) %}{% for i in range(60) %}{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}"
DOUBLED_SPACES = (
    "{% set ns = namespace(x=1) %}{% for i in range(60) %}{% set ns.x = namespace(a=ns.x, b=ns.x) %}{% endfor %}"
)

GREEDY = {
    "lists that hold each other": DOUBLED + "{{ ns.x }}",
    "mappings that hold each other": DOUBLED_KEYS + "{{ ns.x }}",
    "tuples that hold each other": DOUBLED_TUPLES + "{{ ns.x }}",
    "dicts that hold each other": DOUBLED_DICTS + "{{ ns.x }}",
    "namespaces that hold each other": DOUBLED_SPACES + "{{ ns.x }}",
    "a namespace that holds itself": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "lists compared": DOUBLED + "{% set a = ns.x %}" + DOUBLED + "{{ a == ns.x }}",
    "a list of one text": "{% set a = [summary] * 40000 %}{{ a }}",
    "a list of lists of one text": "{{ [[summary] * 200] * 200 }}",
    "arguments that hold each other": "{% macro m() %}{{ varargs }}{% endmacro %}"
    "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = m.arguments + (ns.x, ns.x) %}{% endfor %}"
    "{{ ns.x }}",
    "sum of a list": "{{ [[1], [2]] | sum(start=[]) }}",
    "sum that grows": "{{ [[1] * 1000] * 20 | sum(start=[0] * 20000) }}",
    "sum by attribute": "{{ [{'a': [1]}] | sum(attribute='a', start=[2]) }}",
    "% as often as it is named": "{{ ('%(a)s' * 5000) % {'a': summary} }}",
    "% as often as it is counted": "{{ ('%s' * 8000) % ([summary] * 8000) }}",
    "% of widths": "{{ ('%999d' * 5000) % ([1] * 5000) }}",
    "% of a list": "{{ '%s' % [[summary] * 900] }}",
    "% of bytes": "{{ (5).to_bytes(100, 'big') % 1 }}",
    "bytes of a number": "{{ (1).to_bytes(1000000000, 'big') }}",
    "bytes repeated": "{{ (1).to_bytes(9, 'big') * 1000000000 }}",
    "bytes widened": "{{ (1).to_bytes(9, 'big').ljust(1000000000) }}",
    "xmlattr": "{{ {'a': summary, 'b': summary, 'c': summary, 'd': [summary] * 900} | xmlattr }}",
    "xmlattr of many": "{{ dict.fromkeys(range(1000), summary) | xmlattr }}",
    "pprint": DOUBLED + "{{ ns.x | pprint }}",
    "pprint of much": "{{ [summary] * 9 | pprint }}{{ ([summary] * 9) | pprint }}",
    "round": "{{ 1.5 | round(1000000000, 'ceil') }}",
    "join of much": "{{ ([summary] * 1000) | join(',') }}",
    "join as a method": "{{ summary.join(['a'] * 1000) }}",
    "join of nested lists": "{{ [[summary] * 100] * 2 | join }}{{ ([[summary] * 100] * 2) | join }}",
    "replace as a method": "{{ (summary * 5).replace('', 'x' * 400) }}",
    "replace of every character": "{{ ('a' * 30000) | replace('a', 'b' * 400) }}",
    "tojson": "{{ [[[[1] * 90] * 9] * 9] | tojson(indent=200) }}",
    "a literal text repeated": "{% for i in range(900) %}" + "x" * 15_000 + "{% endfor %}",
    "a literal text in a block": "{% set b %}{% for i in range(900) %}"
    + "x" * 15_000
    + "{% endfor %}{% endset %}{{ b }}",
    "a literal text in a macro": "{% macro m() %}"
    + "x" * 15_000
    + "{% endmacro %}{% for i in range(900) %}{% set y = m() %}{% endfor %}",
    "a literal text in a call": "{% macro m() %}{{ caller() }}{% endmacro %}"
    "{% for i in range(900) %}{% set y %}{% call m() %}" + "x" * 15_000 + "{% endcall %}{% endset %}{% endfor %}",
    "comparisons of long texts": "{% set a = summary * 9 %}{% for i in range(999) %}{% for j in range(9) %}"
    "{% if a ~ 'x' in a ~ 'y' %}{% endif %}{% endfor %}{% endfor %}",
    "searches in loops": "{% set a = range(999) | list %}{% for i in range(999) %}"
    "{% for j in range(999) %}{{ 'x' in a }}{% endfor %}{% endfor %}",
    "select with a long list": "{% set a = (range(999) | list) * 9 %}{{ a | select('in', a) | list | length }}",
    "reject with a long list": "{% set a = (range(999) | list) * 9 %}{{ a | reject('in', a) | list | length }}",
    "attributes of attributes": "{{ ((range(999) | list) * 9) | map(attribute='a.' * 240) | list | length }}",
    "sorts in loops": "{% set a = (range(999) | list) * 9 %}{% for i in range(999) %}{% set b = a | sort %}"
    "{% endfor %}",
    "a deep list": "{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}"
    "{% endfor %}{{ ns.x }}",
    "blocks that call each other": "{% block a %}{{ self.b() }}{% endblock %}{% block b %}{{ self.a() }}{% endblock %}",
    "a time in a long format": "{{ signal.occurred_at.strftime('%c' * 20000) }}",
    "a time with a width": "{{ signal.occurred_at.strftime('%0100000000d' * 100) }}",
    "keys taken from one value": "{{ dict.fromkeys(range(1000), [summary] * 40) }}",
    "a number of many digits": "{{ ('f' * 40000) | int(0, 16) }}",
    "a cycler of much": "{{ cycler(*([[summary] * 40] * 40)).items }}",
}

ESCAPES = {
    "a file": "{{ levels.parse_file('/etc/hostname') }}",
    "a pickle": "{{ levels.parse_raw('x', content_type='pickle', allow_pickle=True) }}",
    "a dump": "{{ levels.model_dump_json(indent=1000000) }}",
    "fields of the class": "{{ signal.__dataclass_fields__ }}",
}

#: What a filter may be given: each of these is as large as a template can make it.
HOSTILE = {
    "text": "summary * 9",
    "dashes": "'a-' * 18000",
    "lists": "[['a' * 400] * 9] * 9",
    "numbers": "(range(999) | list) * 9",
    "mapping": "dict.fromkeys(range(999), 'x' * 90)",
    "pairs": "[('a', 1), ('b', 'x' * 4000)] * 9",
}
ARGUMENTS = ("", "(1)", "(1000000000)", "('a', 'x' * 400)")


@pytest.mark.parametrize("name", GREEDY)
def test_a_greedy_template_fails_soon_and_small(name: str) -> None:
    found = rendered(GREEDY[name])
    assert found.startswith("failed: "), found[:100]
    assert found != "failed: MemoryError"


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_but_fields_is_read_of_our_own_values(name: str) -> None:
    built = unchecked_mapper(f'default: {{connection: desk, fields: {{category: "{ESCAPES[name]}"}}}}\n')
    route = built.route(signal())
    assert route is not None
    mapped = built.ticket(route, signal())
    assert "category" not in mapped.fields
    assert mapped.warnings


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_ends_soon_with_every_value(name: str) -> None:
    for hostile in HOSTILE.values():
        for arguments in ARGUMENTS:
            try:
                compile_template(f"{{{{ ({hostile}) | {name}{arguments} }}}}")
            except TemplateError:
                continue
            found = rendered(f"{{% set x = ({hostile}) %}}{{{{ x | {name}{arguments} }}}}")
            assert found != "failed: MemoryError"
            assert len(found) <= 40_000


@pytest.mark.parametrize("name", TESTS)
def test_every_test_ends_soon_with_every_value(name: str) -> None:
    for hostile in HOSTILE.values():
        for arguments in ("", f"({hostile})"):
            rendered(f"{{% set x = ({hostile}) %}}{{{{ x is {name}{arguments} }}}}")
            rendered(f"{{% set x = ({hostile}) %}}{{{{ [x] * 99 | select('{name}') | list | length }}}}")


@pytest.mark.parametrize("operator", ["+", "*", "%", "**", "~", "==", "<", "in"])
def test_every_operator_ends_soon_with_every_value(operator: str) -> None:
    for left in HOSTILE.values():
        for right in HOSTILE.values():
            rendered(f"{{{{ ({left}) {operator} ({right}) }}}}")


@pytest.mark.parametrize("kind", [str, list, tuple, dict, int, float, bytes, range])
def test_every_method_ends_soon(kind: type) -> None:
    values = {
        str: "(summary * 9)", list: "([summary] * 9)", tuple: "(summary, summary)", dict: "{'a': summary}",
        int: "(2 ** 4000)", float: "1.5", bytes: "(2 ** 4000).to_bytes(199, 'big')", range: "range(999)",
    }  # fmt: skip
    for method in dir(kind):
        for arguments in ("()", "(1000000000)", "('', summary)"):
            rendered(f"{{{{ {values[kind]}.{method}{arguments} }}}}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "[" * 3000 + "]" * 3000 + " }}",
        "{{ " + "9" * 5000 + " }}",
        "{% if a %}" * 900 + "{% endif %}" * 900,
        "{{ " + "-" * 9000 + "1 }}",
        "x{{ 1 }}" * _LONGEST_SOURCE,
    ],
)
def test_a_template_that_cannot_be_compiled_is_a_mistake_in_the_file(text: str) -> None:
    assert template_problem(text)


def test_a_field_that_hits_a_bound_is_named_and_the_next_message_goes_on() -> None:
    built = unchecked_mapper(
        'default: {connection: desk, fields: {short_description: "' + DOUBLED.replace('"', "'") + '{{ ns.x }}"}}\n'
    )
    for _ in range(2):
        found = signal()
        route = built.route(found)
        assert route is not None
        mapped = built.ticket(route, found)
        assert mapped.fields["short_description"] == "cpu-high on vm-shop-01"
        assert [warning for warning in mapped.warnings if warning.startswith("short_description: the template failed")]
