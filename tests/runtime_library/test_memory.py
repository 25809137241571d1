"""A worker of the app fits into the smallest instance that Flex Consumption offers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from local.azurite import Azurite
from local.servicenow import running
from tests.infra.bicep import MAIN, parse

ROOT = Path(__file__).parents[2]

#: Share of the instance that the worker may take with everything imported; the rest is for what it works on.
SHARE = 0.3


async def test_a_worker_with_every_import_fits_into_the_instance_that_the_template_takes(azurite: Azurite) -> None:
    parameter = parse(MAIN)["parameters"]["instanceMemory"]
    (allowed,) = [d["argument"] for d in parameter["decorators"] if d["type"] == "allowed"]
    assert parameter["default"] == min(allowed)
    async with running() as desk:
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "SERVICENOW_URL": desk.url,
            "SERVICENOW_USERNAME": desk.integration_username,
            "SERVICENOW_PASSWORD": desk.integration_password,
            "BRIDGE_CONFIG": str(ROOT / "bridge.yaml"),
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.runtime_library.worker", cwd=ROOT, env=os.environ | settings,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        printed, _ = await worker.communicate()
    assert worker.returncode == 0
    held = json.loads(printed.splitlines()[-1])
    assert held["loaded"] < held["worked"] <= held["everything"] <= held["peak"]
    assert held["peak"] < SHARE * parameter["default"], held
