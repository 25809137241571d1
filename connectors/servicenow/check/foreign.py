"""Tickets of others about alerts that the bridge has tickets of too: two ways lead from Azure to this instance.

The IT Service Management Connector and home-made webhooks write the alert's JSON into the description, and with it the
alert's id: ``.../providers/Microsoft.AlertsManagement/alerts/<GUID>``. Source: Microsoft Learn, "ITSM Connector" (the
description holds the common schema) and "Common alert schema" (``alertId``). The bridge's tickets bear the same GUID in
their correlation text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.wire import list_call, value
from shared.core.errors import TicketSystemError
from shared.core.link import DISPLAY, correlation

_LINE: Final = "other ways to this instance"

#: The newest tickets that are read: of a second way in use there are some among them.
_MOST: Final = 100

_ID: Final = re.compile(
    r"Microsoft\.AlertsManagement/alerts/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE
)


async def check_foreign(client: Client, table: str, report: CheckReport) -> None:
    """Look for them; two calls at most. Nothing is said where none is found, or it cannot be known."""
    query = (
        "descriptionLIKEMicrosoft.AlertsManagement/alerts/"
        f"^correlation_display!={DISPLAY}^ORcorrelation_displayISEMPTY^ORDERBYDESCsys_created_on"
    )
    try:
        rows = await client.call(list_call(table, query, ["number", "description", "correlation_display"], _MOST))
        theirs = _by_alert(rows)
        if not theirs:
            return
        keys = {correlation(f"alert:1:{alert}", 1): number for alert, number in theirs.items()}
        listed = f"correlation_display={DISPLAY}^correlation_idIN{','.join(keys)}"
        ours = await client.call(list_call(table, listed, ["number", "correlation_id"], _MOST))
    except TicketSystemError:
        return  # the lines of the table say what is wrong with reading it
    pairs = [
        f"{keys[key]} and {value(row, 'number')}" for row in ours if (key := value(row, "correlation_id") or "") in keys
    ]
    if not pairs:
        return
    shown = "; ".join(sorted(pairs)[:3])
    report.warning(
        _LINE,
        f"{len(pairs)} of the newest alerts have a ticket of somebody else, too ({shown})",
        "Take the ITSM action, or the other webhook, out of the action groups that call the bridge: one way is enough",
    )


def _by_alert(rows: list[Mapping[str, Any]]) -> dict[str, str]:
    """Number of a ticket of others by the alert's id in its description; whatever the query was understood to mean."""
    found: dict[str, str] = {}
    for row in rows:
        if value(row, "correlation_display") == DISPLAY:
            continue
        for alert in _ID.findall(value(row, "description") or ""):
            found.setdefault(alert.lower(), value(row, "number") or "")
    return found
