"""From exported action groups to routes: what the real loader takes, what is a comment, and how bad input is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.configuration import config_warnings, parse_config
from cli import app
from cli.itsm_import.exports import Exports, read_export
from cli.itsm_import.routes import routes_text
from shared.config.model import BridgeConfig

EXPORTS = Path(__file__).parent / "exports"
LIST, TEMPLATE = EXPORTS / "action-group-list.json", EXPORTS / "resource-group-template.json"

HEAD = """\
version: 1
connections:
  servicenow: &desk
    type: servicenow
    url: https://contoso.service-now.com
    auth: {type: api_key, key: {secret: key}}
  events: *desk
"""


def imported(*files: Path, connections: dict[str, str] | None = None) -> str:
    found = Exports()
    for file in files:
        read_export(file.name, file.read_bytes(), found)
    assert found.mistakes == []
    return routes_text(found, {"": "servicenow", **(connections or {})})


def loaded(text: str) -> BridgeConfig:
    return parse_config(HEAD + text, settings={})


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments], input=stdin)
    return done.exit_code, done.output


def test_given_the_list_of_the_azure_cli_when_it_is_imported_then_the_loader_takes_routes_with_the_fixed_values() -> (
    None
):
    text = imported(LIST, connections={"a3b9076c-0000-4000-8000-000000000002": "events"})
    shop, events = loaded(text).routes
    assert (shop.name, shop.connection, shop.ticket) == ("ag-shop", "servicenow", "incident")
    assert shop.fields == {
        "contact_type": "email",
        "impact": "3",
        "urgency": "2",
        "category": "request",
        "subcategory": "password",
    }
    assert (events.name, events.connection, events.ticket) == ("ag-events", "events", "event")
    assert events.fields == {"type": "azure"}
    assert config_warnings(HEAD + text, settings={}) == ()


def test_given_what_cannot_be_carried_over_when_it_is_imported_then_a_comment_says_so_and_why() -> None:
    text = imported(LIST)
    for comment in (
        "# not carried over: priority: fields.priority: ServiceNow computes priority and overwrites it silently",
        "# not carried over: node: the value has characters of a template",
        "work item type Alert: the bridge sends an event",
        "The action group is disabled, so there is no route for it.",
        "Its ITSM action raise-incident (Incident on connection a3b9076c-0000-4000-8000-000000000001) made a second",
        "give each of them the custom property itsm_action_group",
        "CreateOneWIPerCI off: log alerts of one rule shared a work item",
    ):
        assert comment in text, text
    text = imported(TEMPLATE)
    assert "UseTemplate: the values of the ServiceNow template are not in the export" in text
    assert "CreateOneWIPerLog: a ticket for each row of a log alert" in text
    assert "    group: {by: row}" in text


def test_given_a_template_with_alert_rules_when_it_is_imported_then_the_route_names_the_rules_of_its_group() -> None:
    (shop,) = loaded(imported(TEMPLATE)).routes
    assert shop.when.rule == [
        "cpu-high",
        "heartbeat missing",
        "nsg-deleted",
        "failure anomalies",
        "kube/KubePodCrashLooping",
    ]
    _, events = loaded(imported(LIST, TEMPLATE)).routes
    assert events.when.rule == ["heartbeat missing"], "rules of one file are known for groups of another"
    assert imported(LIST, LIST) == imported(LIST).replace("4 action groups", "8 action groups"), (
        "no action counts twice"
    )


def test_given_imported_routes_when_an_alert_of_one_of_its_rules_is_previewed_then_its_ticket_has_the_values(
    tmp_path: Path,
) -> None:
    file = tmp_path / "bridge.yaml"
    code, said = run("import-itsm-actions", str(TEMPLATE), "--output", str(tmp_path / "routes.yaml"))
    assert (code, "1 routes from 1 ITSM actions" in said) == (0, True)
    file.write_text(HEAD + (tmp_path / "routes.yaml").read_text())
    alert = {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": "11111111-2222-4333-8444-555555555555",
                "alertRule": "cpu-high",
                "severity": "Sev2",
                "monitorCondition": "Fired",
                "monitoringService": "Platform",
                "firedDateTime": "2026-03-01T12:00:00Z",
            },
            "alertContext": {},
        },
    }
    code, shown = run("--config", str(file), "preview", "-", stdin=json.dumps(alert))
    assert code == 0, shown
    item = json.loads(shown)
    assert (item["route"], item["connection"]) == ("ag-shop", "servicenow")
    assert item["ticket"]["fields"]["category"] == "request"


def receiver(**changes: Any) -> str:
    """An export with one ITSM action."""
    ticket = {"WorkItemType": "Incident", "WorkItemData": "{}"}
    one = {"name": "raise", "connectionId": "c", "workspaceId": "w", "ticketConfiguration": json.dumps(ticket)}
    return json.dumps([{"name": "ag", "groupShortName": "ag", "itsmReceivers": [{**one, **changes}]}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "standard input:1:1: no JSON: Expecting value. Fix: export it again"),
        ('[\n{"name": }]', "standard input:2:10: no JSON"),
        ("[]", "standard input: has no action group and no alert rule. Fix: export the resource group"),
        ('{"resources": 7}', "has no action group and no alert rule"),
        ('[{"groupShortName": "x", "itsmReceivers": []}]', "action group: name is missing"),
        ('[{"name": "ag", "itsmReceivers": {}}, {"name": "ag", "itsmReceivers": 1}]', "itsmReceivers is no list"),
        ('[{"name": "ag", "itsmReceivers": [7]}]', "action group ag: itsmReceivers[0]: is no object"),
        (receiver(name=""), "action group ag: itsmReceivers[0]: name is missing"),
        (receiver(ticketConfiguration=None), "itsmReceivers[0]: ticketConfiguration is missing"),
        (receiver(ticketConfiguration="{'a'"), "itsmReceivers[0]: ticketConfiguration is no JSON"),
        (receiver(ticketConfiguration="[1]"), "itsmReceivers[0]: ticketConfiguration is no JSON object"),
        (receiver(ticketConfiguration='{"WorkItemData": "x"}'), "ticketConfiguration.WorkItemData is no JSON"),
        (receiver(name="[concat('a', 'b')]"), "name is the expression [concat('a', 'b')]. Fix: write its value"),
        (receiver(name=r"\ud800").replace(r"\\u", r"\u"), "half of a surrogate pair"),
        ('[{"name": "ag", "groupShortName": "ag"}]', "none of 1 action groups has an ITSM action"),
    ],
)
def test_given_a_file_that_cannot_be_read_when_it_is_imported_then_place_and_fix_are_named(
    content: str, said: str
) -> None:
    code, output = run("import-itsm-actions", "-", stdin=content)
    assert (code, said in " ".join(output.split())) == (1, True), output
    assert "routes:" not in output


def test_given_wrong_options_when_the_command_runs_then_it_says_what_to_write(tmp_path: Path) -> None:
    code, output = run("import-itsm-actions", str(LIST), "--connection", "=x")
    assert (code, "write NAME, or ID=NAME" in output) == (2, True)
    code, output = run("import-itsm-actions", "nowhere.json")
    assert (code, "nowhere.json: No such file" in output) == (2, True)
    code, output = run("import-itsm-actions", str(LIST), "--output", str(tmp_path))
    assert (code, "Is a directory" in output) == (2, True)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.lists(TEXTS, max_size=2), st.just("{{ x }} ${Y}"))


@settings(max_examples=40, deadline=None)
@given(
    name=TEXTS,
    group=TEXTS,
    kind=TEXTS,
    rule=TEXTS,
    data=st.dictionaries(st.one_of(TEXTS, st.just("category")), VALUES, max_size=3),
)
def test_whatever_an_export_says_the_loader_takes_what_is_made_of_it(
    name: str, group: str, kind: str, rule: str, data: dict[str, Any]
) -> None:
    ticket = {"WorkItemType": kind, "WorkItemData": json.dumps(data)}
    one = {"name": name, "connectionId": kind, "workspaceId": rule, "ticketConfiguration": json.dumps(ticket)}
    groups = [{"name": group, "groupShortName": "x", "itsmReceivers": [one]}]
    rules = [{"name": rule, "actions": [{"actionGroupId": f"/x/actionGroups/{group}"}]}]
    found = Exports()
    read_export("x.json", json.dumps([*groups, *rules]).encode(), found)
    if found.mistakes:
        return
    text = routes_text(found, {"": "servicenow"})
    assert len(loaded(text).routes) == 1, text
    assert len(yaml.safe_load(text)["routes"]) == 1
