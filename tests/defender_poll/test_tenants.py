"""Which identity is asked about which resource."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from app.container import Container
from connectors.defender.source import DefenderSource
from shared.core.messages import QUEUE, FlushGroup, SignalMessage, decode
from shared.core.secrets import SettingSecrets
from shared.platform.storage import Storage
from tests.defender_poll.stage import DEV_VM, TILL, WEB_1, Stage, assessment_id, key


async def test_a_resource_belongs_to_the_entry_that_lists_its_subscription(stage: Stage) -> None:
    settings = stage.settings(
        stage.tenant(subscriptions=[stage.production]), stage.tenant(other=True, subscriptions=[stage.retail.upper()])
    )
    async with stage.opened(settings) as clouds:
        for resource in (WEB_1, TILL):
            name = "vulnerabilities" if resource == WEB_1 else "endpoint"
            reference = assessment_id(resource, name)
            found = await clouds.assessments(reference).get(reference)
            assert found is not None
            assert found["properties"]["status"]["code"] == "Unhealthy"
            assert await clouds.governance(reference).list(reference) == []


async def test_a_resource_that_no_entry_lists_belongs_to_its_tenant_else_to_an_entry_without_a_list(
    stage: Stage,
) -> None:
    tenants = stage.tenant(subscriptions=[stage.production]), stage.tenant(), stage.tenant(other=True)
    await stage.run(*tenants)
    async with stage.opened(stage.settings(*tenants), await stage.ancestries()) as clouds:
        till, dev = assessment_id(TILL, "endpoint"), assessment_id(DEV_VM, "disk-encryption")
        assert await clouds.assessments(till).get(till) is not None
        assert await clouds.assessments(dev).get(dev) is not None
        assert clouds.assessments(dev) is clouds.assessments(DEV_VM)
    async with stage.opened(stage.settings(*tenants)) as clouds:  # nothing is known of tenants
        assert clouds.assessments(dev) is clouds.assessments(TILL)
        assert clouds.assessments(dev) is not clouds.assessments(WEB_1)


CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: https://desk.service-now.com
    auth: {type: basic, username: azure.bridge, password: {secret: desk-password}}
default: {connection: desk}
defender:
  tenants:
    - tenant: %(tenant)s
      sign_in: {tenant: %(tenant)s, client_id: %(client)s, client_secret: {secret: bridge}}
%(poll)s
"""


@pytest.mark.parametrize(("poll", "messages"), [("  poll: {every: 1h}", 9), ("", 0)])
async def test_the_timer_puts_findings_on_the_queue_when_the_configuration_asks_for_it(
    stage: Stage, storage: Storage, tmp_path: Path, poll: str, messages: int
) -> None:
    queue = storage.queue(QUEUE)
    file = tmp_path / "bridge.yaml"
    file.write_text(CONFIG % {"tenant": stage.clouds.tenant_id, "client": stage.clouds.client_id, "poll": poll})
    services = Container(
        {"BRIDGE_CONFIG": str(file)},
        storage=storage,
        secrets=SettingSecrets({"BRIDGE": stage.clouds.client_secret}),
        given=(stage.reach(),),
    )
    await services.queue.send(FlushGroup(id="0" * 32, received_at=stage.now(), group="makes the queue"))
    await queue.clear_messages()
    async with aclosing(services):
        results = await services.source(DefenderSource).poll_findings()
    assert sum(one.new for one in results) == messages
    found = [decode(one.content) async for one in queue.receive_messages(messages_per_page=32)]
    keys = [one.signal.key for one in found if isinstance(one, SignalMessage)]
    assert len(set(keys)) == messages
    assert (key(WEB_1, "vulnerabilities") in keys) == bool(messages)
