"""Log Analytics on this machine: the bridge's data collection rule in the clouds' simulator, and what reached it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from connectors.log_analytics.columns import LOG_STREAM, LOG_TABLE, TABLES, TICKETS_STREAM, TICKETS_TABLE

#: Immutable id of the rule.
RULE = "dcr-00000000000000000000000000c0ffee"

_STREAMS = {TICKETS_STREAM: TICKETS_TABLE, LOG_STREAM: LOG_TABLE}
_PATIENCE = 60.0


def declare(clouds: Mapping[str, Any]) -> dict[str, str]:
    """Make the rule and its tables, and return the settings that lead the app there.

    Args:
        clouds: addresses of the simulator, as it tells them.

    Raises:
        OSError: the simulator does not answer, or refuses.
    """
    streams = {
        stream: {column.name: column.type.value for column in TABLES[table]} for stream, table in _STREAMS.items()
    }
    body = json.dumps({"immutable_id": RULE, "streams": streams}).encode()
    _called(f"{clouds['control_url']}/data-collection-rules", body)
    return {"LOGS_INGESTION_ENDPOINT": clouds["https_url"], "LOGS_INGESTION_RULE": RULE}


def rows(clouds: Mapping[str, Any], table: str, limit: int = 1_000_000) -> list[dict[str, Any]]:
    """Rows of a table, in the order in which they came. Raises OSError."""
    found: list[dict[str, Any]] = _called(f"{clouds['control_url']}/ingested/{table}?limit={limit}")["rows"]
    return found


def counts(clouds: Mapping[str, Any]) -> dict[str, int]:
    """How many rows each table has. Raises OSError."""
    return {one["name"]: one["count"] for one in _called(f"{clouds['control_url']}/ingested")["tables"]}


def _called(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    # No proxy of the environment: the simulator is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_PATIENCE) as answer:
        return json.load(answer)
