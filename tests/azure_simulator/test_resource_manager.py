"""Resource Manager's front door: API versions, roles, tenants, limits."""

from __future__ import annotations

import httpx
import pytest

from local.azure import Simulator
from tests.azure_simulator.support import ALERTS, ALERTS_VERSION, Control, body, refusal, walk

SUBSCRIPTIONS = {"api-version": "2022-12-01"}


def test_the_bridge_sees_the_subscriptions_of_its_tenant(
    arm: httpx.Client, other_arm: httpx.Client, clouds: Simulator
) -> None:
    answer = arm.get("/subscriptions", params=SUBSCRIPTIONS)
    assert [one["subscriptionId"] for one in body(answer)["value"]] == list(clouds.subscriptions)
    assert {"x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"} <= answer.headers.keys()
    others = body(other_arm.get("/subscriptions", params=SUBSCRIPTIONS))["value"]
    assert [(one["subscriptionId"], one["tenantId"]) for one in others] == [
        (clouds.other_subscriptions[0], clouds.other_tenant_id)
    ]


def test_who_has_no_role_sees_no_subscription_and_nothing_in_them(stranger: httpx.Client, clouds: Simulator) -> None:
    assert body(stranger.get("/subscriptions", params=SUBSCRIPTIONS))["value"] == []
    path = f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}"
    answer = stranger.get(path, params={"api-version": ALERTS_VERSION})
    assert refusal(answer, 403) == "AuthorizationFailed"
    assert "Microsoft.AlertsManagement/alerts/read" in answer.json()["error"]["message"]


def test_a_subscription_of_another_tenant_and_an_unknown_one(arm: httpx.Client, clouds: Simulator) -> None:
    params = {"api-version": ALERTS_VERSION}
    other = arm.get(f"/subscriptions/{clouds.other_subscriptions[0]}/{ALERTS}", params=params)
    assert refusal(other, 401) == "InvalidAuthenticationTokenTenant"
    unknown = arm.get(f"/subscriptions/11111111-2222-3333-4444-555555555555/{ALERTS}", params=params)
    assert refusal(unknown, 404) == "SubscriptionNotFound"


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("", "MissingApiVersionParameter"),
        ("yesterday", "InvalidApiVersionParameter"),
        ("1999-01-01", "NoRegisteredProviderFound"),
    ],
)
def test_the_api_version_is_checked(arm: httpx.Client, clouds: Simulator, version: str, code: str) -> None:
    params = {"api-version": version} if version else {}
    assert refusal(arm.get(f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}", params=params), 400) == code


def test_unknown_addresses_and_methods(arm: httpx.Client, clouds: Simulator) -> None:
    path = f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}"
    params = {"api-version": ALERTS_VERSION}
    assert refusal(arm.get(f"/subscriptions/{clouds.subscriptions[0]}/providers/Microsoft.Web/sites"), 404)
    wrong = arm.put(path, params=params)
    assert (refusal(wrong, 405), wrong.headers["Allow"]) == ("MethodNotAllowed", "GET")


def test_names_in_addresses_compare_without_case(arm: httpx.Client, clouds: Simulator) -> None:
    path = f"/SUBSCRIPTIONS/{clouds.subscriptions[0].upper()}/PROVIDERS/microsoft.alertsmanagement/ALERTS"
    assert len(body(arm.get(path, params={"api-version": ALERTS_VERSION}))["value"]) == 2


