"""Starting and ending: from Python, from a shell, beside a ServiceNow simulator."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path

import httpx

from local.azure import running
from local.servicenow.server import running as running_servicenow
from tests.simulators import NO_AUTHORITIES


async def test_two_simulators_can_share_one_authority(tmp_path: Path) -> None:
    async with running_servicenow(data=tmp_path) as tickets, running(certificates=tmp_path) as clouds:
        trust = ssl.create_default_context(cafile=tickets.ca_file)
        async with httpx.AsyncClient(verify=trust) as client:
            document = await client.get(f"{clouds.https_url}/common/v2.0/.well-known/openid-configuration")
            assert document.status_code == 200
            assert (await client.get(f"{tickets.https_url}/api/now/table/incident")).status_code == 401


async def test_a_service_time_can_be_set() -> None:
    async with running(latency=0.05) as clouds, httpx.AsyncClient(verify=NO_AUTHORITIES) as client:
        answer = await client.get(f"{clouds.url}/common/discovery/keys")
        assert answer.elapsed.total_seconds() >= 0.05


def test_the_command_prints_everything_and_ends_on_sigterm() -> None:
    process = subprocess.Popen([sys.executable, "-m", "local.azure"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        described = json.loads(process.stdout.readline())
        answer = httpx.get(f"{described['control_url']}/inventory", verify=NO_AUTHORITIES)
        assert len(answer.json()["subscriptions"]) == 3
        process.terminate()
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()
