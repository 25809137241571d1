"""Recommendations and the findings below them, one by one."""

from __future__ import annotations

import json

import httpx
import pytest

from connectors.defender.assessments_api import AssessmentsApi
from local.azure.demo.findings import key_of
from local.azure.demo.inventory import WEB_1
from shared.core.errors import SourceRefused, SourceUnavailable
from tests.defender_connector.conftest import Cloud

ID = f"{WEB_1}/providers/Microsoft.Security/assessments/{key_of('vulnerabilities')}"


async def test_an_assessment_has_metadata_links_and_risk(cloud: Cloud) -> None:
    found = await cloud.assessments.get(ID.upper())
    assert found is not None
    properties = found["properties"]
    assert properties["metadata"]["severity"] == "High"
    assert properties["links"]["azurePortalUri"].startswith("portal.azure.com/")
    assert properties["risk"]["level"] == "Critical"


async def test_an_assessment_that_is_gone_is_none_and_so_is_its_list(cloud: Cloud) -> None:
    await cloud.told("DELETE", "/assessments", id=ID)
    assert await cloud.assessments.get(ID) is None
    assert [one async for one in cloud.assessments.sub_assessments(ID)] == []


async def test_all_pages_of_sub_assessments(cloud: Cloud) -> None:
    await cloud.told("PATCH", "/settings", arm_page_size=2)
    found = [one["properties"]["status"]["severity"] async for one in cloud.assessments.sub_assessments(ID)]
    assert sorted(found) == ["High", "Low", "Medium"]
    assert cloud.assessments.calls == 2


async def test_a_list_that_goes_in_circles_ends(cloud: Cloud) -> None:
    await cloud.told("POST", "/scenarios", type="empty_page", match={"path": "subAssessments"})
    with pytest.raises(SourceUnavailable, match="circles"):
        [one async for one in cloud.assessments.sub_assessments(ID)]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        WEB_1,
        f"{ID}/subAssessments/x",
        "/providers/Microsoft.Security/assessments/x",
        f"{WEB_1}/../../x/providers/Microsoft.Security/assessments/x",
        "https://example.com/providers/Microsoft.Security/assessments/x",
    ],
)
async def test_what_is_no_id_of_an_assessment_is_never_asked_for(cloud: Cloud, wrong: str) -> None:
    assert await cloud.assessments.get(wrong) is None
    assert await cloud.asked() == []


async def test_a_cloud_that_lacks_the_newer_version_is_asked_with_the_older(cloud: Cloud) -> None:
    versions = []

    def older(request: httpx.Request) -> httpx.Response:
        versions.append(request.url.params["api-version"])
        if versions[-1] == "2021-06-01":
            return httpx.Response(200, json={"id": ID})
        error = {"code": "NoRegisteredProviderFound", "message": "No registered resource provider found."}
        return httpx.Response(400, text=json.dumps({"error": error}))

    assessments = AssessmentsApi(cloud.manager({}, httpx.MockTransport(older)))
    assert [await assessments.get(ID), await assessments.get(ID)] == [{"id": ID}, {"id": ID}]
    assert versions == ["2025-05-04", "2021-06-01", "2021-06-01"]


async def test_without_rights_it_is_refused_and_not_taken_for_gone(cloud: Cloud) -> None:
    await cloud.told("POST", "/scenarios", type="deny", match={"path": "assessments"})
    with pytest.raises(SourceRefused, match="AuthorizationFailed"):
        await cloud.assessments.get(ID)
