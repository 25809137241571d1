"""What is affected: ids in every form, each resource once, the precise before the vague."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.microsoft.azure_resources import ResourceList, parse_id
from tests.payloads.support import SUB, VM, WORKSPACE, activity_log, common, event, log, metric, metric_alert, read

GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-shop-prod"
SUBSCRIPTION = f"/subscriptions/{SUB}"
COMPONENT = f"{GROUP}/providers/Microsoft.Insights/components/appi-shop"


def ids(body: Any) -> list[str | None]:
    return [resource.id or resource.name for resource in read(body).resources]


@pytest.mark.parametrize(
    ("text", "name", "kind", "group", "subscription"),
    [
        (VM, "vm-shop-web-01", "Microsoft.Compute/virtualMachines", "rg-shop-prod", SUB),
        (VM.upper(), "VM-SHOP-WEB-01", "MICROSOFT.COMPUTE/VIRTUALMACHINES", "RG-SHOP-PROD", SUB.upper()),
        (
            f"{GROUP}/providers/Microsoft.Sql/servers/s/databases/d",
            "s/d",
            "Microsoft.Sql/servers/databases",
            "rg-shop-prod",
            SUB,
        ),
        (
            f"{VM}/providers/Microsoft.Security/assessments/key",
            "vm-shop-web-01/key",
            "Microsoft.Security/assessments",
            "rg-shop-prod",
            SUB,
        ),
        (SUBSCRIPTION, SUB, "Microsoft.Resources/subscriptions", None, SUB),
        (SUBSCRIPTION + "/", SUB, "Microsoft.Resources/subscriptions", None, SUB),
        (GROUP, "rg-shop-prod", "Microsoft.Resources/resourceGroups", "rg-shop-prod", SUB),
        (
            f"{SUBSCRIPTION}/providers/Microsoft.Consumption/budgets/b",
            "b",
            "Microsoft.Consumption/budgets",
            None,
            SUB,
        ),
        (
            "/providers/Microsoft.Management/managementGroups/mg",
            "mg",
            "Microsoft.Management/managementGroups",
            None,
            None,
        ),
        (VM.lstrip("/"), "vm-shop-web-01", "Microsoft.Compute/virtualMachines", "rg-shop-prod", SUB),
        (f"{GROUP}/providers/Microsoft.Compute/vm1", "vm1", "Microsoft.Compute", "rg-shop-prod", SUB),
        (
            f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v/backupFabrics/Azure/protectionContainers/"
            "VMAppContainer;Compute;rg;vm/protectedItems/SQLDataBase;MSSQLSERVER;Orders",
            "v/Azure/VMAppContainer;Compute;rg;vm/SQLDataBase;MSSQLSERVER;Orders",
            "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
            "rg-shop-prod",
            SUB,
        ),
        (f"{GROUP}/providers/Microsoft.Web/sites/my%20site", "my%20site", "Microsoft.Web/sites", "rg-shop-prod", SUB),
        (
            "/subscriptions/<sub>/resourceGroups/.../providers/Microsoft.Web/sites/*",
            "*",
            "Microsoft.Web/sites",
            "...",
            "<sub>",
        ),
    ],
)
def test_an_arm_id_of_any_form_is_taken_apart(
    text: str, name: str, kind: str, group: str | None, subscription: str | None
) -> None:
    found = parse_id(text)
    assert (found.name, found.type, found.resource_group, found.subscription_id) == (name, kind, group, subscription)
    assert found.id == text.rstrip("/")


@pytest.mark.parametrize("name", ["vm-1", "fs01.contoso.example", "ns/pod-7", "27bb8787-1ea6-49dd-99f0-1e40419edfc5"])
def test_a_bare_name_has_no_id(name: str) -> None:
    (resource,) = read(common(alertTargetIDs=[name])).resources
    assert (resource.id, resource.name, resource.type) == (None, name, None)


def test_the_same_id_in_two_spellings_is_listed_once_as_first_spelt() -> None:
    assert ids(common(alertTargetIDs=[VM.lower(), VM, VM.lstrip("/").upper(), VM + "/"])) == [VM.lower()]


def test_a_bare_name_of_a_listed_resource_is_not_listed_again_wherever_it_comes_first() -> None:
    body = common(
        log(searchQuery="q", dimensions=[{"name": "Computer", "value": "VM-shop-web-01"}]),
        configurationItems=["vm-shop-web-01"],
    )
    assert ids(body) == [VM]


def test_a_nested_resource_that_is_listed_by_its_last_segment_too_is_listed_once() -> None:
    instance = f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/vmss-web/virtualMachines/0"
    signal = read(common(log(searchQuery="q"), configurationItems=["0"], alertTargetIDs=[instance]))
    assert [(resource.id, resource.name) for resource in signal.resources] == [(instance, "vmss-web/0")]
    assert signal.title == "cpu-high on vmss-web/0"


def test_a_log_alert_prefers_dimensions_then_items_then_targets() -> None:
    dimensions = [
        {"name": "Computer", "value": "alias-of-vm"},
        {"name": "Resource", "value": "thing"},
        {"name": "_ResourceId", "value": VM},
    ]
    body = common(log(searchQuery="q", dimensions=dimensions), configurationItems=["item"], alertTargetIDs=[COMPONENT])
    assert ids(body) == [VM, "thing", "item", COMPONENT]


def test_a_record_of_the_workspace_itself_still_names_its_computer() -> None:
    dimensions = [{"name": "_ResourceId", "value": WORKSPACE}, {"name": "Computer", "value": "web-1"}]
    assert ids(common(log(searchQuery="q", dimensions=dimensions), alertTargetIDs=[WORKSPACE])) == ["web-1"]


@pytest.mark.parametrize("collector", [WORKSPACE.lower(), SUBSCRIPTION, GROUP])
def test_workspace_group_and_subscription_stand_only_where_nothing_better_is_known(collector: str) -> None:
    dimension = [{"name": "Computer", "value": "web-1.contoso.example"}]
    assert ids(common(log(searchQuery="q", dimensions=dimension), alertTargetIDs=[collector])) == [
        "web-1.contoso.example"
    ]
    assert ids(common(log(searchQuery="q"), alertTargetIDs=[collector])) == [collector]


def test_a_workspace_and_its_own_name_are_the_workspace() -> None:
    body = common(log(searchQuery="q"), alertTargetIDs=[WORKSPACE], configurationItems=["log-contoso"])
    assert ids(body) == [WORKSPACE]


def test_a_workspace_is_closer_than_its_subscription() -> None:
    assert ids(common(alertTargetIDs=[SUBSCRIPTION, WORKSPACE])) == [WORKSPACE]


def test_a_metric_over_many_resources_names_the_one_in_a_dimension() -> None:
    dimension = {"name": "microsoft.resourceId", "value": VM}
    assert ids(common(metric({"metricName": "m", "dimensions": [dimension]}), alertTargetIDs=[GROUP])) == [VM]
    body = metric_alert(resourceId=GROUP, condition={"allOf": [{"metricName": "m", "dimensions": [dimension]}]})
    assert ids(body) == [VM]


def test_a_metric_of_a_workspace_names_the_machine_in_a_dimension() -> None:
    dimension = {"name": "Computer", "value": "web-1"}
    assert ids(common(metric({"metricName": "m", "dimensions": [dimension]}), alertTargetIDs=[WORKSPACE])) == ["web-1"]


def test_a_metric_alert_on_the_workspace_itself_names_the_workspace() -> None:
    body = common(metric({"metricName": "m"}), alertTargetIDs=[WORKSPACE], configurationItems=["log-contoso"])
    assert ids(body) == [WORKSPACE]


def test_a_dimension_called_resource_id_of_a_metric_is_no_resource() -> None:
    dimension = {"name": "ResourceId", "value": "web-host-7"}
    assert ids(common(metric({"metricName": "m", "dimensions": [dimension]}))) == [VM]


def test_prometheus_names_the_cluster_rather_than_the_monitor_workspace() -> None:
    account = f"{GROUP}/providers/microsoft.monitor/accounts/amw"
    cluster = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/aks-shop"
    labels = {"cluster": "aks-shop", "microsoft.resourceid": cluster}

    def body(**found: str) -> dict[str, Any]:
        return common({"expression": "up", "labels": found}, monitoringService="Prometheus", alertTargetIDs=[account])

    assert ids(body(**labels)) == [cluster]
    assert ids(body(cluster="aks-shop")) == ["aks-shop"]
    assert ids(body()) == [account]


def test_a_backup_alert_names_the_machine_then_the_item_then_the_vault() -> None:
    vault = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/rsv"
    item = f"{vault}/backupFabrics/Azure/protectionContainers/c;c/protectedItems/i;i"

    def body(**context: str) -> dict[str, Any]:
        return common({"category": "Jobs", **context}, monitoringService="Azure Backup", alertTargetIDs=[vault])

    assert ids(body(linkedResourceId=VM, protectedItemId=item, linkedResourceName="vm-shop-web-01")) == [VM]
    assert ids(body(protectedItemId=item, affectedItems=item)) == [item]
    assert ids(body()) == [vault]


def test_an_activity_names_scope_entity_and_target_once() -> None:
    fields = {"authorization": {"scope": VM}, "operationName": "x"}
    assert ids(event("Activity Log - Administrative", fields, entity=VM.lower())) == [VM]


def test_an_autoscale_event_names_the_scaled_resource_not_the_setting() -> None:
    scaled = f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/vmss"
    body = event("Activity Log - Autoscale", None, resourceName=scaled)
    body["data"]["essentials"]["alertTargetIDs"] = [f"{GROUP}/providers/microsoft.insights/autoscalesettings/s"]
    assert ids(body) == [scaled]


def test_a_security_alert_names_the_attacked_entity_when_its_only_id_is_its_own() -> None:
    own = f"{GROUP}/providers/Microsoft.Security/locations/centralus/alerts/a-1"
    fields = {"eventSource": "Security", "eventDataId": "a-1", "resourceId": own}
    assert ids(activity_log(fields, compromisedEntity="LinuxVM1")) == ["LinuxVM1"]
    assert ids(activity_log({**fields, "resourceId": VM}, compromisedEntity="LinuxVM1")) == [VM]
    assert ids(activity_log(fields)) == [own]


@pytest.mark.parametrize("column", ["_ResourceId", "ResourceId", "Computer"])
def test_rows_of_an_old_log_alert_name_resources(column: str) -> None:
    rows = [["x", VM], ["x", VM.lower()], ["x", None], ["x"], "odd"]
    results = {"tables": [{"columns": [{"name": "a"}, {"name": column}], "rows": rows}]}
    context = {"SearchQuery": "q", "ResultCount": 2, "SearchResults": results}
    assert ids(common(context, monitoringService="Log Analytics", alertTargetIDs=[WORKSPACE])) == [VM]


def test_affected_items_of_an_old_log_alert_count_and_rows_are_bounded() -> None:
    rows = [[f"web-{number}"] for number in range(5000)]
    results = {"tables": [{"columns": [{"name": "Computer"}], "rows": rows}]}
    context = {"SearchQuery": "q", "SearchResults": results, "AffectedConfigurationItems": ["web-4999"]}
    found = ids(common(context, monitoringService="Log Analytics", alertTargetIDs=[WORKSPACE]))
    assert found[:2] == ["web-0", "web-1"]
    assert len(found) == 50


def test_only_the_first_rows_of_an_old_log_alert_are_searched() -> None:
    rows = [["web-0"]] * 1_000 + [["web-1"]]
    results = {"tables": [{"columns": [{"name": "Computer"}], "rows": rows}]}
    assert ids(common({"SearchQuery": "q", "SearchResults": results}, alertTargetIDs=[WORKSPACE])) == ["web-0"]


def test_the_workspace_behind_an_old_log_alert_is_the_last_resort() -> None:
    results = {"tables": [], "dataSources": [{"resourceId": WORKSPACE}]}
    flat = {"AlertRuleName": "r", "SearchQuery": "q", "SearchResult": results, "SubscriptionId": SUB}
    assert ids(flat) == [WORKSPACE]
    del flat["SearchResult"]
    assert ids(flat) == [SUBSCRIPTION]


@pytest.mark.parametrize("nothing", [None, "", "null", "None", "N/A", "<null>", "/", "//", [], {}, True])
def test_what_means_nothing_names_no_resource(nothing: Any) -> None:
    found = ResourceList()
    found.add(None if nothing is True else nothing)
    assert found.result() == []


def test_an_id_longer_than_any_of_azure_is_left_out_and_reported() -> None:
    signal = read(common(alertTargetIDs=[VM + "/x" * 600]))
    assert signal.resources == ()
    assert signal.warnings == ("A resource id longer than any that Azure gives was left out.",)
