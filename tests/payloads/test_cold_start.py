"""What the webhook's path costs before the first alert is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

#: Everything reading alerts may import besides its own modules: the cheap part of the standard library.
_PROBE = """
import sys
OWN = ("shared.payloads", "shared.core.signal", "connectors.azure_monitor.payloads")
before = set(sys.modules)
import shared.payloads.parse
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(" ".join(sorted(new - set(sys.stdlib_module_names) - {"shared", "connectors"})))
print(" ".join(sorted({"asyncio", "hashlib", "html", "email", "http", "ssl", "logging", "socket"} & set(sys.modules))))
other = [n for n in sys.modules if n.startswith(("shared.", "connectors.")) and not n.startswith(OWN)]
print(" ".join(sorted(set(other) - {"shared.core", "connectors.azure_monitor"})))
"""


def test_reading_alerts_imports_only_the_cheap_part_of_the_standard_library() -> None:
    probe = subprocess.run(
        [sys.executable, "-S", "-c", _PROBE], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    third_party, expensive, other_layers = probe.stdout.split("\n")[:3]
    assert third_party == ""
    assert expensive == ""
    assert other_layers == ""


_LAZY = """
import sys
from datetime import datetime, UTC
from shared.payloads.parse import parse
parse({"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {"alertId": "a"}}}, datetime.now(UTC))
lazy = ("connectors.defender.payloads", "connectors.secure_score.payloads")
print(" ".join(sorted(name for name in sys.modules if name.startswith(lazy))))
"""


def test_readers_of_other_sources_are_imported_when_the_first_of_their_bodies_comes() -> None:
    probe = subprocess.run(
        [sys.executable, "-S", "-c", _LAZY], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert probe.stdout.strip() == ""