def test_roles_are_granted_and_taken_by_the_control_api(
    stranger: httpx.Client, clouds: Simulator, control: Control
) -> None:
    production, development = (f"/subscriptions/{one}" for one in clouds.subscriptions)
    order = {"identity": "stranger", "scope": production, "actions": ["Microsoft.AlertsManagement/*"]}
    control.post("/grants", **order)
    params = {"api-version": ALERTS_VERSION}
    assert stranger.get(f"{production}/{ALERTS}", params=params).status_code == 200
    assert stranger.get(f"{development}/{ALERTS}", params=params).status_code == 403
    control.delete("/grants", identity="stranger", scope=production)
    assert stranger.get(f"{production}/{ALERTS}", params=params).status_code == 403
    group = "/providers/Microsoft.Management/managementGroups/contoso-production"
    control.post("/grants", **{**order, "scope": group})
    assert stranger.get(f"{production}/{ALERTS}", params=params).status_code == 200
    assert stranger.get(f"{development}/{ALERTS}", params=params).status_code == 403


def test_taking_one_action_leaves_the_others(arm: httpx.Client, clouds: Simulator, control: Control) -> None:
    path, params = f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}", {"api-version": ALERTS_VERSION}
    name = control.get("/alerts")["alerts"][0]["name"]
    control.delete("/grants", identity="bridge", actions=["Microsoft.AlertsManagement/alerts/changestate/action"])
    assert arm.get(path, params=params).status_code == 200
    answer = arm.post(f"{path}/{name}/changestate", params={**params, "newState": "Closed"})
    assert refusal(answer, 403) == "AuthorizationFailed"


def test_reads_run_dry_per_subscription_and_come_back_with_time(
    arm: httpx.Client, clouds: Simulator, control: Control
) -> None:
    control.set(arm_read_bucket=3, arm_read_rate=0.5)
    control.post("/clock", freeze=True)
    production, development = (f"/subscriptions/{one}" for one in clouds.subscriptions)
    left = [
        arm.get(production, params=SUBSCRIPTIONS).headers["x-ms-ratelimit-remaining-subscription-reads"]
        for _ in range(3)
    ]
    assert left == ["2", "1", "0"]
    refused = arm.get(production, params=SUBSCRIPTIONS)
    assert (refusal(refused, 429), refused.headers["Retry-After"]) == ("SubscriptionRequestsThrottled", "2")
    assert arm.get(development, params=SUBSCRIPTIONS).status_code == 200
    control.post("/clock", advance=2)
    assert arm.get(production, params=SUBSCRIPTIONS).status_code == 200
    assert arm.get(production, params=SUBSCRIPTIONS).status_code == 429
    control.set(arm_throttling=False)
    assert arm.get(production, params=SUBSCRIPTIONS).status_code == 200


def test_the_alerts_api_has_limits_of_its_own(arm: httpx.Client, clouds: Simulator, control: Control) -> None:
    control.set(alerts_lists_per_minute=2)
    control.post("/clock", freeze=True)
    path, params = f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}", {"api-version": ALERTS_VERSION}
    assert [arm.get(path, params=params).status_code for _ in range(3)] == [200, 200, 429]
    refused = arm.get(path, params=params)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    name = control.get("/alerts")["alerts"][0]["name"]
    assert arm.get(f"{path}/{name}", params=params).status_code == 200
    control.post("/clock", advance=int(refused.headers["Retry-After"]))
    assert arm.get(path, params=params).status_code == 200


