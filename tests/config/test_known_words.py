"""What validate says of words, names and values that look right and can never work, and of what has no effect."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from app.configuration import config_warnings, parse_config
from app.registry import REGISTRY
from shared.config.model import config_model
from shared.core.errors import ConfigurationError

ROOT = Path(__file__).parents[2]

HEAD = """
version: 1
connections:
  contoso:
    type: servicenow
    url: https://contoso.service-now.com
    auth: {type: basic, username: azure.bridge, password: {secret: servicenow-password}}
"""
DEFAULT = "default: {connection: contoso}\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        parse_config(text, settings={})
    return raised.value.problems


def when(text: str) -> str:
    return f"{HEAD}{DEFAULT}routes:\n- {{name: one, connection: contoso, when: {{{text}}}}}\n"


def route(text: str) -> str:
    return f"{HEAD}routes:\n- {{name: one, connection: contoso, when: {{kind: metric}}, {text}}}\n"


SCORE = HEAD + "secure_score:\n  connection: contoso\n  rules:\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (when("kind: metrics"), "routes[0].when.kind: there is no kind 'metrics'. Fix: did you mean 'metric'?"),
        (when("kind: [log, 'servicehealth']"), "routes[0].when.kind[1]: there is no kind 'servicehealth'. Fix: did you "
         "mean 'service_health'?"),
        (when("kind: 'metrics*'"), "there is no kind 'metrics*'"),
        (when("source: azuremonitor"), "there is no source 'azuremonitor'. Fix: did you mean 'azure_monitor'?"),
        (when("source: nagios"), "Fix: write one of azure_monitor, bridge, defender, manual, secure_score"),
        (when('resource_group: "!rg-dev-*"'), "Fix: write it without '!' under 'not'"),
        (when('kind: "!metric"'), "'!metric' is compared as it stands and matches nothing"),
        (when("not: {kind: metrics}"), "routes[0].when.not.kind: there is no kind 'metrics'"),
        (when("any: [{severity: 1}, {all: [{kind: logs}]}]"), "when.any[1].all[0].kind: there is no kind 'logs'"),
        (when("any: []"), "routes[0].when.any: an empty condition never holds"),
        (when("any: [{}]"), "routes[0].when.any[0]: no condition"),
        (when("not: {}"), "routes[0].when.not: no condition"),
        (when("not: {rul: cpu}"), "routes[0].when.not.rul: unknown name 'rul'. Fix: did you mean 'rule'?"),
        (when("not: [{rule: cpu}]"), "routes[0].when.not: must be a section"),
        (when("any: {rule: cpu}"), "routes[0].when.any: must be a list"),
        (when("not: {" * 9 + "rule: x" + "}" * 9), "conditions may stand in one another 8 deep"),
        (when("details: {caus: x}"), "routes[0].when.details.caus: there is no detail 'caus'. Fix: did you mean "
         "'cause'?"),
        (when("kind: resource_health, details: {Cause: ''}"), "an empty condition never holds"),
        (when("kind: metric, details: {cause: UserInitiated}"), "only signals of kind resource_health have the detail "
         "'cause'. Fix: name that kind"),
        (when("kind: resource_health, not: {details: {stage: RCA}}"), "only signals of kind service_health have"),
        (when("source: secure_score, details: {cause: x}"), "there is no detail 'cause'"),
        (when("source: [manual, secure_score], details: {shift: night}"), "there is no detail 'shift'"),
        (when("details: {zzzzzz: x}"), "Fix: bridge.py preview shows the details that a payload has"),
        (route("ticket: none"), "routes[0].connection: 'ticket: none' makes no ticket. Fix: take this out"),
        (HEAD + DEFAULT + "routes: [{name: a, when: {kind: log}, ticket: none, fields: {x: y}}]",
         "routes[0].fields: 'ticket: none' makes no ticket"),
        (HEAD + DEFAULT + "routes: [{name: a, when: {kind: log}, ticket: nothing, connection: contoso}]",
         "routes[0].ticket"),
        (when("resource_group: '^rg-(dev|test)-.*$'"), "only * (any text) and ? (one character) have a meaning"),
        (when("resource_group: 'rg-dev, rg-test'"), "write several patterns as a list"),
        (when("subscription: Production"), "'Production' is no subscription id"),
        (when("kind: []"), "an empty condition never holds"),
        (when("severity: []"), "an empty condition never holds"),
        (when("custom_properties: {team: ''}"), "an empty condition never holds"),
        (HEAD + DEFAULT + "accept_only: {subscriptions: prod}", "subscriptions: 'prod' is no subscription id"),
        (HEAD + DEFAULT + 'accept_only: {resource_groups: ["rg-*", "!rg-dev"]}', "no negation here. Fix: name"),
        (HEAD + DEFAULT + "throttles: [{name: x, tickets: 1, per: 5m, when: {kind: logs}}]", "there is no kind 'logs'"),
        (HEAD + DEFAULT + "throttles: [{name: x, tickets: 1, per: 5m, by: rul}]", "Fix: did you mean 'rule'?"),
        (HEAD + DEFAULT + "maintenance: [{name: x, cron: '0 1 * * *', lasts: 1h, when: {source: azure}}]",
         "maintenance[0].when.source"),
        (HEAD + DEFAULT + "defender: {poll: {when: {kind: recommendations}}}", "did you mean 'recommendation'?"),
        (SCORE + "  - {name: a, when: {category: Idenity}}", "no category 'Idenity'. Fix: did you mean 'Identity'?"),
        (SCORE + "  - {name: a, when: {tier: [Core, Advance]}}", "did you mean 'Advanced'?"),
        (SCORE + "  - {name: a, when: {user_impact: Medium}}", "Fix: write one of Low, Moderate, High"),
        (HEAD + "secure_score:\n  connection: contoso\n  states: [{state: Canceld, control: Ignored}]",
         "no connection has a state 'Canceld'. Fix: did you mean 'Canceled'?"),
        (HEAD + "secure_score:\n  connection: contoso\n  states: [{phase: closed, control: Ignored, comment: "
         "'{{ ticket.numbr }}'}]", "'ticket' has no 'numbr'. Fix: did you mean 'ticket.number'?"),
        (route("fields: {cmdb_ci: '{{ resourse.id }}'}"), "is called 'resourse'. Fix: did you mean 'resource'?"),
        (route("fields: {x: '{{ signal.titel }}'}"), "'signal' has no 'titel'. Fix: did you mean 'signal.title'?"),
        (route("fields: {x: \"{{ signal['titel'] }}\"}"), "did you mean 'signal.title'?"),
        (route("fields: {x: '{{ resource.group or signal.title }}'}"), "'resource' has no 'group'"),
        (route("fields: {x: '{{ signal.title | uper }}'}"), "there is no filter 'uper'. Fix: did you mean 'upper'?"),
        (route("group: {by: '{{ signal.custom_propertys.x }}'}"), "did you mean 'signal.custom_properties'?"),
        (route("group: {by: resources}"), "did you mean 'resource'?"),
        (route("resolve: {fields: {state: 2}}"), "'2' does not end incident tickets: state Resolved (6) does"),
        (route("resolve: {fields: {state: In Progress}}"), "routes[0].resolve.fields.state"),
        (route("ticket: problem, resolve: {fields: {state: 6}}"), "Resolved (106)"),
        (HEAD + "defender: {integrations: [{name: a, connection: contoso, resolve_fields: {state: '1'}}]}",
         "defender.integrations[0].resolve_fields.state"),
        (SCORE.replace("rules:", "resolve_fields: {state: -5}"), "secure_score.resolve_fields.state"),
        (HEAD + "default: {connection: servicedesk}", "Fix: write contoso, or add it under connections"),
        (HEAD + DEFAULT + "delivery: {lease: soon}", "Fix: see 'DeliverySettings' in docs/configuration.md"),
        (HEAD + "    connect_timeout: 1h\n" + DEFAULT, "must be at most 1m"),
        (HEAD + DEFAULT + "defender: {poll: {every: 1s}}", "must be at least 15m"),
        (HEAD + DEFAULT + "maintenance: [{name: a, from: 2026-05-01T22:00:00, to: 2026-05-02T22:00:00Z}]",
         "has no time zone. Fix: write Z for UTC"),
        (HEAD + "default: {connection: *desk}", "*desk refers to an anchor that is not above it"),
        (HEAD + "default:\n\tconnection: contoso", "there is a tab. Indent with spaces"),
        (HEAD + "default: {connection: contoso, resolve: {action: resolv}}", "Fix: did you mean 'resolve'?"),
    ],
)  # fmt: skip
def test_what_can_never_work_is_a_mistake_with_the_fix(text: str, words: str) -> None:
    found = problems(text)
    assert any(words in line for line in found), found
    assert all("Fix:" in line for line in found), found
    assert not any("take it out" in line for line in found if "connection '" in line), found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {name: all, connection: contoso, when: {title: '*'}}\n- {name: b, connection: contoso, when: {kind: log}}",
         ["default: never reached", "routes[1].when: never reached: the route 'all' above takes all of its"]),
        ("- {name: a, connection: contoso, when: {kind: metric, severity: [0, 1]}}\n"
         "- {name: b, connection: contoso, when: {severity: [1, 0], kind: METRIC}}",
         ["routes[1].when: never reached: the route 'a' above has the same conditions. Fix: put it above 'a'"]),
        ("- {name: a, connection: contoso, when: {resource_group: 'rg-*'}}\n"
         "- {name: b, connection: contoso, when: {resource_group: ['rg-dev-*', rg-x], severity: 1}}",
         ["routes[1].when: never reached"]),
        ("- {name: a, connection: contoso, when: {source: azure_monitor}}\n"
         "- {name: b, connection: contoso, when: {kind: log}}", ["routes[1].when: never reached"]),
        ("- {name: a, connection: contoso, when: {kind: control, source: defender}}",
         ["routes[0].when: never holds: defender has no signals of this kind"]),
        ("- {name: a, connection: contoso, when: {tags: {team: '*'}}}\n"
         "- {name: b, connection: contoso, when: {tags: {Team: web, env: prod}}}", ["routes[1].when: never reached"]),
        ("- {name: a, connection: contoso, when: {title: '!test*'}}", ["routes[0].when.title: '!test*' is compared"]),
        ("- {name: a, connection: contoso, when: {not: {title: '!test*'}}}", ["routes[0].when.not.title: '!test*' is"]),
        ("- {name: a, connection: contoso, when: {kind: metric, severity: [0, 1]}}\n"
         "- {name: b, connection: contoso, when: {kind: metric, severity: [2, 3, 4, unknown]}}\n"
         "- {name: c, connection: contoso, when: {kind: [metric], rule: cpu}}",
         ["routes[2].when: never reached: the routes 'a' and 'b' above take all of its signals together. Fix: put it"]),
        ("- {name: a, connection: contoso, when: {source: azure_monitor}}\n"
         "- {name: b, connection: contoso, when: {not: {source: azure_monitor}}}",
         ["default: never reached: the routes 'a' and 'b' take every signal together. Fix: remove it"]),
        ("- {name: a, connection: contoso, when: {any: [{resource_group: rg-a}, {resource_group: rg-b}]}}\n"
         "- {name: b, connection: contoso, when: {resource_group: [rg-b, rg-a], severity: 1}}",
         ["routes[1].when: never reached: the route 'a' above takes all"]),
        ("- {name: a, connection: contoso, when: {not: {rule: 'test-*'}}}\n"
         "- {name: b, connection: contoso, when: {rule: cpu}}", ["routes[1].when: never reached: the route 'a'"]),
        ("- {name: a, connection: contoso, when: {not: {tags: {env: test}}}}\n"
         "- {name: b, connection: contoso, when: {kind: log, not: {tags: {env: 't*'}}}}",
         ["routes[1].when: never reached: the route 'a'"]),
        ("- {name: a, when: {kind: log}, ticket: none}\n"
         "- {name: b, connection: contoso, when: {kind: log, severity: 0}}", ["routes[1].when: never reached"]),
        ("- {name: a, connection: contoso, when: {rule: cpu, not: {rule: 'c*'}}}",
         ["routes[0].when: never holds: its conditions exclude each other. Fix: take one of them out"]),
        ("- {name: a, connection: contoso, when: {severity: 1, any: [{severity: 2}, {kind: log, not: {kind: log}}]}}",
         ["routes[0].when: never holds"]),
        ("- {name: a, connection: contoso, when: {kind: log}, resolve: {action: comment, fields: {close_code: x}}}",
         ["routes[0].resolve.fields: never written"]),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_a_warning(text: str, words: list[str]) -> None:
    found = config_warnings(f"{HEAD}{DEFAULT}routes:\n{text}\n", settings={})
    assert len(found) == len(words), found
    for line, word in zip(found, words, strict=True):
        assert re.match(r"bridge\.yaml:\d+: ", line)
        assert word in line
        assert "Fix:" in line


@pytest.mark.parametrize(
    "text",
    [
        "- {name: a, connection: contoso, when: {kind: metric, severity: 1}}\n"
        "- {name: b, connection: contoso, when: {kind: metric}}",
        "- {name: a, connection: contoso, when: {severity: [0, 1]}}\n- {name: b, connection: contoso, when: {severity: "
        "[2, 3]}}\n- {name: c, connection: contoso, when: {kind: metric}}",
        "- {name: a, connection: contoso, when: {not: {resource_group: rg-a}}}\n"
        "- {name: b, connection: contoso, when: {resource_group: rg-b}}",
        "- {name: a, connection: contoso, when: {not: {kind: log, severity: 1}}}\n"
        "- {name: b, connection: contoso, when: {kind: log, rule: x}}",
        "- {name: a, connection: contoso, when: {resource_group: rg-a, not: {resource_group: rg-b}}}",
        "- {name: a, connection: contoso, when: {any: [{kind: log}, {rule: x}]}}\n"
        "- {name: b, connection: contoso, when: {rule: 'x*'}}",
        "- {name: a, when: {kind: [activity, resource_health], details: {caller: '*@contoso.com'}}, ticket: none}\n"
        "- {name: b, when: {source: defender, details: {field.cmdb_ci: x}}, ticket: none}",
        "- {name: a, connection: contoso, when: {resource_group: 'rg-?'}}\n"
        "- {name: b, connection: contoso, when: {resource_group: 'rg-*'}}",
        "- {name: a, connection: contoso, when: {rule: '*'}}\n- {name: b, connection: contoso, when: {kind: budget}}",
        "- {name: a, connection: contoso, when: {kind: metric}}\n- {name: b, connection: contoso, when: {source: "
        "azure_monitor}}",
        "- {name: a, connection: contoso, when: {subscription: '11111111-*', kind: 'm*'}}\n"
        "- {name: b, connection: contoso, when: {kind: ['*_alert', Log], resource_group: 'MC_größe (a).b'}}",
    ],
)
def test_what_works_is_neither(text: str) -> None:
    assert config_warnings(f"{HEAD}{DEFAULT}routes:\n{text}\n", settings={}) == ()


def test_rules_of_sources_that_are_never_reached_are_warnings() -> None:
    found = config_warnings(
        SCORE + "  - {name: a, when: {max_score: 3}}\n  - {name: b, when: {max_score: 5, tier: Core}}\n  - {name: c}\n"
        "  - {name: d, when: {service: EXO}}\n"
        "defender:\n  integrations: [{name: x, connection: contoso}]\n  governance:\n"
        "  - {name: late, priority: 900, owner: {value: a@contoso.example}, scope: /subscriptions/"
        "11111111-1111-1111-1111-111111111111, when: {severity: 1}}\n"
        "  - {name: wide, priority: 1, owner: {value: b@contoso.example}}\n",
        settings={},
    )
    assert [line.split(": ")[1] for line in found] == [
        "secure_score.rules[1].when",
        "secure_score.rules[3].when",
        "defender.governance[0]",
    ]


def test_a_route_for_recommendations_that_integrations_take_is_a_warning() -> None:
    route = "routes:\n- {name: findings, connection: contoso, when: {kind: recommendation, severity: 1}}\n"
    section = "defender:\n  integrations: [{name: x, connection: contoso%s}]\n  governance:\n"
    rule = "  - {name: all, owner: {value: a@contoso.com}%s}\n"
    (found,) = config_warnings(HEAD + DEFAULT + route + section % "" + rule % "", settings={})
    assert "routes[0].when: never reached: the governance rule 'all' assigns every recommendation" in found
    for one, other in (
        (", disabled: true", ""),
        ("", ", disabled: true"),
        (", scope: /subscriptions/11111111-1111-1111-1111-111111111111", ""),
        ("", ", when: {severity: 0}"),
    ):
        assert config_warnings(HEAD + DEFAULT + route + section % one + rule % other, settings={}) == ()


def test_what_nothing_refers_to_is_a_warning() -> None:
    other = HEAD.replace("contoso:", "fabrikam:").split("connections:")[1]
    found = config_warnings(HEAD + other.lstrip("\n") + DEFAULT + "lookups: {teams: {a: b}}\n", settings={})
    assert ["nothing uses the connection 'fabrikam'" in found[0], "nothing uses the lookup 'teams'" in found[1]] == [
        True,
        True,
    ]


def test_the_shipped_file_and_the_example_of_the_docs_have_no_warnings() -> None:
    shipped = (ROOT / "bridge.yaml").read_text("utf-8")
    assert config_warnings(shipped, settings={"SERVICENOW_URL": "https://contoso.service-now.com"}) == ()


def _switched_on(text: str, name: str) -> str:
    """The shipped file with one of its commented sections or options in effect."""
    lines, on, found = text.split("\n"), False, False
    for place, line in enumerate(lines):
        begins = line.lstrip().startswith(f"# {name}:")
        on = begins or (on and line.lstrip().startswith("#   "))
        found = found or begins
        if on:
            lines[place] = line.replace("# ", "", 1)
    assert found, name
    return "\n".join(lines)


@pytest.mark.parametrize("names", [("export", "log_analytics"), ("log_rows",), ("reconcile",), ("alerts",)])
def test_what_the_shipped_file_shows_in_comments_works_when_it_is_switched_on(names: tuple[str, ...]) -> None:
    shipped = (ROOT / "bridge.yaml").read_text("utf-8")
    for name in names:
        shipped = _switched_on(shipped, name)
    settings = {
        "SERVICENOW_URL": "https://contoso.service-now.com",
        "LOGS_INGESTION_ENDPOINT": "https://dcr-contoso.westeurope-1.ingest.monitor.azure.com",
        "LOGS_INGESTION_RULE": f"dcr-{'0' * 32}",
    }
    assert config_warnings(shipped, settings=settings) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{type: basic, username: azure.bridge, password: {secret: servicenow-password}}", auth)
        for auth in (
            "{type: basic, username: azure.bridge, password: Sw0rdfish-1}",
            "{type: basic, username: azure.bridge, password: '${PASSWORD}'}",
            "{type: basic, username: azure.bridge, password: {secret: 'Sw0rdfish-1 !'}}",
            "{type: api_key, key: Sw0rdfish-1}",
            "{type: oauth_client_credentials, client_id: a, client_secret: Sw0rdfish-1}",
            "{type: oauth_client_credentials, client_id: a, client_secret: [Sw0rdfish-1]}",
            "{type: mutual_tls, certificate: Sw0rdfish-1, private_key: Sw0rdfish-1}",
            "{type: oauth_jwt_bearer, client_id: a, key_id: a, subject: a, private_key: Sw0rdfish-1}",
        )
    ],
)
def test_a_plain_secret_is_said_to_be_one_and_never_repeated(old: str, new: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config((HEAD + DEFAULT).replace(old, new), settings={"PASSWORD": "Sw0rdfish-1"})
    said = "\n".join(caught.value.problems)
    assert "Sw0rdfish" not in said
    assert "a secret is never written into this file" in said or "never its value" in said


def test_the_plug_ins_name_every_kind_that_their_payloads_become() -> None:
    known = {source.name: source.kinds for source in REGISTRY.sources}
    seen = set()
    for file in (ROOT / "tests/fixtures").rglob("*.expected.json"):
        found = json.loads(file.read_text("utf-8"))
        for signal in found if isinstance(found, list) else [found]:
            if isinstance(signal, dict) and "kind" in signal and "source" in signal:
                assert signal["kind"] in known[signal["source"]], file.name
                seen.add(signal["kind"])
    assert seen == {kind for kinds in known.values() for kind in kinds}


def test_no_payload_has_a_detail_that_is_said_to_be_of_other_kinds_only() -> None:
    known = {source.name: source.details() for source in REGISTRY.sources}
    seen: set[str] = set()
    for file in (ROOT / "tests/fixtures").rglob("*.expected.json"):
        found = json.loads(file.read_text("utf-8"))
        for signal in found if isinstance(found, list) else [found]:
            if not (isinstance(signal, dict) and "kind" in signal):
                continue
            names = known[signal["source"]]
            for detail in signal.get("details", {}):
                assert detail in names.names, (file.name, detail)
                kinds = names.only_of.get(detail)
                assert kinds is None or signal["kind"] in kinds, (file.name, detail)
                seen.add(detail)
    assert {"cause", "stage", "operation", "budget_amount", "protected_item"} <= seen
    assert all(names.only_of.keys() <= names.names for names in known.values())


#: Wrong values for every place of the file: of every type, too small, too large, of a wrong form.
WRONG: list[Any] = [
    7,
    -1,
    0.5,
    "",
    "x y^",
    "1s",
    "99999d",
    "z" * 300,
    True,
    None,
    [[]],
    [7],
    {"a": 1},
    "2026-01-01",
    "{{",
]

#: Words of the libraries that nobody else knows.
RAW = re.compile(
    r"pydantic|datetime\.|Input|String should|Value error|ictionary|instance of|validator|Traceback|None|tuple|"
    r"timedelta|<\w+\.\w+|\^\[|\\d|jinja|<built|object at|\bstr\b|\bint\b",
)

Place = tuple[str | int, ...]


def places(model: type[BaseModel], path: Place = ()) -> Iterator[Place]:
    """The paths of all settings: in sections, and in the first entry of lists of sections."""
    for name, field in model.model_fields.items():
        here: Place = (*path, field.alias or name)
        yield here
        if here == ("connections",):
            here = ("connections", "contoso")
        for inner, listed in _models(field.annotation):
            if len(path) < 4 and inner is not model:  # conditions inside conditions are like those around them
                yield from places(inner, (*here, 0) if listed else here)


def _models(annotation: Any, listed: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, listed
    elif typing.get_origin(annotation) is not None:
        for one in typing.get_args(annotation):
            yield from _models(one, listed or typing.get_origin(annotation) is list)


def with_value(place: Place, value: Any) -> dict[str, Any]:
    """A valid file but for one value."""
    data: dict[str, Any] = yaml.safe_load(HEAD + DEFAULT)
    here: Any = data
    for step, following in pairwise(place):
        empty: Any = [{}] if following == 0 else {}
        if step != 0 and not (isinstance(here, dict) and isinstance(here.get(step), type(empty))):
            here[step] = empty
        here = here[step]
    here[place[-1]] = value
    return data


def test_no_text_of_a_library_is_shown_whatever_is_wrong() -> None:
    """Every setting of the model is given every wrong value; what is said is ours, and names the fix or the docs."""
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    headings = {line.lstrip("# ") for line in page.splitlines() if line.startswith("#")}
    wrong: list[str] = []
    tried = 0
    for place in sorted(set(places(config_model(REGISTRY))), key=str):
        for value in WRONG:
            tried += 1
            try:
                parse_config(json.dumps(with_value(place, value)), settings={})
            except ConfigurationError as error:
                for line in error.problems:
                    section = re.search(r"see '(\w[\w.]*)' in docs/configuration\.md", line)
                    named = section is None or section[1] in headings
                    if RAW.search(line.split(": ", 2)[-1]) or "Fix:" not in line or not named:
                        wrong.append(line)
    assert wrong == []
    assert tried > 2000
