"""bridge.yaml as administrators write it, right and wrong."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest

from app.configuration import load_config, parse_config
from connectors.servicenow.settings import ServiceNowSettings
from shared.core.errors import ConfigurationError
from shared.core.ticket_system import TicketKind

ROOT = Path(__file__).parents[2]

GOOD = """
version: 1
connections:
  contoso:
    type: servicenow
    url: https://contoso.service-now.com
    auth: {type: basic, username: azure.bridge, password: {secret: servicenow-password}}
default: {connection: contoso}
"""


def problems(text: str, **settings: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        parse_config(text, settings=settings)
    return raised.value.problems


def test_the_smallest_useful_file_has_sane_defaults() -> None:
    config = parse_config(GOOD, settings={})
    assert config.default is not None
    assert config.default.ticket is TicketKind.INCIDENT
    assert config.default.resolve.action == "resolve"
    assert config.delivery.retry_for == timedelta(days=7)
    assert config.severity.sev0.impact == 1


def test_the_shipped_file_is_valid_and_needs_one_setting() -> None:
    config = load_config(ROOT / "bridge.yaml", {"SERVICENOW_URL": "https://contoso.service-now.com"}).config
    assert sorted(config.connections) == ["servicenow"]
    with pytest.raises(ConfigurationError, match="SERVICENOW_URL has no value") as caught:
        load_config(ROOT / "bridge.yaml", {})
    assert len(caught.value.problems) == 1, "what follows from the missing setting is no problem of its own"


def test_every_mistake_is_named_at_once_with_line_path_and_fix() -> None:
    text = """\
version: 1
connections:
  contoso:
    type: servicenow
    url: http://contoso.service-now.com
    auth: {type: basic, username: a, pasword: {secret: x}}
    max_in_flight: 99
lookups:
  team: {a: 1}
routes:
  - name: x
    when: {severty: 1}
    connection: contosso
    ticket: incidentt
    fields:
      short_description: "{{ signal.title"
      assignment_group: {lookup: teem, key: "{{ x }}"}
  - name: x
    when: {}
    connection: contoso
    fields: {priority: 1}
    reopen_window: 3 weeks
