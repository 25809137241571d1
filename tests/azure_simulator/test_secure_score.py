"""Microsoft Graph: secure scores and control profiles."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.azure import Simulator
from tests.azure_simulator.conftest import SignIn
from tests.azure_simulator.support import GRAPH, Control, body, refusal, walk

SCORES = "/v1.0/security/secureScores"
PROFILES = "/v1.0/security/secureScoreControlProfiles"
VENDOR = {"provider": "SecureScore", "vendor": "Microsoft", "providerVersion": None, "subProvider": None}


def test_the_newest_score_comes_first_and_ninety_days_are_kept(graph: httpx.Client, clouds: Simulator) -> None:
    newest = body(graph.get(SCORES, params={"$top": 1}))
    (score,) = newest["value"]
    assert score["id"].startswith(f"{clouds.tenant_id}_")
    assert newest["@odata.nextLink"].startswith(f"{clouds.https_url}{SCORES}?")
    assert 0 < score["currentScore"] < score["maxScore"]
    by_name = {entry["controlName"]: entry for entry in score["controlScores"]}
    # Numbers come as numbers or texts.
    assert isinstance(by_name["exo_oauth2clientprofileenabled"]["score"], str)
    assert isinstance(by_name["AdminMFAV2"]["count"], str)
    assert "NonOwnerAccess" not in by_name
    everything = body(graph.get(SCORES))["value"]
    assert len(everything) == len({one["id"] for one in everything}) == 90


def test_days_pass_and_keep_what_stood(graph: httpx.Client, control: Control) -> None:
    control.post("/clock", freeze=True)
    before = body(graph.get(SCORES, params={"$top": 1}))["value"][0]
    control.post("/clock", advance=2 * 86400)
    control.post("/scores", control="DLPEnabled", score=20.0, scoreInPercentage=100.0)
    token = control.post("/tokens", identity="bridge", resource="https://graph.microsoft.com")["token"]
    graph.headers["Authorization"] = f"Bearer {token}"
    today, yesterday, old = body(graph.get(SCORES, params={"$top": 3}))["value"]
    assert old["id"] == before["id"]
    assert today["currentScore"] == yesterday["currentScore"] + 20 == before["currentScore"] + 20
    assert len(body(graph.get(SCORES))["value"]) == 90
    control.post("/scores", control="DLPEnabled", remove=True)
    latest = body(graph.get(SCORES, params={"$top": 1}))["value"][0]
    assert "DLPEnabled" not in {entry["controlName"] for entry in latest["controlScores"]}


def test_profiles_come_in_pages(graph: httpx.Client) -> None:
    pages = walk(graph, PROFILES, "@odata.nextLink", **{"$top": 4})
    assert [len(page) for page in pages] == [4, 4, 1]
    profiles = [item for page in pages for item in page]
    assert {item["controlCategory"] for item in profiles} == {"Identity", "Data", "Device", "Apps", "Infrastructure"}
    assert [item["id"] for item in profiles if item["deprecated"]] == ["NonOwnerAccess"]
    assert {item["lastModifiedDateTime"] for item in profiles} == {None}
    counted = body(graph.get(PROFILES, params={"$count": "true", "$skip": 7}))
    assert (counted["@odata.count"], len(counted["value"])) == (9, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("controlCategory eq 'Data' and deprecated eq false", ["DLPEnabled", "mip_sensitivitylabelspolicies"]),
        ("maxScore eq 20", ["DLPEnabled"]),
        ("vendorInformation/provider eq 'SecureScore' and service eq 'EXO'", 2),
        ("id eq 'O''Brien'", []),
    ],
)
def test_filters(graph: httpx.Client, text: str, expected: list[str] | int) -> None:
    found = [item["id"] for item in body(graph.get(PROFILES, params={"$filter": text}))["value"]]
    assert (len(found) if isinstance(expected, int) else found) == expected


@pytest.mark.parametrize("params", [{"$filter": "rank gt 5"}, {"$filter": "no eq 'x'"}, {"$top": "0"}, {"$skip": "x"}])
def test_bad_queries_are_refused(graph: httpx.Client, params: dict[str, str]) -> None:
    answer = graph.get(PROFILES, params=params)
    assert refusal(answer, 400) == "BadRequest"
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]


def test_a_patch_appends_to_the_state_updates(graph: httpx.Client, control: Control) -> None:
    path = f"{PROFILES}/DLPEnabled"
    change = {"state": "Ignored", "comment": "Risk accepted", "vendorInformation": VENDOR}
    assert graph.patch(path, json=change).status_code == 204
    later = graph.patch(
        path,
        json={"assignedTo": "lee.gu@contoso.example", "vendorInformation": VENDOR},
        headers={"Prefer": "return=representation"},
    )
    assert later.headers["Preference-Applied"] == "return=representation"
    first, second = body(later)["controlStateUpdates"]
    assert (first["state"], first["comment"]) == ("Ignored", "Risk accepted")
    assert (second["state"], second["assignedTo"]) == ("Ignored", "lee.gu@contoso.example")
    assert first["updatedDateTime"] <= second["updatedDateTime"]
    assert body(graph.get(path))["controlStateUpdates"] == [first, second]
    entries = control.journal(service="graph", target="DLPEnabled")
    assert [len(entry["after"]) for entry in entries] == [1, 2]


def test_states_can_come_back_in_the_spelling_of_live_tenants(graph: httpx.Client, control: Control) -> None:
    control.set(state_spelling="camel")
    change = {"state": "ThirdParty", "vendorInformation": VENDOR}
    graph.patch(f"{PROFILES}/DLPEnabled", json=change)
    assert body(graph.get(f"{PROFILES}/DLPEnabled"))["controlStateUpdates"][-1]["state"] == "thirdParty"


@pytest.mark.parametrize(
    ("control_id", "change"),
    [
        ("DLPEnabled", {"state": "Ignored"}),
        ("DLPEnabled", {"state": "Ignored", "vendorInformation": {"provider": "SecureScore"}}),
        ("DLPEnabled", {"state": "Done", "vendorInformation": VENDOR}),
        ("DLPEnabled", {"comment": 5, "vendorInformation": VENDOR}),
        ("DLPEnabled", {}),
        ("scid_2000", {"state": "Ignored", "vendorInformation": VENDOR}),
    ],
)
def test_bad_patches_change_nothing(
    graph: httpx.Client, control: Control, control_id: str, change: dict[str, Any]
) -> None:
    assert refusal(graph.patch(f"{PROFILES}/{control_id}", json=change), 400) == "BadRequest"
    assert body(graph.get(f"{PROFILES}/{control_id}"))["controlStateUpdates"] == []
    assert control.journal() == []


def test_roles_of_the_token_decide(clouds: Simulator, sign_in: SignIn, control: Control) -> None:
    reader = sign_in(clouds.tenant_id, clouds.reader_client_id, clouds.reader_client_secret, GRAPH)
    change = {"state": "Ignored", "vendorInformation": VENDOR}
    assert reader.get(PROFILES).status_code == 200
    assert refusal(reader.patch(f"{PROFILES}/DLPEnabled", json=change), 403) == "Authorization_RequestDenied"
    stranger = sign_in(clouds.tenant_id, clouds.stranger_client_id, clouds.stranger_client_secret, GRAPH)
    assert refusal(stranger.get(SCORES), 403) == "Authorization_RequestDenied"
    api = "00000003-0000-0000-c000-000000000000"
    control.post("/grants", identity="stranger", api=api, roles=["SecurityEvents.Read.All"])
    assert stranger.get(SCORES).status_code == 403
    again = sign_in(clouds.tenant_id, clouds.stranger_client_id, clouds.stranger_client_secret, GRAPH)
    assert again.get(SCORES).status_code == 200


def test_each_tenant_has_its_own(clouds: Simulator, sign_in: SignIn) -> None:
    other = sign_in(clouds.other_tenant_id, clouds.client_id, clouds.client_secret, GRAPH)
    profiles = body(other.get(PROFILES))["value"]
    assert len(profiles) == 3
    assert {item["azureTenantId"] for item in profiles} == {clouds.other_tenant_id}
    assert refusal(other.get(f"{PROFILES}/NonOwnerAccess"), 404) == "ResourceNotFound"


def test_foreign_tokens_and_unknown_addresses(arm: httpx.Client, graph: httpx.Client) -> None:
    assert refusal(arm.get(SCORES), 401) == "InvalidAuthenticationToken"
    assert refusal(graph.get("/v1.0/security/alerts_v3"), 404) == "ResourceNotFound"
    assert refusal(graph.post(PROFILES, json={}), 405) == "Request_BadRequest"


def test_profiles_are_made_changed_and_removed_by_the_control_api(graph: httpx.Client, control: Control) -> None:
    control.post("/profiles", id="NewControl", title="New", maxScore=3.0)
    control.post("/scores", control="NewControl", score=1.0)
    assert body(graph.get(f"{PROFILES}/NewControl"))["title"] == "New"
    control.post("/profiles", id="NewControl", deprecated=True)
    shown = body(graph.get(f"{PROFILES}/NewControl"))
    assert (shown["deprecated"], shown["title"]) == (True, "New")
    control.delete("/profiles/NewControl")
    assert graph.get(f"{PROFILES}/NewControl").status_code == 404
    assert "NewControl" not in str(body(graph.get(SCORES, params={"$top": 1})))


def test_ordered_faults_have_the_shape_of_graph(graph: httpx.Client, control: Control) -> None:
    match = {"operation": "secureScores/read"}
    control.order("throttle", match=match, times=1, retry_after=9)
    throttled = graph.get(SCORES)
    assert (refusal(throttled, 429), throttled.headers["Retry-After"]) == ("TooManyRequests", "9")
    control.order("throttle", match=match, times=1, bare=True)
    assert "Retry-After" not in graph.get(SCORES).headers
    control.order("partial_content", match=match, times=1)
    partial = graph.get(SCORES)
    assert (partial.status_code, partial.headers["Warning"][:3]) == (206, "199")
    control.order("empty_page", match=match, times=1)
    assert [len(page) for page in walk(graph, SCORES, "@odata.nextLink")] == [0, 90]
