"""The role that the bridge has in the subscriptions it follows is the one that the simulators hold it to."""

from __future__ import annotations

from typing import Any

from local.azure.demo.identities import BRIDGE_ACTIONS
from tests.infra.bicep import ROOT, body, only, parse, text

SOURCES = ROOT / "infra" / "sources.bicep"

#: Used by tests of the simulator alone.
_ONLY_TESTS = {"Microsoft.Security/locations/alerts/*", "Microsoft.Security/subAssessments/read"}


def actions(template: dict[str, Any], variable: str) -> set[str]:
    return {str(value).strip("'") for value in template["variables"][variable]["value"]}


def test_the_role_holds_what_the_simulator_of_resource_manager_asks_for_and_no_more() -> None:
    template = parse(SOURCES)
    reads, writes = actions(template, "reads"), actions(template, "writes")
    assert reads | writes == set(BRIDGE_ACTIONS) - _ONLY_TESTS
    assert all(action.endswith("/read") for action in reads)
    assert not any(action.endswith("/read") or "*" in action for action in writes)


def test_who_does_not_want_azure_to_be_told_gives_no_right_to_write() -> None:
    template = parse(SOURCES)
    assert template["parameters"]["tellsAzure"]["default"] is True
    (permission,) = only(template, "Microsoft.Authorization/roleDefinitions")["properties"]["permissions"]
    assert "tellsAzure" in str(permission["actions"])
    assert permission["notActions"] == []


def test_the_role_is_given_to_the_identity_of_the_app_alone() -> None:
    template = parse(SOURCES)
    assignment = only(template, "Microsoft.Authorization/roleAssignments")["properties"]
    assert (assignment["principalId"], assignment["principalType"]) == ("principalId", "ServicePrincipal")
    assert text(assignment["roleDefinitionId"]) == "role.id"
    assert body(template["resources"]["role"])["properties"]["type"] == "CustomRole"
