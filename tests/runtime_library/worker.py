"""A whole worker in a process of its own, with everything imported that any of its functions ever imports.

Run with the settings of an app in the environment, ``python -m tests.runtime_library.worker``: it loads the app in
Microsoft's runtime library, brings an alert to a ticket, imports each module of the product, and prints its memory
in MiB as JSON: ``{"loaded": 60.1, "worked": 90.2, "everything": 95.3, "peak": 95.4}``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import sys
from pathlib import Path
from uuid import uuid4

from local.demo.alerts import Azure
from shared.core.messages import QUEUE
from shared.platform.storage import Storage
from tests.runtime_library.harness import run_app

ROOT = Path(__file__).parents[2]


def memory(name: str) -> float:
    """``VmRSS`` (what the process holds now) or ``VmHWM`` (the most it held so far), in MiB. Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.partition(f"{name}:")[2].split()[0]) / 1024, 1)


def import_everything() -> None:
    """Import each module of the product."""
    for package in ("app", "connectors", "shared"):
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            importlib.import_module(module.name)
    # What the product imports inside of functions, whatever the configuration.
    for library in ("azure.identity.aio", "azure.keyvault.secrets.aio", "azure.storage.blob.aio", "jwt", "msal"):
        importlib.import_module(library)
    importlib.import_module("azure.monitor.opentelemetry.exporter")


async def main() -> None:
    found: dict[str, float] = {}
    async with run_app(ROOT) as app:
        found["loaded"] = memory("VmRSS")
        accepted = await app.http("alerts", body=json.dumps(Azure().metric(str(uuid4()))).encode())
        (item,) = json.loads(accepted.body)["items"]
        storage = Storage(os.environ)
        texts = [one.content for one in await storage.queue(QUEUE).peek_messages(max_messages=32)]
        await storage.aclose()
        (message,) = [text for text in texts if item["id"] in text]
        await app.queue("deliver", message)
        health = json.loads((await app.http("health_report", method="GET")).body)
        assert health["connections"]["servicenow"]["last_success"], "the ticket was made"
        found["worked"] = memory("VmRSS")
        import_everything()
        found["everything"] = memory("VmRSS")
        found["peak"] = memory("VmHWM")
        import function_app

        await function_app.services.aclose()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
