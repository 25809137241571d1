"""Findings of checks in real tables: what one process has seen, the others know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from connectors.servicenow import ServiceNowSettings
from connectors.servicenow.batch_finding import TOPIC, BatchFinding
from local.azurite import Azurite
from shared.core.errors import UnreadableRow
from shared.core.findings import Finding
from shared.operations.findings import TABLE, ConnectionFindings
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress
from tests.storage.damage import damage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEEN = Finding(TOPIC, "https://contoso.service-now.com", "api_key:", NOW, True, "it fits", ("incident", "problem"))


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


def settings(**more: str) -> ServiceNowSettings:
    data = {"type": "servicenow", "url": SEEN.address, "auth": {"type": "api_key", "key": {"secret": "key"}}, **more}
    return ServiceNowSettings.model_validate(data)


async def test_a_finding_is_read_by_others_and_replaced_by_the_next_one(storage: Storage) -> None:
    name = f"desk-{uuid4().hex}"
    assert await ConnectionFindings(storage, name).read(TOPIC) is None
    await ConnectionFindings(storage, name).write(SEEN)
    assert await ConnectionFindings(storage, name).read(TOPIC) == SEEN
    later = replace(SEEN, holds=False, detail="it counts them", tables=())
    await ConnectionFindings(storage, name).write(later)
    assert await ConnectionFindings(storage, name).read(TOPIC) == later
    assert await ConnectionFindings(storage, f"{name}-other").read(TOPIC) is None


async def test_a_worker_follows_what_others_found_within_minutes(storage: Storage) -> None:
    name, clock = f"desk-{uuid4().hex}", [0.0]
    mine = BatchFinding(settings(), ConnectionFindings(storage, name), clock=lambda: clock[0])
    other = BatchFinding(settings(), ConnectionFindings(storage, name))
    assert await mine.tables() == frozenset()
    await other.write(holds=True, detail="it fits", tables=("incident",))
    assert await mine.tables() == frozenset()
    clock[0] += 301
    assert await mine.tables() == {"incident"}
    await other.withdraw("it counts them")
    clock[0] += 301
    assert await mine.tables() == frozenset()


async def test_what_was_seen_of_another_instance_or_user_does_not_count(storage: Storage) -> None:
    name = f"desk-{uuid4().hex}"
    await ConnectionFindings(storage, name).write(SEEN)
    assert await BatchFinding(settings(), ConnectionFindings(storage, name)).tables() == {"incident", "problem"}
    for other in (settings(url="https://dev.service-now.com"), settings(batch="never")):
        assert await BatchFinding(other, ConnectionFindings(storage, name)).tables() == frozenset()
    basic = settings().model_dump(exclude={"auth"}, exclude_defaults=True)
    auth = {"type": "basic", "username": "azure.bridge", "password": {"secret": "key"}}
    user = ServiceNowSettings.model_validate({**basic, "type": "servicenow", "auth": auth})
    assert await BatchFinding(user, ConnectionFindings(storage, name)).tables() == frozenset()


async def test_a_finding_that_cannot_be_read_lets_creates_go_alone(storage: Storage) -> None:
    name = f"desk-{uuid4().hex}"
    findings = ConnectionFindings(storage, name)
    await findings.write(SEEN)
    await damage(storage, TABLE, RowAddress(name, TOPIC), SeenAt="yesterday")
    with pytest.raises(UnreadableRow):
        await findings.read(TOPIC)
    assert await BatchFinding(settings(), findings).tables() == frozenset()
