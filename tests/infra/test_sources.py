"""The role that the bridge has in the subscriptions it follows is enough for what it does, and Azure accepts it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from connectors.azure_monitor.check import CHANGE_STATE
from connectors.defender.check import ASSIGN
from connectors.microsoft.permissions import Permission, lacking
from local.azure.demo.identities import BRIDGE_ACTIONS
from tests.infra.bicep import ROOT, body, only, parse, text

SOURCES = ROOT / "infra" / "sources.bicep"

#: With its source. Azure refuses a custom role with an action that matches none of the published ones.
PUBLISHED: list[str] = json.loads((Path(__file__).parent / "published_operations.json").read_text("utf-8"))["actions"]

#: Used by tests of the simulator alone.
_ONLY_TESTS = {"Microsoft.Security/locations/alerts/*"}

_ACTION = re.compile(r"Microsoft\.[A-Za-z]+(?:/[A-Za-z]+)+/(?:read|write|delete|action|\*)(?![\w/])")


def actions(template: dict[str, Any], variable: str) -> set[str]:
    return {str(value).strip("'") for value in template["variables"][variable]["value"]}


def unpublished(named: Iterable[str]) -> list[str]:
    """Those of some actions, with ``*`` for any text, that no published action matches."""
    known = [action.lower() for action in PUBLISHED]
    return sorted(one for one in set(named) if not any(fnmatchcase(action, one.lower()) for action in known))


def test_every_action_of_the_role_is_one_that_microsoft_publishes() -> None:
    template = parse(SOURCES)
    named = [actions(template, variable) for variable in ("reads", "writes", "queries")]
    assert unpublished(set().union(*named)) == []
    assert unpublished(BRIDGE_ACTIONS) == [], "the simulators' role could not be made in Azure"


def test_every_action_that_docs_and_advice_tell_people_to_give_is_published() -> None:
    files = [*(ROOT / "docs").glob("*.md"), *(ROOT / "infra").rglob("*.*"), ROOT / "README.md"]
    files += [file for part in ("app", "cli", "connectors", "shared") for file in (ROOT / part).rglob("*.py")]
    named = {action for file in files for action in _ACTION.findall(file.read_text(encoding="utf-8"))}
    assert len(named) > 10, "the pattern finds them"
    assert unpublished(named) == []


def test_an_action_that_is_not_published_would_be_found() -> None:
    refused = "Microsoft.Security/assessments/governanceAssignments/delete"
    assert unpublished([refused, refused.replace("delete", "*"), "Microsoft.Security/alert/*"]) == [
        "Microsoft.Security/alert/*",
        refused,
    ]


def test_the_role_allows_all_that_the_bridge_does_there_and_no_more_than_the_simulators_do() -> None:
    template = parse(SOURCES)
    reads, writes = actions(template, "reads"), actions(template, "writes")
    queries = actions(template, "queries")
    assert reads | writes | queries == set(BRIDGE_ACTIONS) - _ONLY_TESTS
    assert all(action.endswith("/read") for action in reads)
    assert lacking([Permission(tuple(reads | writes))], [CHANGE_STATE, *ASSIGN]) == []
    assert lacking([Permission(tuple(reads))], [CHANGE_STATE, *ASSIGN]) == [CHANGE_STATE, *ASSIGN[1:]]
    assert {action for action in writes if "*" in action} == {f"{ASSIGN[0].removesuffix('/read')}/*"}


def test_who_does_not_want_azure_to_be_told_gives_no_right_to_write() -> None:
    template = parse(SOURCES)
    assert template["parameters"]["tellsAzure"]["default"] is True
    (permission,) = only(template, "Microsoft.Authorization/roleDefinitions")["properties"]["permissions"]
    assert "tellsAzure" in str(permission["actions"])
    assert permission["notActions"] == []


def test_logs_are_queried_only_where_that_is_asked_for_and_nothing_but_queried() -> None:
    template = parse(SOURCES)
    assert template["parameters"]["queriesLogs"]["default"] is False
    (permission,) = only(template, "Microsoft.Authorization/roleDefinitions")["properties"]["permissions"]
    assert "queriesLogs" in str(permission["actions"])
    assert all("/query/" in action or "/logs/" in action for action in actions(template, "queries"))
    assert all(action.endswith("/read") for action in actions(template, "queries"))


def test_the_role_is_given_to_the_identity_of_the_app_alone() -> None:
    template = parse(SOURCES)
    assignment = only(template, "Microsoft.Authorization/roleAssignments")["properties"]
    assert (assignment["principalId"], assignment["principalType"]) == ("principalId", "ServicePrincipal")
    assert text(assignment["roleDefinitionId"]) == "role.id"
    assert body(template["resources"]["role"])["properties"]["type"] == "CustomRole"
