"""infra/main.bicep means what infra/README.md says. No compiler of Bicep runs here: syntax, names and meaning only."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from lark.exceptions import UnexpectedInput

from app.registry import REGISTRY
from tests.infra.bicep import (
    ACCESS,
    ACTION_GROUP,
    CONSENT,
    EXPORT,
    EXPORT_ALERTS,
    EXPORT_TABLES,
    FILES,
    MAIN,
    ROOT,
    WATCH,
    body,
    leaves,
    names,
    only,
    parse,
    text,
)

#: Source: "Azure built-in roles" (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
BUILT_IN = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return parse(MAIN)


def roles(template: dict[str, Any], module: str, where: str) -> set[str]:
    """Names of the built-in roles that a module is given, by the ids behind its variables."""
    by_id = {v: k for k, v in BUILT_IN.items()}
    given = body(template["modules"][module])["params"][where]
    return {by_id[template["variables"][variable]["value"]] for variable in given}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_file_parses_and_every_name_in_it_is_declared_and_used(file: Path) -> None:
    template = parse(file)
    declared, used = names(file.read_text(encoding="utf-8"))
    assert used <= declared
    idle = set(template.get("parameters", {})) | set(template.get("variables", {}))
    assert idle <= used, "declared, and then not used"


def test_the_parser_refuses_what_is_no_bicep(tmp_path: Path) -> None:
    broken = tmp_path / "broken.bicep"
    broken.write_text(MAIN.read_text(encoding="utf-8").replace("properties: {", "properties: [", 1), encoding="utf-8")
    with pytest.raises(UnexpectedInput):
        parse(broken)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_every_parameter_is_described_and_no_api_is_a_preview(file: Path) -> None:
    template = parse(file)
    for name, parameter in template["parameters"].items():
        assert any(d["type"] == "description" for d in parameter["decorators"]), name
    versions = {r["api_version"] for r in template["resources"].values()}
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", version) for version in versions)


def test_a_module_gets_exactly_the_parameters_that_it_has(template: dict[str, Any]) -> None:
    files = {name: MAIN.parent / module["detail"]["path"] for name, module in template["modules"].items()}
    assert files == {
        "appAccess": ACCESS,
        "consentAccess": CONSENT,
        "operatorAccess": ACCESS,
        "watch": WATCH,
        "exportTables": EXPORT_TABLES,
        "export": EXPORT,
        "exportAlerts": EXPORT_ALERTS,
    }
    for name, module in template["modules"].items():
        assert set(body(module)["params"]) == set(parse(files[name])["parameters"])


def test_storage_takes_no_key_no_old_tls_and_no_stranger(template: dict[str, Any]) -> None:
    storage = only(template, "Microsoft.Storage/storageAccounts")["properties"]
    assert storage["allowSharedKeyAccess"] is False
    assert storage["allowBlobPublicAccess"] is False
    assert storage["supportsHttpsTrafficOnly"] is True
    assert storage["minimumTlsVersion"] == "TLS1_2"
    container = only(template, "Microsoft.Storage/storageAccounts/blobServices/containers")
    assert container["properties"]["publicAccess"] == "None"


def test_secrets_cannot_be_purged_and_are_guarded_by_roles(template: dict[str, Any]) -> None:
    vault = only(template, "Microsoft.KeyVault/vaults")["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enableSoftDelete"] is True
    assert vault["enablePurgeProtection"] is True
    assert "accessPolicies" not in vault


def test_the_app_runs_as_its_managed_identity_on_flex_consumption(template: dict[str, Any]) -> None:
    plan = only(template, "Microsoft.Web/serverfarms")
    assert plan["sku"] == {"tier": "FlexConsumption", "name": "FC1"}
    assert plan["properties"]["reserved"] is True  # Linux
    app = only(template, "Microsoft.Web/sites")
    assert app["kind"] == "functionapp,linux"
    assert app["properties"]["httpsOnly"] is True
    assert app["identity"]["type"] == "UserAssigned"
    assert [name.strip("'") for name in app["identity"]["userAssignedIdentities"]] == ["${identity.id}"]
    assert template["resources"]["identity"]["type"] == "Microsoft.ManagedIdentity/userAssignedIdentities"
    assert set(app["dependsOn"]) == {"appAccess", "packages"}, "without its roles the app fails when it starts"
    package = app["properties"]["functionAppConfig"]["deployment"]["storage"]
    assert package["value"] == "${storage.properties.primaryEndpoints.blob}${packageContainer}"
    assert package["authentication"]["type"] == "UserAssignedIdentity"
    assert text(package["authentication"]["userAssignedIdentityResourceId"]) == "identity.id"
    container = only(template, "Microsoft.Storage/storageAccounts/blobServices/containers")
    assert container["name"] == "packageContainer"


def test_the_app_runs_on_a_python_that_the_project_is_tested_with(template: dict[str, Any]) -> None:
    runtime = only(template, "Microsoft.Web/sites")["properties"]["functionAppConfig"]["runtime"]
    assert runtime["version"] == "pythonVersion"
    example = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))["Values"]
    assert runtime["name"] == example["FUNCTIONS_WORKER_RUNTIME"]
    parameter = template["parameters"]["pythonVersion"]
    (allowed,) = [d["argument"] for d in parameter["decorators"] if d["type"] == "allowed"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == ">=3.11,<3.14"
    assert [version.strip("'") for version in allowed] == ["3.11", "3.12", "3.13"]
    assert parameter["default"] == "3.13"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in makefile
    assert set(re.findall(r"--python-version (\S+)", makefile)) == {"3.11"}, "pins resolve from the oldest on"
    assert makefile.count("--universal") == 3, "and for every later one"
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    library = dict(re.findall(r"^azure-functions==(\d+)\S* ; python_full_version (\S+ '3\.13')", pinned, re.MULTILINE))
    assert library == {"1": "< '3.13'", "2": ">= '3.13'"}
    assert f"newest={parameter['default']}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("parameter", "group"), [("alwaysReadyInstances", "http"), ("alwaysReadyDeliveries", "function:deliver")]
)
def test_what_is_kept_warm_is_a_group_of_functions_that_the_app_has(
    template: dict[str, Any], parameter: str, group: str
) -> None:
    scale = only(template, "Microsoft.Web/sites")["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["instanceMemoryMB"] == "instanceMemory"
    assert template["parameters"][parameter]["default"] == 0, "costs nothing unless it is asked for"
    written = str(scale["alwaysReady"])
    assert f"'{group}'" in written.replace('"', "'")
    assert parameter in written
    triggers = (ROOT / "function_app.py").read_text(encoding="utf-8")
    name = group.removeprefix("function:")
    assert name == "http" or f'@app.function_name("{name}")' in triggers


def test_role_ids_are_those_of_the_roles_they_are_named_after(template: dict[str, Any]) -> None:
    def variable(role: str) -> str:
        return role[0].lower() + role[1:].replace(" ", "")

    written = {name: str(variable["value"]) for name, variable in template["variables"].items()}
    ids = {name: value for name, value in written.items() if re.fullmatch(r"[0-9a-f-]{36}", value)}
    assert ids == {variable(role): identifier for role, identifier in BUILT_IN.items()}


def test_the_app_gets_the_roles_that_its_error_message_asks_for_and_no_more(template: dict[str, Any]) -> None:
    storage = (ROOT / "shared" / "platform" / "storage.py").read_text(encoding="utf-8")
    vault = (ROOT / "connectors" / "key_vault" / "secrets.py").read_text(encoding="utf-8")
    asked = set(re.findall(r"Storage \w+ Data \w+", storage))
    assert roles(template, "appAccess", "storageRoles") == asked
    consent = body(template["modules"]["consentAccess"])["params"]
    written = {"Key Vault Secrets Officer"} if consent["role"] == "keyVaultSecretsOfficer" else set()
    named = set(re.findall(r"role '(Key Vault [\w ]+)'", vault))
    assert (roles(template, "appAccess", "vaultRoles"), written) == (
        {"Key Vault Secrets User"},
        named - {"Key Vault Secrets User"},
    )
    access = body(template["modules"]["appAccess"])["params"]
    assert text(access["principalId"]) == "identity.properties.principalId"
    assert access["principalType"] == "ServicePrincipal"


def test_operators_get_what_the_handbook_says_they_need(template: dict[str, Any]) -> None:
    handbook = " ".join((ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split())
    named = set(re.findall(r"Storage (?:Blob|Queue|Table) Data (?:Message Sender|\w+)", handbook))
    assert roles(template, "operatorAccess", "storageRoles") == named
    # To set secrets; it holds all that Key Vault Secrets User may do.
    assert roles(template, "operatorAccess", "vaultRoles") == {"Key Vault Secrets Officer"}
    assert template["parameters"]["operatorId"]["default"] == ""
    assert "condition" in template["modules"]["operatorAccess"]["config"]


def test_roles_reach_no_further_than_storage_vault_and_rule() -> None:
    template = parse(ACCESS)
    assignments = [r for r in template["resources"].values() if not r["existing"]]
    assert {r["type"] for r in assignments} == {"Microsoft.Authorization/roleAssignments"}
    scopes = {body(r)["scope"]: r["config"]["loop_type"]["detail"]["array_name"] for r in assignments}
    assert scopes == {"storage": "storageRoles", "vault": "vaultRoles", "rule": "ruleRoles"}
    for assignment in assignments:
        inner = body(assignment)
        parts = inner["name"]["function"]["parameters"].values()
        assert {text(part) for part in parts} == {f"{inner['scope']}.id", "principalId", "role"}
        assert inner["properties"]["principalId"] == "principalId"
        definition = inner["properties"]["roleDefinitionId"]["function"]
        assert definition["type"] == "subscription_resource_id"
        assert definition["parameters"]["resource_type"] == "Microsoft.Authorization/roleDefinitions"
        assert definition["parameters"]["resource_name_1"] == "role"


def test_the_app_may_write_the_secrets_of_consents_and_no_other(template: dict[str, Any]) -> None:
    assert template["parameters"]["consents"]["default"] == []
    module = parse(CONSENT)
    (assignment,) = [body(r) for r in module["resources"].values() if not r["existing"]]
    assert assignment["scope"] == "consent"
    secret = body(module["resources"]["consent"])
    assert (secret["parent"], secret["name"]) == ("vault", "consentName")
    parts = assignment["name"]["function"]["parameters"].values()
    assert {text(part) for part in parts} == {"consent.id", "principalId", "role"}
    given = body(template["modules"]["consentAccess"])["params"]
    assert text(given["principalId"]) == "identity.properties.principalId"
    assert given["consentName"] == "consentName"


def test_no_secret_goes_in_unguarded_and_no_key_comes_out(template: dict[str, Any]) -> None:
    for file in FILES:
        for name, parameter in parse(file).get("parameters", {}).items():
            secret = bool(re.search(r"key|secret|password|credential|webhooks$", name, re.IGNORECASE))
            assert secret is any(d["type"] == "secure" for d in parameter["decorators"]), name
    source = MAIN.read_text(encoding="utf-8") + ACCESS.read_text(encoding="utf-8")
    assert not re.search(r"\blist[A-Z]\w*\(|AccountKey|SharedAccess|InstrumentationKey", source)
    for name, output in template["outputs"].items():
        written = str(text(output["value"]))
        assert "webhookKey" not in written, name
        assert not re.search(r"code=|connectionstring|secret", written, re.IGNORECASE), name
    assert "webhookKey" not in template["parameters"], "keys are there only once the app is published"


def test_the_webhook_is_the_route_of_the_app_with_the_common_schema(template: dict[str, Any]) -> None:
    prefix = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["http"]["routePrefix"]
    (route,) = [intake.route for source in REGISTRY.sources for intake in source.intakes if intake.name == "alerts"]
    assert template["variables"]["webhookPath"]["value"] == f"/{prefix}/{route}"
    url = "https://${app.properties.defaultHostName}${webhookPath}"
    assert template["outputs"]["webhookUrl"]["value"] == url
    assert template["variables"]["healthPath"]["value"] == f"/{prefix}/health"
    assert template["outputs"]["healthUrl"]["value"] == url.replace("${webhookPath}", "${healthPath}")
    alone = parse(ACTION_GROUP)
    assert alone["variables"]["webhookPath"] == template["variables"]["webhookPath"]
    group = only(alone, "Microsoft.Insights/actionGroups")["properties"]
    (receiver,) = group["webhookReceivers"]
    assert receiver["useCommonAlertSchema"] is True
    assert receiver["serviceUri"] == url + "?code=${uriComponent(webhookKey)}"
    assert len(group["groupShortName"]) <= 12


def test_making_the_action_group_leaves_the_app_and_its_settings_as_they_are(template: dict[str, Any]) -> None:
    made = [r["type"] for r in parse(ACTION_GROUP)["resources"].values() if not r["existing"]]
    assert made == ["Microsoft.Insights/actionGroups"]
    readme = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    step, _, later = readme.partition("## 5. The action group")[2].partition("## 6.")
    assert later
    assert "infra/action-group.bicep" in step
    assert "main.bicep" not in step, "it would set every parameter that is left out back to its default"
    assert parse(ACTION_GROUP)["parameters"]["token"] == template["parameters"]["token"] | {
        "decorators": parse(ACTION_GROUP)["parameters"]["token"]["decorators"]
    }


def test_names_fit_the_limits_of_azure(template: dict[str, Any]) -> None:
    (longest,) = [d["argument"] for d in template["parameters"]["token"]["decorators"] if d["type"] == "max_length"]
    limits = {"Microsoft.Storage/storageAccounts": 24, "Microsoft.KeyVault/vaults": 24}
    for kind, limit in limits.items():
        assert len(only(template, kind)["name"].replace("${token}", "x" * longest)) <= limit


def test_the_files_for_azd_name_what_is_there(template: dict[str, Any]) -> None:
    given = json.loads((ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]
    assert set(given) <= set(template["parameters"])
    required = {name for name, p in template["parameters"].items() if p["default"] is None}
    assert required <= set(given)
    secure = {n for n, p in template["parameters"].items() if any(d["type"] == "secure" for d in p["decorators"])}
    assert not secure & set(given), "a secret has no place in a file"
    azd = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
    assert ROOT / azd["infra"]["path"] / f"{azd['infra']['module']}.bicep" == MAIN
    ((service, how),) = azd["services"].items()
    assert how == {"project": ".", "language": "python", "host": "function"}
    tags = {name.strip("'"): value for name, value in leaves(only(template, "Microsoft.Web/sites")["tags"])}
    assert tags == {"azd-service-name": service}


def test_the_readme_names_parameters_and_outputs_that_exist(template: dict[str, Any]) -> None:
    readme = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    commands = "\n".join(re.findall(r"```console\n(.*?)```", readme, re.DOTALL)).replace("\\\n", " ")
    calls = re.findall(r"--template-file (\S+)\s+--parameters ([^\n]*)", commands)
    assert {file for file, _ in calls} == {"infra/main.bicep", "infra/action-group.bicep", "infra/sources.bicep"}
    for file, rest in calls:
        given = re.findall(r"(?:^|\s)(\w+)=", rest)
        assert given
        parameters = parse(ROOT / file)["parameters"]
        required = {name for name, one in parameters.items() if one["default"] is None}
        assert required <= set(given) <= set(parameters)
    rows = set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE))
    assert rows == set(template["parameters"]) | set(template["outputs"])


def test_commands_of_the_docs_find_an_identity_that_is_user_assigned_as_the_templates_is() -> None:
    pages = [ROOT / "README.md", ROOT / "infra" / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("\\\n", " ")
    commands = re.findall(r"az functionapp identity show[^\n]*", text)
    assert commands
    for command in commands:
        assert "userAssignedIdentities.*.principalId" in command, "principalId alone is of a system-assigned one"