"""
    found = problems(text)
    expected = [
        ("bridge.yaml:5: connections.contoso.url", "https is required"),
        ("bridge.yaml:6: connections.contoso.auth.password", "missing"),
        ("bridge.yaml:6: connections.contoso.auth.pasword", "did you mean 'password'?"),
        ("bridge.yaml:7: connections.contoso.max_in_flight", "must be at most 16"),
        ("bridge.yaml:9: lookups.team.a", "text (put it in quotes)"),
        ("bridge.yaml:12: routes[0].when.severty", "did you mean 'severity'?"),
        ("bridge.yaml:13: routes[0].connection", "did you mean 'contoso'?"),
        ("bridge.yaml:14: routes[0].ticket", "'change_request'"),
        ("bridge.yaml:16: routes[0].fields.short_description", "template"),
        ("bridge.yaml:17: routes[0].fields.assignment_group.key", "nothing is called 'x'"),
        ("bridge.yaml:17: routes[0].fields.assignment_group.lookup", "did you mean 'team'?"),
        ("bridge.yaml:18: routes[1].name", "taken"),
        ("bridge.yaml:19: routes[1].when", "default"),
        ("bridge.yaml:21: routes[1].fields.priority", "set impact and urgency"),
        ("bridge.yaml:22: routes[1].reopen_window", "7d"),
    ]
    assert len(found) == len(expected), "\n".join(found)
    for line, (place, words) in zip(found, expected, strict=True):
        assert line.startswith(place), line
        assert words in line, line
        assert "Fix:" in line, line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected 'version: 1'"),
        ("- 1", "expected 'version: 1'"),
        ("a: [", "bridge.yaml:1: not valid YAML"),
        ("version: 1\nversion: 1", "bridge.yaml:2: not valid YAML: 'version' is given twice (first in line 1)"),
        ("? [a, b]\n: 1", "a name must be plain text"),
        ("a: !!python/object:os.system {}", "the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: \x00", "not valid YAML"),
        ("a: &x [*x]", "refers to itself"),
        (GOOD + "routes: 7", "routes: must be a list"),
        (GOOD.replace("version: 1", "version: 2"), "version: must be 1"),
        (GOOD.replace("default: {connection: contoso}", ""), "nothing would make a ticket"),
        (GOOD.replace("type: basic", "type: magic"), "type 'magic' is none of 'basic'"),
        (GOOD + "delivery: {lease: 2m}", "connections.contoso.total_timeout: 2m is not below delivery.lease (2m)"),
        (GOOD.replace("default:", "    ci: {clas: x}\ndefault:"), "unknown name 'clas'. Fix: did you mean 'class'?"),
        (GOOD.replace("contoso.service-now.com", "u:p@contoso.service-now.com"), "connections.contoso.url"),
    ],
)
def test_bad_files_are_explained(text: str, words: str) -> None:
    found = problems(text)
    assert any(words in line for line in found), found


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file\. Fix: create it"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_config(tmp_path / "binary.yaml")


def test_a_password_written_into_the_file_is_refused_and_never_repeated() -> None:
    text = GOOD.replace("{secret: servicenow-password}", "hunter-two-in-the-clear")
    assert "hunter-two" not in "\n".join(problems(text))


def test_settings_are_put_in_and_defaults_hold() -> None:
    text = GOOD.replace("https://contoso.service-now.com", "https://${HOST}").replace(
        "azure.bridge", "'${SOMEBODY:-azure.bridge}'"
    )
    settings = parse_config(text, settings={"HOST": "fabrikam.service-now.com"}).connections["contoso"]
    assert isinstance(settings, ServiceNowSettings)
    assert settings.url.startswith("https://fabrikam.service-now.com")
    assert getattr(settings.auth, "username") == "azure.bridge"  # noqa: B009 - the union's members differ
    assert any("setting HOST has no value" in line for line in problems(text))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("1d12h", 129600), ("0s", 0), (" 2 h ", 7200)]
)
def test_durations_read_as_people_write_them(text: str, seconds: int) -> None:
    config = parse_config(GOOD + f"delivery: {{recheck_after: '{text}'}}", settings={})
    assert config.delivery.recheck_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "3 weeks", "-5m", "1h and a bit", "99999999999d"])
def test_other_durations_are_refused(text: str) -> None:
    assert any("duration" in line for line in problems(GOOD + f"delivery: {{lease: '{text}'}}"))


def doubled(lines: int, form: str) -> str:
    """Lines of which each names the one before it twice."""
    first = "x0: &x0 {a: 1}\n" if "<<" in form else "x0: &x0 [a, a]\n"
    return first + "".join(f"x{n}: &x{n} {form.format(f'*x{n - 1}')}\n" for n in range(1, lines))


@pytest.mark.parametrize("form", ["[{0}, {0}]", "{{a: {0}, b: {0}}}", "{{<<: [{0}, {0}], b: 1}}", "[[{0}], [{0}]]"])
def test_aliases_of_aliases_are_refused_before_they_are_written_out(form: str) -> None:
    tracemalloc.start()
    try:
        found = problems(GOOD + doubled(40, form))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert any("with every alias (*name) written out there are more than" in line for line in found), found


def test_a_long_text_that_is_named_often_and_a_file_that_is_too_large_are_refused() -> None:
    often = f"x: &x '{'x' * 200_000}'\ny: [{'*x, ' * 400}]\n"
    assert any("more than 50,000 values" in line for line in problems(GOOD + often))
    assert any("1,000,000 characters" in line for line in problems(GOOD + "# " + "x" * 1_000_000))


def test_aliases_as_people_use_them_are_read() -> None:
    route = "routes:\n- {name: one, connection: contoso, when: &when {severity: 1}}\n"
    route += "- {name: two, connection: contoso, when: *when}\n"
    routes = parse_config(GOOD + route, settings={}).routes
    assert routes[0].when == routes[1].when


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "1.0e+999", "1e999", "'nan'", "'Infinity'"])
def test_numbers_without_an_end_are_refused(number: str) -> None:
    who = "tenant: 3f6c1a52-7d0e-4b8c-9a41-5e2d7c9b0f13, client_id: 3f6c1a52-7d0e-4b8c-9a41-5e2d7c9b0f13"
    rules = "rules: [{name: a, when: {max_score: 9}}]"
    section = (
        f"secure_score: {{connection: contoso, tenants: [{{sign_in: {{{who}, managed_identity: {{}}}}}}], {rules}}}\n"
    )
    assert parse_config(GOOD + section, settings={})
    assert any("number" in line for line in problems(GOOD + section.replace("9}}", f"{number}}}}}")))
