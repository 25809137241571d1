"""What the webhook's path costs before the first alert is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

#: Everything reading alerts may import besides its own modules: the cheap part of the standard library.
_PROBE = """
import sys
OWN = ("shared.payloads", "shared.core.signal", "shared.core.times", "shared.core.payload_schema")
OWN += ("connectors.azure_monitor.payloads",)
PLUGINS = ("shared.core.plugins", "app.registry", "connectors.microsoft.azure_resources")
PLUGINS += ("connectors.log_analytics", "connectors.log_analytics.plugin")
SOURCES = ("azure_monitor", "defender", "secure_score", "manual", "bridge")
before = set(sys.modules)
import app.registry, shared.payloads.parse
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(" ".join(sorted(new - set(sys.stdlib_module_names) - {"app", "shared", "connectors"})))
print(" ".join(sorted({"asyncio", "hashlib", "html", "email", "http", "ssl", "logging", "socket"} & set(sys.modules))))
other = [n for n in sys.modules if n.startswith(("app.", "shared.", "connectors.")) and not n.startswith(OWN)]
packages = {"shared.core", "connectors.microsoft", *(f"connectors.{one}" for one in SOURCES)}
for one in SOURCES:
    packages |= {f"connectors.{one}.{part}" for part in ("plugin", "payloads", "payloads.schemas")}
print(" ".join(sorted(set(other) - packages - set(PLUGINS))))
"""


def _printed(probe: str) -> list[str]:
    """Lines that a program prints in an interpreter without installed packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split("\n")


def test_reading_alerts_imports_only_the_cheap_part_of_the_standard_library() -> None:
    third_party, expensive, other_layers = _printed(_PROBE)[:3]
    assert third_party == ""
    assert expensive == ""
    assert other_layers == ""


_LAZY = """
import sys
from datetime import datetime, UTC
from app.registry import REGISTRY
from shared.payloads.parse import parse
READERS = {"connectors.defender.payloads", "connectors.secure_score.payloads"}

def read(body):
    parse(body, datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign)
    loaded = {n for n in sys.modules if n.rpartition(".")[0] in READERS or n == "connectors.microsoft.foreign_payloads"}
    print(" ".join(sorted(name for name in loaded if not name.endswith(".schemas"))))

read({"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {"alertId": "a"}}})
read({"controlCategory": "Data", "maxScore": 1})
read({"unknown": 1})
"""


def test_readers_of_other_sources_are_imported_when_the_first_of_their_bodies_comes() -> None:
    control = "connectors.secure_score.payloads.control"
    assert _printed(_LAZY)[:3] == ["", control, f"connectors.microsoft.foreign_payloads {control}"]


_ENTERED = """
import sys
from datetime import datetime, UTC
from app.registry import REGISTRY
from shared.web.intake import accept, read_json
body = open("tests/fixtures/azure_monitor/common/metric-static-fired.json", "rb").read()

def take_in():
    return accept(read_json(body, "application/json"), datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign).receipt()

take_in()  # what is done once only: imports
entered = set()
sys.setprofile(lambda frame, event, _: event == "call" and entered.add(frame.f_code.co_filename))
take_in()
sys.setprofile(None)
print(" ".join(sorted(name for name in entered if "/shared/" in name or "/connectors/" in name)))
"""


def test_taking_an_alert_in_enters_ten_files_at_most() -> None:
    entered = _printed(_ENTERED)[0].split()
    assert 3 < len(entered) <= 10, entered
