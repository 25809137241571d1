"""What is deployed for the export of tickets: infra/modules/export*.bicep and infra/export."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from connectors.log_analytics.columns import LOG_STREAM, LOG_TABLE, TABLES, TICKETS_STREAM, TICKETS_TABLE
from local.workbook.items import PORTAL, WORKSPACE
from local.workbook.queries import FUNCTIONS, names, placeholders, read
from tests.infra.bicep import EXPORT, EXPORT_ALERTS, EXPORT_TABLES, MAIN, ROOT, body, only, parse, settings, text

TABLES_FILE = ROOT / "infra" / "export" / "tables.json"
WORKBOOK_FILE = ROOT / "infra" / "export" / "workbook.json"

#: Source: "Logs Ingestion API" and "Create a custom table" (types of a stream, types of a table).
STREAM_TYPES = {"string", "int", "long", "real", "boolean", "dynamic", "datetime"}
TABLE_TYPES = {"string", "int", "long", "real", "boolean", "dynamic", "dateTime", "guid"}


def given(module: str) -> dict[str, Any]:
    """Parameters of a module, as they were written."""
    return {name: text(one) for name, one in body(parse(MAIN)["modules"][module])["params"].items()}


def file_of(value: dict[str, Any]) -> str:
    """Path of the file that an expression loads, from the folder of the project."""
    function = value["function"]
    assert function["type"] in ("load_text_content", "load_json_content")
    found = (EXPORT.parent / function["parameters"]["file_path"]).resolve()
    assert found.is_file()
    return str(found.relative_to(ROOT).as_posix())


def test_given_nothing_is_asked_for_then_nothing_is_made_and_no_setting_is_there() -> None:
    template = parse(MAIN)
    assert template["parameters"]["exportTickets"]["default"] is False
    for module in ("exportTables", "export", "exportAlerts"):
        assert template["modules"][module]["config"]["condition"] == "exportTickets"
    assert not {name for name in settings(template) if name.startswith("LOGS_")}
    access = MAIN.read_text(encoding="utf-8").partition("module appAccess")[2].partition("\nmodule ")[0]
    assert "ruleRoles: exportTickets ? [\n      monitoringMetricsPublisher\n    ] : []" in access


def test_given_the_export_then_the_app_knows_where_rows_go_and_may_send_them() -> None:
    own = settings(parse(MAIN), export=True)
    assert own["LOGS_INGESTION_ENDPOINT"] == "export.outputs.endpoint"
    assert own["LOGS_INGESTION_RULE"] == "export.outputs.immutableId"
    outputs = {name: text(one["value"]) for name, one in parse(EXPORT)["outputs"].items()}
    assert outputs["endpoint"] == "rule.properties.endpoints.logsIngestion"
    assert outputs["immutableId"] == "rule.properties.immutableId"
    assert given("appAccess")["ruleName"] == "exportTickets ? exportRule : "
    assert given("export")["ruleName"] == "exportRule"
    assert body(parse(MAIN)["modules"]["appAccess"])["dependsOn"] == ["export"], "the rule is there before its role"


def test_the_settings_are_the_ones_that_the_shipped_configuration_names() -> None:
    shipped = (ROOT / "bridge.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"\$\{(LOGS_\w+)\}", shipped))
    assert named == {name for name in settings(parse(MAIN), export=True) if name.startswith("LOGS_")}


def test_one_parameter_names_another_workspace_and_its_group_and_subscription_are_taken_from_it() -> None:
    source = MAIN.read_text(encoding="utf-8")
    assert "var exportWorkspace = empty(exportWorkspaceId) ? logs.id : exportWorkspaceId\n" in source
    assert "fail('exportWorkspaceId: no resource id of a workspace')" in source
    assert "scope: resourceGroup(exportWorkspaceParts[2], exportWorkspaceParts[4])" in source
    workspace = "/subscriptions/A/resourceGroups/B/providers/Microsoft.OperationalInsights/workspaces/C"
    example = workspace.split("/")
    assert (len(example), example[2], example[4], example[8]) == (9, "A", "B", "C")
    assert given("exportTables")["workspaceName"] == "exportWorkspaceParts[8]"
    for module in ("export", "exportAlerts"):
        assert given(module)["workspaceId"] == "exportWorkspace"
        assert given(module)["location"] == "exportTables.outputs.location", "a rule is in the region of its workspace"
    assert text(parse(EXPORT_TABLES)["outputs"]["location"]["value"]) == "workspace.location"


def test_tables_and_streams_have_the_columns_of_the_connector() -> None:
    written = json.loads(TABLES_FILE.read_text(encoding="utf-8"))
    assert written["tables"].keys() == TABLES.keys()
    assert written["streams"].keys() == {TICKETS_STREAM, LOG_STREAM}
    for stream, table in ((TICKETS_STREAM, TICKETS_TABLE), (LOG_STREAM, LOG_TABLE)):
        declared = [(one.name, one.type.value) for one in TABLES[table]]
        assert [(one["name"], one["type"]) for one in written["streams"][stream]] == declared
        assert [(one["name"], one["type"].lower()) for one in written["tables"][table]] == declared
        assert {one["type"] for one in written["streams"][stream]} <= STREAM_TYPES
        assert {one["type"] for one in written["tables"][table]} <= TABLE_TYPES
    variables = parse(EXPORT)["variables"]
    assert (variables["ticketsStream"]["value"], variables["logStream"]["value"]) == (TICKETS_STREAM, LOG_STREAM)
    for file in (EXPORT, EXPORT_TABLES):
        assert file_of(parse(file)["variables"]["schema"]["value"]) == "infra/export/tables.json"


@pytest.mark.parametrize("table", TABLES)
def test_columns_keep_the_rules_of_log_analytics(table: str) -> None:
    reserved = {"_resourceid", "id", "_subscriptionid", "tenantid", "type", "uniqueid", "title"}
    columns = [one.name for one in TABLES[table]]
    assert table.endswith("_CL")
    assert "TimeGenerated" in columns
    assert len({name.lower() for name in columns}) == len(columns)
    for name in columns:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,44}", name), name
        assert name.lower() not in reserved


def test_the_rule_takes_both_streams_directly_and_passes_them_on_as_they_are() -> None:
    rule = only(parse(EXPORT), "Microsoft.Insights/dataCollectionRules")
    assert rule["kind"] == "Direct"
    assert "dataCollectionEndpointId" not in rule["properties"]
    assert rule["properties"]["destinations"]["logAnalytics"] == [
        {"name": "workspace", "workspaceResourceId": "workspaceId"}
    ]
    flows = rule["properties"]["dataFlows"]
    assert [one["streams"] for one in flows] == [["ticketsStream"], ["logStream"]]
    for flow in flows:
        assert flow["outputStream"] == flow["streams"][0]
        assert (flow["transformKql"], flow["destinations"]) == ("source", ["workspace"])


def test_tables_are_for_analytics_and_kept_as_long_as_was_asked_for() -> None:
    tables = only(parse(EXPORT_TABLES), "Microsoft.OperationalInsights/workspaces/tables")["properties"]
    assert tables["plan"] == "Analytics", "workbooks and alert rules need it"
    assert tables["retentionInDays"] == tables["totalRetentionInDays"] == "retentionDays"
    assert given("exportTables")["retentionDays"] == "exportRetentionDays"


def test_every_function_is_saved_under_its_name_before_those_that_need_it() -> None:
    template = parse(EXPORT_TABLES)
    functions = [(one["name"], file_of(one["query"])) for one in template["variables"]["functions"]["value"]]
    assert functions == [(name, f"infra/export/functions/{name}.kql") for name in FUNCTIONS]
    for place, name in enumerate(FUNCTIONS):
        needed = set(re.findall(r"\b(ServiceDesk\w+)\(\)", read(f"functions/{name}")))
        assert needed <= set(FUNCTIONS[:place])
    saved = only(template, "Microsoft.OperationalInsights/workspaces/savedSearches")
    assert {text(saved["properties"][one]) for one in ("displayName", "functionAlias")} == {"function.name"}
    assert text(saved["properties"]["query"]) == "function.query"
    assert saved["etag"] == "*", "or a second deployment is refused"


def test_the_workbook_is_the_written_one_with_workspace_and_portal_put_in() -> None:
    template = parse(EXPORT)
    assert file_of(template["variables"]["workbookText"]["value"]) == "infra/export/workbook.json"
    source = EXPORT.read_text(encoding="utf-8")
    replaced = f"replace(replace(workbookText, '{WORKSPACE}', workspaceId), '{PORTAL}', environment().portal)"
    assert f"serializedData: {replaced}\n" in source
    written = WORKBOOK_FILE.read_text(encoding="utf-8")
    assert set(re.findall(r"__[A-Z]+__", written)) == {WORKSPACE, PORTAL}
    workbook = only(template, "Microsoft.Insights/workbooks")
    assert workbook["kind"] == "shared"
    assert workbook["properties"]["sourceId"] == "workspaceId"


RULES = [("lag", "lateExport", "alerts/export_lag"), ("parked", "parkedItems", "alerts/parked")]


@pytest.mark.parametrize(("resource", "variable", "query"), RULES)
def test_an_alert_rule_runs_its_file_and_tells_the_receivers_of_the_bridge(
    resource: str, variable: str, query: str
) -> None:
    template = parse(EXPORT_ALERTS)
    rule = body(template["resources"][resource])["properties"]
    (condition,) = rule["criteria"]["allOf"]
    assert condition["query"] == variable
    loaded = template["variables"][variable]["value"]
    if loaded["function"]["type"] == "replace":
        replaced = loaded["function"]["parameters"]
        assert {replaced["old_string"].strip("{}")} == placeholders(read(query)) == {"ThresholdMinutes"}
        loaded = replaced["original_string"]
    else:
        assert not placeholders(read(query))
    assert file_of(loaded) == f"infra/export/{query}.kql"
    assert (condition["timeAggregation"], condition["operator"], condition["threshold"]) == ("Count", "GreaterThan", 0)
    assert rule["scopes"] == ["workspaceId"]
    assert (rule["enabled"], rule["autoMitigate"], rule["skipQueryValidation"]) == (True, True, True)
    assert rule["actions"] == {"actionGroups": "actionGroupIds"}
    assert "docs/log-analytics.md, Alert rules" in rule["description"]
    assert "\n## Alert rules\n" in (ROOT / "docs" / "log-analytics.md").read_text(encoding="utf-8")


def test_each_query_of_an_alert_rule_is_deployed() -> None:
    assert {query for _, _, query in RULES} == set(names("alerts"))


def test_a_late_export_is_one_alert_for_each_connection_and_an_export_that_stopped_is_seen_for_two_days() -> None:
    template = parse(EXPORT_ALERTS)
    lag, parked = (body(template["resources"][name])["properties"] for name in ("lag", "parked"))
    (dimension,) = lag["criteria"]["allOf"][0]["dimensions"]
    assert dimension == {"name": "Connection", "operator": "Include", "values": ["*"]}
    assert "dimensions" not in parked["criteria"]["allOf"][0]
    assert (lag["windowSize"], parked["windowSize"]) == ("P2D", "PT1H")
    assert given("exportAlerts")["lagMinutes"] == "exportLagMinutes"
    source = MAIN.read_text(encoding="utf-8")
    assert "actionGroupIds: watched ? [\n      watch!.outputs.actionGroupId\n    ] : []" in source
