"""Somebody is told when the bridge is down, by ways that do not pass through the bridge: infra/modules/watch.bicep."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.bicep import MAIN, ROOT, WATCH, body, only, parse, text

#: By cloud, as environment().name calls it. Source: Microsoft Learn, "Application Insights availability tests",
#: "Location population tags".
TAGS = {
    "AzureCloud": {
        "emea-au-syd-edge", "latam-br-gru-edge", "us-fl-mia-edge", "apac-hk-hkn-azr", "us-va-ash-azr",
        "emea-ch-zrh-edge", "emea-fr-pra-edge", "apac-jp-kaw-edge", "emea-gb-db3-azr", "us-il-ch1-azr",
        "us-tx-sn1-azr", "apac-sg-sin-azr", "emea-se-sto-edge", "emea-nl-ams-azr", "us-ca-sjc-azr", "emea-ru-msa-edge",
    },
    "AzureUSGovernment": {
        "usgov-va-azr", "usgov-phx-azr", "usgov-tx-azr", "usgov-ddeast-azr", "usgov-ddcentral-azr",
    },
    "AzureChinaCloud": {"mc-cne-azr", "mc-cne2-azr", "mc-cnn-azr", "mc-cnn2-azr"},
}  # fmt: skip

#: Seconds within which GET /api/health answers, also when it does overdue work first.
SLOWEST_ANSWER = 20


@pytest.fixture(scope="module")
def watch() -> dict[str, Any]:
    return parse(WATCH)


def value(watch: dict[str, Any], variable: str) -> Any:
    return watch["variables"][variable]["value"]


def properties(watch: dict[str, Any], resource: str) -> dict[str, Any]:
    found: dict[str, Any] = body(watch["resources"][resource])["properties"]
    return found


def test_given_no_receiver_then_nothing_is_made_and_the_deployment_says_so() -> None:
    template = parse(MAIN)
    receivers: dict[str, Any] = {"watchEmails": [], "watchSms": [], "watchWebhooks": {}}
    for name, none in receivers.items():
        assert template["parameters"][name]["default"] == none
    condition = " || ".join(f"!empty({name})" for name in receivers)
    assert f"var watched = {condition}\n" in MAIN.read_text(encoding="utf-8")
    assert template["modules"]["watch"]["config"]["condition"] == "watched"
    assert text(template["outputs"]["watch"]["value"]) == "watched ? watchedText : unwatchedText"
    assert template["variables"]["unwatchedText"]["value"].startswith("NOBODY is told when the bridge is down")


def test_the_module_watches_what_the_template_makes() -> None:
    given = {name: text(one) for name, one in body(parse(MAIN)["modules"]["watch"])["params"].items()}
    assert given["healthUrl"] == "https://${app.properties.defaultHostName}${healthPath}"
    assert (given["insightsId"], given["workspaceId"]) == ("insights.id", "logs.id")
    insights = only(parse(MAIN), "Microsoft.Insights/components")["properties"]
    assert text(insights["WorkspaceResourceId"]) == "logs.id", "the workspace that gets what the app logs"
    assert (given["emails"], given["sms"], given["webhooks"]) == ("watchEmails", "watchSms", "watchWebhooks")


def test_every_receiver_is_told_and_a_webhook_without_tls_is_refused(watch: dict[str, Any]) -> None:
    group = properties(watch, "receivers")
    assert group["enabled"] is True
    assert len(group["groupShortName"]) <= 12
    mail, phone, hook = (group[f"{kind}Receivers"] for kind in ("email", "sms", "webhook"))
    assert mail["config"] == {"name": "mail-${index + 1}", "emailAddress": "address", "useCommonAlertSchema": True}
    told = {name: text(one) for name, one in phone["config"].items()}
    assert told == {"name": "sms-${index + 1}", "countryCode": "phone.countryCode", "phoneNumber": "phone.phoneNumber"}
    assert hook["config"]["useCommonAlertSchema"] is True
    address = hook["config"]["serviceUri"]["operator"]
    assert address["type"] == "conditional"
    condition, good, bad = (address["operands"][name] for name in ("condition", "true_value", "false_value"))
    assert condition["function"]["parameters"]["string_to_find"] == "https://"
    assert text(good) == "hook.value"
    assert bad["function"]["type"] == "fail"
    assert "hook.value" not in str(bad), "the address may hold a key, and errors are kept"


def test_addresses_of_webhooks_are_kept_out_of_the_history_of_deployments(watch: dict[str, Any]) -> None:
    for parameter in (parse(MAIN)["parameters"]["watchWebhooks"], watch["parameters"]["webhooks"]):
        assert any(one["type"] == "secure" for one in parameter["decorators"])


def test_the_action_group_is_not_the_one_that_calls_the_bridge(watch: dict[str, Any]) -> None:
    alone = parse(ROOT / "infra" / "action-group.bicep")
    assert body(watch["resources"]["receivers"])["name"] != only(alone, "Microsoft.Insights/actionGroups")["name"]


def test_several_regions_call_health_once_in_five_minutes_each_and_wait_longer_than_it_takes(
    watch: dict[str, Any],
) -> None:
    health = body(watch["resources"]["health"])
    assert health["kind"] == health["properties"]["Kind"] == "standard"
    assert health["tags"] == {"'hidden-link:${insightsId}'": "Resource"}
    test = health["properties"]
    assert (test["Frequency"], test["Timeout"]) == ("secondsBetweenCalls", "secondsOfPatience")
    assert value(watch, "secondsBetweenCalls") == 300
    assert value(watch, "secondsOfPatience") in (30, 60, 90, 120), "the portal offers no others"
    assert value(watch, "secondsOfPatience") > SLOWEST_ANSWER
    assert test["Enabled"] is True
    assert test["RetryEnabled"] is True
    assert test["Request"] == {
        "RequestUrl": "healthUrl",
        "HttpVerb": "GET",
        "FollowRedirects": False,
        "ParseDependentRequests": False,
    }
    assert (test["Locations"]["loop_type"]["detail"]["array_name"], test["Locations"]["config"]) == (
        "callers",
        {"Id": "caller"},
    )


def test_only_the_answer_ok_passes(watch: dict[str, Any]) -> None:
    rules = properties(watch, "health")["ValidationRules"]
    assert (rules["ExpectedHttpStatusCode"], rules["IgnoreHttpStatusCode"], rules["SSLCheck"]) == (200, False, True)
    content = rules["ContentValidation"]
    assert (content["IgnoreCase"], content["PassIfTextFound"]) == (False, True)
    # function_app.py writes answers with json.dumps and its default separators.
    assert "func.HttpResponse(json.dumps(response.body)," in (ROOT / "function_app.py").read_text(encoding="utf-8")
    assert content["ContentMatch"] in json.dumps({"status": "ok"})
    for status in ("degraded", "unavailable"):
        assert content["ContentMatch"] not in json.dumps({"status": status})


def test_each_cloud_has_regions_of_its_own_and_five_of_the_global_one_are_the_default(watch: dict[str, Any]) -> None:
    defaults = value(watch, "locationsOfCloud")
    assert defaults.keys() == TAGS.keys()
    for cloud, regions in defaults.items():
        assert set(regions) <= TAGS[cloud], cloud
        assert len(set(regions)) == len(regions) >= 3
    assert len(defaults["AzureCloud"]) == 5
    assert parse(MAIN)["parameters"]["watchLocations"]["default"] == []
    assert "var callers = empty(locations) ? locationsOfCloud[environment().name] : locations\n" in WATCH.read_text(
        "utf-8"
    )


def test_one_region_alone_raises_no_alarm_unless_it_is_the_only_one(watch: dict[str, Any]) -> None:
    rule = body(watch["resources"]["unwell"])
    assert rule["location"] == "global"
    assert rule["tags"] == {"'hidden-link:${insightsId}'": "Resource", "'hidden-link:${health.id}'": "Resource"}
    criteria = rule["properties"]["criteria"]
    assert criteria["'odata.type'"] == "Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria"
    assert (text(criteria["webTestId"]), criteria["componentId"]) == ("health.id", "insightsId")
    assert value(watch, "regionsThatFail") == 2
    assert "failedLocationCount: min(regionsThatFail, length(callers))" in WATCH.read_text(encoding="utf-8")
    assert [text(scope) for scope in rule["properties"]["scopes"]] == ["health.id", "insightsId"]
    assert (rule["properties"]["evaluationFrequency"], rule["properties"]["windowSize"]) == ("PT1M", "PT5M")


@pytest.mark.parametrize(("name", "query"), [("silent", "missingVitalSigns"), ("overdue", "overdueFunctions")])
def test_a_log_alert_fires_on_a_row_within_fifteen_minutes(watch: dict[str, Any], name: str, query: str) -> None:
    rule = properties(watch, name)
    assert rule["scopes"] == ["workspaceId"], "where the table is called AppTraces"
    assert (rule["evaluationFrequency"], rule["windowSize"]) == ("PT5M", "PT15M")
    assert rule["skipQueryValidation"] is True, "a new workspace cannot resolve the table yet"
    (condition,) = rule["criteria"]["allOf"]
    assert condition["query"] == query
    assert (condition["timeAggregation"], condition["operator"], condition["threshold"]) == ("Count", "GreaterThan", 0)
    assert condition["failingPeriods"] == {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1}
    assert "ago(" not in value(watch, query), "the window of the rule is the time that it sees"


def test_each_overdue_function_is_an_alert_of_its_own_and_silence_is_one(watch: dict[str, Any]) -> None:
    (silent,) = properties(watch, "silent")["criteria"]["allOf"]
    (overdue,) = properties(watch, "overdue")["criteria"]["allOf"]
    assert "dimensions" not in silent
    (dimension,) = overdue["dimensions"]
    assert dimension == {"name": "function_name", "operator": "Include", "values": ["*"]}
    assert "by function_name = " in value(watch, "overdueFunctions")


def test_every_rule_is_on_tells_the_receivers_and_ends_by_itself(watch: dict[str, Any]) -> None:
    severities = {}
    for name in ("unwell", "silent", "overdue"):
        rule = properties(watch, name)
        severities[name] = rule["severity"]
        assert rule["enabled"] is True
        assert rule["autoMitigate"] is True
        assert "docs/operations.md, Who watches the bridge" in rule["description"]
        told = rule["actions"]
        ids = told["actionGroups"] if isinstance(told, dict) else [one["actionGroupId"] for one in told]
        assert [text(one) for one in ids] == ["receivers.id"]
    assert severities == {"unwell": 1, "silent": 1, "overdue": 2}


def test_the_page_that_the_alerts_name_exists() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert "\n## Who watches the bridge\n" in page
