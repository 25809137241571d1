"""Resource Graph: the query language as far as it goes, pages, formats, quota, errors."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.azure import Simulator
from tests.azure_simulator.support import Control, body

PATH = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
FINDINGS = "securityresources | where type == 'microsoft.security/assessments'"


def ask(client: httpx.Client, query: str, **more: Any) -> httpx.Response:
    return client.post(PATH, json={"query": query, **more})


def rows(client: httpx.Client, query: str, **more: Any) -> list[dict[str, Any]]:
    return list(body(ask(client, query, **more))["data"])


def failed(answer: httpx.Response, status: int = 400) -> list[str]:
    error = body(answer, status)["error"]
    return [error["code"], *(detail["code"] for detail in error["details"])]


def test_the_query_of_the_documentation_runs(arm: httpx.Client, control: Control) -> None:
    query = """
        securityresources
        | where type == "microsoft.security/assessments" and properties.status.code == "Unhealthy"
        | project id, name, subscriptionId, resourceGroup, tenantId,
           displayName=tostring(properties.displayName), severity=tostring(properties.metadata.severity),
           resourceId=tostring(properties.resourceDetails.Id), cause=tostring(properties.status.cause),
           changed=todatetime(properties.status.statusChangeDate), link=tostring(properties.links.azurePortal)
        | order by id asc
    """
    answer = body(ask(arm, query))
    found = answer["data"]
    assert (answer["count"], answer["totalRecords"], answer["resultTruncated"]) == (len(found), 9, "false")
    assert "$skipToken" not in answer
    assert [row["id"] for row in found] == sorted(row["id"] for row in found)
    assert {row["severity"] for row in found} == {"High", "Medium"}
    assert all(row["resourceId"] and row["link"] and row["changed"].endswith("Z") for row in found)
    assert any(row["id"].startswith("/SUBSCRIPTIONS/") for row in found)
    assert {row["link"].startswith("https://") for row in found} == {True, False}
    sources = {row["properties"]["resourceDetails"]["Source"] for row in rows(arm, FINDINGS)}
    assert sources == {"Azure", "OnPremise", "Aws", "Gcp"}


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("type =~ 'Microsoft.Security/Assessments'", 12),
        ("type == 'Microsoft.Security/Assessments'", 0),
        ("type in~ ('MICROSOFT.SECURITY/ASSESSMENTS', 'x')", 12),
        ("type !in ('microsoft.security/assessments')", 4),
        ("type contains 'SubAssess'", 3),
        ("type startswith 'microsoft.security/assessments/'", 3),
        ("properties.status.cause == 'Exempt'", 1),
        ("properties.status.cause != 'Exempt' and type endswith '/assessments'", 11),
        ("isnotempty(properties.status.cause) and type !endswith 'subassessments'", 2),
        ("properties.displayName has 'vulnerability'", 3),
        ("properties.displayName has 'vulner'", 0),
        ("properties.displayName has 'ulnerability'", 0),
        ("not(type has 'assessments')", 1),
        ("(properties.status.severity == 'High' or properties.severity == 'Medium')", 2),
        ("properties['status']['code'] =~ 'healthy'", 1),
        ("todatetime(properties.status.statusChangeDate) > ago(8d)", 12),
        ("todatetime(properties.status.statusChangeDate) < ago(7h) // comment\n", 12),
        ("properties.status.statusChangeDate > datetime(2100-01-01)", 0),
        ("array_length(properties.metadata.threats) == 2", 12),
        ("split(id, '/')[1] =~ 'subscriptions' and array_length(properties.metadata.threats) >= 3", 0),
    ],
)
def test_conditions(arm: httpx.Client, condition: str, count: int) -> None:
    assert rows(arm, f"securityresources | where {condition} | count") == [{"Count": count}]


def test_operators_shape_the_result(arm: httpx.Client) -> None:
    shaped = rows(
        arm,
        f"{FINDINGS} | extend code = tostring(properties.status.code), key = extract('assessments/(.+)$', 1, id)"
        " | summarize found = count() by code | order by found desc, code asc",
    )
    assert shaped == [
        {"code": "Unhealthy", "found": 9},
        {"code": "NotApplicable", "found": 2},
        {"code": "Healthy", "found": 1},
    ]
    top = rows(arm, f"{FINDINGS} | top 2 by name | project name, upper=toupper(strcat(name, '-', 1 ))")
    assert len(top) == 2
    assert top[0]["name"] > top[1]["name"]
    assert top[0]["upper"] == f"{top[0]['name'].upper()}-1"
    away = rows(arm, f"{FINDINGS} | project id, name, type | project-away id, type | distinct name | take 3")
    assert [row.keys() for row in away] == [{"name"}] * 3
    assert rows(arm, f"{FINDINGS} | project properties.status.code | limit 1")[0].keys() == {"properties_status_code"}


def test_alerts_resources_and_subscriptions_are_there_too(arm: httpx.Client, clouds: Simulator) -> None:
    alerts = rows(
        arm,
        "alertsmanagementresources | where properties.essentials.startDateTime > ago(12h) "
        "| project alertId = id, condition = tostring(properties.essentials.monitorCondition)",
    )
    assert {row["condition"] for row in alerts} == {"Fired"}
    owners = rows(
        arm, "Resources | where isnotempty(tags) | extend owner = coalesce(tags.owner, tags.Owner) | project owner"
    )
    assert {row["owner"] for row in owners} == {"lee.gu@contoso.example", "ada.winterfeld@contoso.example"}
    names = rows(arm, "resourcecontainers | project name, subscriptionId | order by name asc")
    assert [row["name"] for row in names] == ["Contoso Development", "Contoso Production"]
    assert rows(arm, "where type =~ 'microsoft.keyvault/vaults' | count") == [{"Count": 1}]


def test_scopes_narrow_and_never_widen(arm: httpx.Client, stranger: httpx.Client, clouds: Simulator) -> None:
    production, development = clouds.subscriptions
    query = f"{FINDINGS} | count"
    assert rows(arm, query, subscriptions=[development.upper()]) == [{"Count": 1}]
    assert rows(arm, query, subscriptions=[production, clouds.other_subscriptions[0]]) == [{"Count": 11}]
    assert rows(arm, query, managementGroups=["Contoso-Production"]) == [{"Count": 11}]
    for other in (
        ask(arm, query, subscriptions=[clouds.other_subscriptions[0]]),
        ask(stranger, query),
        ask(arm, query, managementGroups=["fabrikam-root"]),
    ):
        assert failed(other) == ["BadRequest", "NoValidSubscriptionsInQueryRequest"]


def test_pages_need_the_id(arm: httpx.Client) -> None:
    first = body(ask(arm, f"{FINDINGS} | project id, name | order by id asc", options={"$top": 5}))
    seen, token = [row["id"] for row in first["data"]], first["$skipToken"]
    assert (first["count"], first["totalRecords"], first["resultTruncated"]) == (5, 12, "false")
    for _ in range(5):
        options = {"$top": 5, "$skipToken": token}
        page = body(ask(arm, f"{FINDINGS} | project id, name | order by id asc", options=options))
        seen += [row["id"] for row in page["data"]]
        token = page.get("$skipToken")
        if not token:
            break
    assert len(seen) == len(set(seen)) == 12
    without = body(ask(arm, f"{FINDINGS} | project name", options={"$top": 5}))
    assert "$skipToken" not in without
    assert (without["count"], without["resultTruncated"]) == (5, "true")
    assert failed(ask(arm, FINDINGS, options={"$skipToken": "mine"})) == ["BadRequest", "InvalidSkipToken"]


def test_without_an_order_rows_come_as_they_like_but_pages_agree(arm: httpx.Client) -> None:
    query = f"{FINDINGS} | project id"
    starts = {body(ask(arm, query, options={"$top": 1}))["data"][0]["id"] for _ in range(4)}
    assert len(starts) > 1
    seen, options = [], {"$top": 5}
    for _ in range(5):
        page = body(ask(arm, query, options=options))
        seen += [row["id"] for row in page["data"]]
        if "$skipToken" not in page:
            break
        options = {"$top": 5, "$skipToken": page["$skipToken"]}
    assert len(seen) == len(set(seen)) == 12


def test_a_page_has_a_hundred_rows_and_at_most_a_thousand(arm: httpx.Client, control: Control) -> None:
    made = control.post("/populate", subscriptions=3, assessments=400)
    assert made["assessments"] == 1200
    query = f"{FINDINGS} | project id | order by id asc"
    assert body(ask(arm, query))["count"] == 100
    page = body(ask(arm, query, options={"$top": 1000}))
    assert (page["count"], page["totalRecords"]) == (1000, 1212)
    rest = body(ask(arm, query, options={"$skipToken": page["$skipToken"]}))
    assert (rest["count"], "$skipToken" in rest) == (212, False)
    assert body(ask(arm, query, options={"$top": 1000, "$skip": 1200}))["count"] == 12
    assert failed(ask(arm, query, options={"$top": 1001}))[0] == "BadRequest"


def test_changes_are_seen_at_once(arm: httpx.Client, control: Control) -> None:
    query = f"{FINDINGS} | where properties.status.code == 'Unhealthy' | project id"
    found = rows(arm, query)
    control.post("/assessments", id=found[0]["id"], code="Healthy")
    assert len(rows(arm, query)) == len(found) - 1
    control.delete("/assessments", id=found[1]["id"])
    assert len(rows(arm, query)) == len(found) - 2


def test_the_table_format(arm: httpx.Client) -> None:
    query = f"{FINDINGS} | project name, properties | order by name asc"
    data = body(ask(arm, query, options={"resultFormat": "table", "$top": 2}))["data"]
    assert data["columns"] == [{"name": "name", "type": "string"}, {"name": "properties", "type": "object"}]
    assert [len(row) for row in data["rows"]] == [2, 2]
    old = arm.post(PATH.replace("2022-10-01", "2019-04-01"), json={"query": query})
    assert body(old)["data"].keys() == {"columns", "rows"}


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("securityresource | count", "DisallowedLogicalTableName"),
        ("securityresources | where", "ParserFailure"),
        ("securityresources | where type ==", "ParserFailure"),
        ("securityresources | where type == 'open", "ParserFailure"),
        ("securityresources | where nothing == 1", "ParserFailure"),
        ("securityresources | project id | where name == 'x'", "ParserFailure"),
        ("securityresources | join (resources) on id", "InvalidQueryLanguage"),
        ("securityresources | where frobnicate(id) == 1", "ParserFailure"),
        ("securityresources where type == 'x'", "ParserFailure"),
    ],
)
def test_bad_queries_say_where(arm: httpx.Client, control: Control, query: str, codes: str) -> None:
    assert failed(ask(arm, query)) == ["BadRequest", "InvalidQuery", codes]
    assert control.last_request()["note"]


def test_the_place_of_the_mistake_is_told(arm: httpx.Client) -> None:
    detail = body(ask(arm, "securityresources\n| where nothing == 1"), 400)["error"]["details"][1]
    assert (detail["line"], detail["characterPositionInLine"], detail["token"]) == (2, 8, "nothing")


def test_fifteen_queries_in_five_seconds(arm: httpx.Client, reader: httpx.Client, control: Control) -> None:
    control.post("/clock", freeze=True)
    query = f"{FINDINGS} | count"
    answers = [ask(arm, query) for _ in range(15)]
    assert [answer.headers["x-ms-user-quota-remaining"] for answer in answers] == [
        str(left) for left in range(14, -1, -1)
    ]
    assert answers[-1].headers["x-ms-user-quota-resets-after"] == "00:00:05"
    control.post("/clock", advance=2)
    refused = ask(arm, query)
    assert failed(refused, 429) == ["RateLimiting", "RateLimiting"]
    assert (refused.headers["x-ms-user-quota-resets-after"], refused.headers["Retry-After"]) == ("00:00:03", "3")
    assert ask(reader, query).status_code == 200
    control.post("/clock", advance=3)
    assert ask(arm, query).headers["x-ms-user-quota-remaining"] == "14"


def test_throttling_can_be_ordered_and_the_tenant_limit_shown(arm: httpx.Client, control: Control) -> None:
    control.order("throttle", match={"operation": "Microsoft.ResourceGraph/resources/read"}, times=1, retry_after=4)
    refused = ask(arm, FINDINGS)
    assert (failed(refused, 429)[0], refused.headers["Retry-After"]) == ("RateLimiting", "4")
    control.set(graph_subscription_limit_hit=True)
    assert ask(arm, FINDINGS).headers["x-ms-tenant-subscription-limit-hit"] == "true"


def test_union_adds_the_rows_of_another_table(arm: httpx.Client) -> None:
    groups = rows(arm, "resourcecontainers | where type endswith 'subscriptions' | project id, tags")
    machines = rows(arm, "resources | where type =~ 'Microsoft.Compute/virtualMachines' | project id, name")
    both = rows(
        arm,
        "resources | where type =~ 'Microsoft.Compute/virtualMachines' | project id, name "
        "| union (resourcecontainers | where type endswith 'subscriptions' | project id, tags) | order by id asc",
    )
    assert len(both) == len(groups) + len(machines)
    assert [row["id"] for row in both] == sorted(row["id"] for row in both)
    assert all(set(row) == {"id", "name", "tags"} for row in both)


def test_union_takes_known_tables_in_brackets_and_three_at_most(arm: httpx.Client) -> None:
    more = " | union (resourcecontainers | project id)"
    assert rows(arm, f"resources | project id{more * 3} | count")
    assert failed(ask(arm, f"resources | project id{more * 4}"))[0] == "BadRequest"
    assert failed(ask(arm, "resources | union resourcecontainers"))[0] == "BadRequest"
    assert failed(ask(arm, "resources | union (nothing | project id)"))[0] == "BadRequest"
    assert failed(ask(arm, "resources | union (resourcecontainers | project id"))[0] == "BadRequest"
