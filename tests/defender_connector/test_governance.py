"""Who has to fix a finding, written and read."""

from __future__ import annotations

import pytest

from local.azure.demo.findings import key_of
from local.azure.demo.inventory import WEB_1
from shared.core.errors import SourceRefused
from tests.defender_connector.conftest import Cloud

ID = f"{WEB_1}/providers/Microsoft.Security/assessments/{key_of('vulnerabilities')}"
NAME = "5c1bd75e-0a0b-4b50-9d5e-5b0d64f80f5f"
PROPERTIES = {
    "owner": "lee.gu@contoso.example",
    "remediationDueDate": "2027-01-07T13:00:00.0000000Z",
    "isGracePeriod": True,
    "additionalData": {"ticketNumber": 12345, "ticketLink": "https://desk.example/INC0012345", "ticketStatus": "New"},
}


async def test_an_assignment_is_written_read_listed_replaced_and_deleted(cloud: Cloud) -> None:
    governance = cloud.governance
    assert await governance.get(ID, NAME) is None
    await governance.put(ID, NAME.upper(), PROPERTIES)
    found = await governance.get(ID, NAME)
    assert found is not None
    assert found["properties"] == PROPERTIES
    await governance.put(ID, NAME, {"remediationDueDate": PROPERTIES["remediationDueDate"]})
    (only,) = await governance.list(ID)
    assert only["name"] == NAME
    assert "owner" not in only["properties"]
    assert [await governance.delete(ID, NAME), await governance.delete(ID, NAME)] == [True, False]


async def test_an_assessment_that_is_gone_refuses_with_404_and_has_nothing_to_read_or_delete(cloud: Cloud) -> None:
    await cloud.told("DELETE", "/assessments", id=ID)
    with pytest.raises(SourceRefused) as refused:
        await cloud.governance.put(ID, NAME, PROPERTIES)
    assert refused.value.status == 404
    assert "The assessment is gone" in str(refused.value)
    assert await cloud.governance.get(ID, NAME) is None
    assert await cloud.governance.list(ID) == []
    assert await cloud.governance.delete(ID, NAME) is False


async def test_without_rights_the_error_names_role_action_and_plan(cloud: Cloud) -> None:
    action = "Microsoft.Security/assessments/governanceAssignments/*"
    await cloud.told("DELETE", "/grants", identity="bridge", tenant="contoso", scope="/", actions=[action])
    with pytest.raises(SourceRefused, match="Security Admin") as refused:
        await cloud.governance.put(ID, NAME, PROPERTIES)
    assert "Microsoft.Security/assessments/governanceAssignments/" in str(refused.value)
    assert "Defender CSPM" in str(refused.value)


async def test_what_the_service_does_not_accept_is_refused_with_its_words(cloud: Cloud) -> None:
    with pytest.raises(SourceRefused, match="remediationDueDate"):
        await cloud.governance.put(ID, NAME, {"owner": "lee.gu@contoso.example"})


async def test_a_name_that_is_no_guid_is_never_sent(cloud: Cloud) -> None:
    with pytest.raises(SourceRefused, match="GUID"):
        await cloud.governance.put(ID, "../x", PROPERTIES)
    assert await cloud.asked() == []
