"""Thirty days of two service desks whose numbers are known. Both have a ticket INC0000001.

Written by hand and not by the exporter, so that an answer can be counted here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.log_analytics.columns import LOG_TABLE, TICKETS_TABLE, WORK_ITEM_TYPES
from local.workbook.queries import ALL, time_range
from local.workbook.workspace import Workspace

#: Noon of today, so that no run of the tests is near the border of a day; all rows are before it.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)

SHOP, DATA = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
WEB = f"/subscriptions/{SHOP}/resourcegroups/rg-shop/providers/microsoft.compute/virtualmachines/web-01"
SQL = f"/subscriptions/{DATA}/resourcegroups/rg-data/providers/microsoft.sql/servers/sql-01"
ALERT = "6b1d4c70-92ae-4f3b-8d15-c7e0a2f49b36"


def ago(days: float = 0, **more: float) -> datetime:
    """So long before noon."""
    return NOON - timedelta(days=days, **more)


def values(**changed: str) -> dict[str, str]:
    """Parameters of the workbook: the last 30 days by day, everything chosen."""
    chosen = {"Connection": ALL, "Subscription": ALL, "Portal": "https://portal.azure.com", "ThresholdMinutes": "30"}
    return (
        chosen | {"Ticket": "id-1", "TicketConnection": "prod"} | time_range(NOON, timedelta(days=30), "1d") | changed
    )


def ticket(id_: str, changed: datetime, revision: int = 0, **more: Any) -> dict[str, Any]:
    """A row of a change of an incident of the connection ``prod``."""
    connection, kind = more.pop("connection", "prod"), more.pop("kind", "incident")
    base = {
        "TimeGenerated": changed,
        "RecordId": f"{connection}-{id_}-{revision}",
        "Connection": connection,
        "ServiceDeskConnectionName_s": connection,
        "TicketKind": kind,
        "ServiceDeskWorkItemType_s": WORK_ITEM_TYPES[kind],
        "SysId": id_,
        "Revision": str(revision),
        "LastModifiedDate_t": changed,
        "Deleted": False,
        "Phase": "open",
        "State": "New",
        "Url": f"https://contoso.service-now.com/nav_to.do?uri={kind}.do?sys_id={id_}",
        "Fields": {},
    }
    return base | more


def action(number: int, time: datetime, decision: str, **more: Any) -> dict[str, Any]:
    """A row of what the bridge did with a signal, for the connection ``prod``."""
    base = {
        "TimeGenerated": time,
        "RecordId": f"action-{number}",
        "LogType_s": "INFO",
        "ActionStatus_d": 1.0,
        "Status_b": True,
        "Message": f"{decision}.",
        "StatusLogTime_t": time,
        "Connection": "prod",
        "ServiceDeskConnectionName_s": "prod",
        "SignalId": f"signal-{number}",
        "Key": f"rule:1:{number}",
        "SignalState": "fired",
        "Decision": decision,
    }
    return base | more


def status(connection: str, time: datetime, **more: Any) -> dict[str, Any]:
    """A row about a connection that is well and 60 seconds late."""
    base = {
        "TimeGenerated": time,
        "RecordId": f"status-{connection}-{time:%Y%m%d%H%M%S}",
        "LogType_s": "STATUS",
        "Status_b": True,
        "ActionStatus_d": 1.0,
        "StatusLogTime_t": time,
        "Connection": connection,
        "LagSeconds": 60.0,
        "CallsUsed": 50,
        "CallsAllowed": 1000,
        "Waiting": 0,
        "DeadLetters": 0,
        "Quarantined": 0,
    }
    return base | more


def tickets() -> list[dict[str, Any]]:
    """Rows of tickets: three of prod, one of test, one deleted, two changes, one a year old; some twice, some late."""
    web = {
        "ServiceDeskId_s": "INC0000001",
        "Title_s": "High CPU on web-01",
        "CreatedDate_t": ago(10),
        "Computer": "web-01",
        "AzureResourceId": WEB,
        "Priority_s": "2 - High",
        "AssignmentGroup": "Software",
    }
    second = ticket("id-1", ago(9), 1, **web, State="In Progress", AssignedTo_s="Ada Winterfelt")
    resolved = {"Phase": "resolved", "State": "Resolved", "ResolvedDate_t": ago(9, hours=-14)}
    return [
        ticket("id-1", ago(10), 0, **web),
        second,
        second | {"TimeGenerated": ago(8)},  # sent twice
        ticket("id-1", ago(9, hours=-14), 2, **web, **resolved),
        # Two changes in one second; the older one was received last.
        ticket("id-2", ago(5), 10, ServiceDeskId_s="INC0000002", CreatedDate_t=ago(6), Computer="sql-01",
               Priority_s="3 - Moderate", State="On Hold", Reopened=1),
        ticket("id-2", ago(5), 9, ServiceDeskId_s="INC0000002", CreatedDate_t=ago(6), Computer="sql-01",
               Priority_s="3 - Moderate", TimeGenerated=ago(4)),
        # Made by a person, without a resource; its phase is not known.
        ticket("id-3", ago(3), 0, ServiceDeskId_s="INC0000003", CreatedDate_t=ago(3), Phase="", State="Awaiting info"),
        # The same number in another instance.
        ticket("id-1", ago(2), 0, ServiceDeskId_s="INC0000001", CreatedDate_t=ago(2), connection="test",
               Computer="web-01"),
        # Deleted: nothing else is known of it any more.
        ticket("id-4", ago(7), 4, ServiceDeskId_s="INC0000004", CreatedDate_t=ago(7), Title_s="Made by mistake"),
        ticket("id-4", ago(6), 0, Deleted=True, Phase="", State="", RecordId="prod-id-4-gone"),
        # Changes on the web server: one planned, which changed twice in a second, and one done.
        ticket("id-5", ago(1), 0, kind="change_request", ServiceDeskId_s="CHG0000005", CreatedDate_t=ago(1),
               Title_s="Patch web-01", AzureResourceId=WEB),
        ticket("id-5", ago(1), 1, kind="change_request", ServiceDeskId_s="CHG0000005", CreatedDate_t=ago(1),
               Title_s="Patch web-01", State="Scheduled", AzureResourceId=WEB, PlannedStartDate_t=ago(-1)),
        ticket("id-6", ago(1), 3, kind="change_request", ServiceDeskId_s="CHG0000006", CreatedDate_t=ago(40),
               Phase="closed", State="Closed", AzureResourceId=WEB, ClosedDate_t=ago(1)),
        # A year old: found by a back-fill, so its row is new.
        ticket("id-7", ago(365), 0, ServiceDeskId_s="INC0000007", CreatedDate_t=ago(370), TimeGenerated=ago(1)),
        # What the old connector wrote, and the row by which the right to send is tried.
        {"TimeGenerated": ago(25), "ServiceDeskId_s": "INC0000099", "ServiceDeskWorkItemType_s": "Incident"},
    ]  # fmt: skip


def log() -> list[dict[str, Any]]:
    """Rows of the bridge's log: six signals of two rules that went to tickets, five that did not, and states."""
    cpu = {"AlertRule": "High CPU", "AzureResourceId": WEB, "AzureSubscriptionId": SHOP, "Severity": 1,
           "AzureResourceType": "Microsoft.Compute/virtualMachines", "TicketKind": "incident",
           "Key": f"alert:1:{ALERT}", "SysId": "id-1", "ServiceDeskId_s": "INC0000001"}  # fmt: skip
    sql = {"AlertRule": "Slow queries", "AzureResourceId": SQL, "AzureSubscriptionId": DATA, "Severity": 3,
           "AzureResourceType": "Microsoft.Sql/servers", "TicketKind": "incident", "Key": "rule:1:sql",
           "SysId": "id-2", "ServiceDeskId_s": "INC0000002"}  # fmt: skip
    quiet = {name: value for name, value in sql.items() if name not in ("SysId", "ServiceDeskId_s", "TicketKind")}
    created = action(1, ago(10), "created", **cpu, FiredAt=ago(10, seconds=20), Seconds=2.0)
    failed = {"LogType_s": "ERROR", "Status_b": False, "ActionStatus_d": 0.0}
    return [
        created,
        created | {"TimeGenerated": ago(9)},  # sent twice
        created | {"RecordId": "action-1-again", "StatusLogTime_t": ago(10, seconds=-30)},  # a worker crashed
        action(2, ago(9), "commented", **cpu, FiredAt=ago(9, seconds=10)),
        action(3, ago(9, hours=-14), "resolved", **cpu | {"SignalState": "resolved"}),
        action(4, ago(6), "created", **sql, FiredAt=ago(6, seconds=100), Seconds=4.0),
        action(5, ago(5, hours=1), "resolved", **sql | {"SignalState": "resolved"}),
        action(6, ago(5), "reopened", **sql),
        action(7, ago(4), "suppressed", **quiet, Rule="maintenance of sql-01", Route="data"),
        action(8, ago(4, hours=-1), "suppressed", **quiet, Rule="maintenance of sql-01", Route="data"),
        action(9, ago(3), "flapping", **quiet, Rule="flapping"),
        action(10, ago(3), "no_ticket", Route="informational", AlertRule="Advice"),
        action(11, ago(2), "dead_lettered", **failed, **quiet, ExceptionMessage_s="Data Policy Exception"),
        # A rehearsal: nothing was written.
        action(12, ago(2), "created", Mode="dry_run", FiredAt=ago(2, hours=9), AlertRule="High CPU"),
        status("prod", ago(0, minutes=10), CallsUsed=10, DeadLetters=1),
        status("prod", ago(0, minutes=5), CallsUsed=500, Waiting=3, DeadLetters=1),
        status("test", ago(0, minutes=5), Status_b=False, ExceptionMessage_s="calls fail: not_authorised",
               CallsAllowed=None, DeadLetters=1),
    ]  # fmt: skip


def filled_logs(file: Path | None = None) -> Workspace:
    """A workspace with all of this. Close it."""
    logs = Workspace(file)
    logs.add(TICKETS_TABLE, tickets())
    logs.add(LOG_TABLE, log())
    return logs