def test_ordered_faults_have_the_shape_of_resource_manager(
    arm: httpx.Client, clouds: Simulator, control: Control
) -> None:
    path, params = f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}", {"api-version": ALERTS_VERSION}
    match = {"operation": "Microsoft.AlertsManagement/alerts/read"}
    control.order("throttle", match=match, times=1, retry_after=3)
    throttled = arm.get(path, params=params)
    assert (refusal(throttled, 429), throttled.headers["Retry-After"]) == ("SubscriptionRequestsThrottled", "3")
    control.order("deny", match=match, times=1, code="LinkedAuthorizationFailed")
    assert refusal(arm.get(path, params=params), 403) == "LinkedAuthorizationFailed"
    control.order("fail", match=match, times=1, status=504)
    assert refusal(arm.get(path, params=params), 504) == "GatewayTimeout"
    control.order("truncated_json", match=match, times=1)
    with pytest.raises(ValueError, match=r"line \d+ column \d+"):
        arm.get(path, params=params).json()
    control.order("page", match=match, times=1)
    assert arm.get(path, params=params).headers["Content-Type"].startswith("text/html")
    control.order("cut_before_commit", match={"path": "alerts"}, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        arm.get(path, params=params)
    control.order("empty_page", match=match, times=1)
    pages = walk(arm, path, **params)
    assert [len(page) for page in pages] == [0, 2]


def test_scenarios_count_and_can_be_for_one_caller(
    arm: httpx.Client, reader: httpx.Client, clouds: Simulator, control: Control
) -> None:
    control.order("fail", match={"user": "reader", "service": "arm"}, status=500)
    path = f"/subscriptions/{clouds.subscriptions[0]}"
    assert arm.get(path, params=SUBSCRIPTIONS).status_code == 200
    assert reader.get(path, params=SUBSCRIPTIONS).status_code == 500
    (listed,) = control.get("/scenarios")["scenarios"]
    assert listed["applied"] == 1
    assert "match: an object with method, service, operation, user, path" in control.refused(
        "POST", "/scenarios", type="deny", match={"table": "incident"}
    )


def test_the_control_api_describes_itself_and_keeps_counters(arm: httpx.Client, control: Control) -> None:
    described = control.get("/")
    assert described["settings"].keys() == control.get("/settings")["settings"].keys()
    assert all(described["endpoints"].values())
    arm.get("/subscriptions", params=SUBSCRIPTIONS)
    counters = control.get("/counters")
    assert counters["by_method_and_operation"]["GET Microsoft.Resources/subscriptions/read"] == 1
    assert control.last_request()["user"] == "bridge"
    assert "no such setting" in control.refused("PATCH", "/settings", nothing=1)


def test_callers_are_told_what_their_roles_allow_at_a_scope(
    reader: httpx.Client, clouds: Simulator, control: Control
) -> None:
    production, development = (f"/subscriptions/{one}" for one in clouds.subscriptions)
    lists, changes = "Microsoft.AlertsManagement/*", "Microsoft.AlertsManagement/alerts/changestate/action"
    control.post("/grants", identity="reader", scope=production, actions=[lists], not_actions=[changes])
    path, params = "/providers/Microsoft.Authorization/permissions", {"api-version": "2022-04-01"}
    role = {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
    assert body(reader.get(development + path, params=params)) == {"value": [role]}
    assert body(reader.get(production + path, params=params))["value"] == [
        role,
        {"actions": [lists], "notActions": [changes], "dataActions": [], "notDataActions": []},
    ]
    control.set(arm_page_size=1)
    assert [len(page) for page in walk(reader, production + path, **params)] == [1, 1]


def test_what_one_role_leaves_out_another_may_give(reader: httpx.Client, clouds: Simulator, control: Control) -> None:
    path, params = f"/subscriptions/{clouds.subscriptions[0]}/{ALERTS}", {"api-version": ALERTS_VERSION}
    address = f"{path}/{control.get('/alerts')['alerts'][0]['name']}/changestate"
    closing = {**params, "newState": "Closed"}
    changes = "Microsoft.AlertsManagement/alerts/changestate/action"
    control.post("/grants", identity="reader", actions=["*"], not_actions=[changes])
    assert refusal(reader.post(address, params=closing), 403) == "AuthorizationFailed"
    control.post("/grants", identity="reader", actions=[changes])
    assert reader.post(address, params=closing).status_code == 200


def test_who_may_not_read_permissions_is_not_told_them(arm: httpx.Client, clouds: Simulator, control: Control) -> None:
    control.delete("/grants", identity="bridge", actions=["Microsoft.Authorization/permissions/read"])
    path = f"/subscriptions/{clouds.subscriptions[0]}/providers/Microsoft.Authorization/permissions"
    assert refusal(arm.get(path, params={"api-version": "2022-04-01"}), 403) == "AuthorizationFailed"
