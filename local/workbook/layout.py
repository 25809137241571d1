"""What the workbook shows, from top to bottom."""

from __future__ import annotations

from typing import Any

from local.workbook.items import (
    PORTAL,
    WORKSPACE,
    Columns,
    choice_parameter,
    fixed_parameter,
    parameters,
    query,
    text,
    time_parameter,
)
from local.workbook.queries import read

TITLE = "Azure ITSM Bridge"

_INTRODUCTION = f"""# {TITLE}: tickets beside logs

Tickets come from the table `ServiceDesk_CL`, what the bridge did from `ServiceDeskLog_CL`. The time range means when
something happened to a ticket or signal, not when its row arrived."""

_PER_KIND = {"xAxis": "Time", "yAxis": ["Tickets"], "group": "Kind", "createOtherGroup": None}
_DELAYS = {"xAxis": "Time", "yAxis": ["Median", "P95"]}


def workbook() -> dict[str, Any]:
    """The whole workbook."""
    return {
        "version": "Notebook/1.0",
        "items": [
            text("introduction", _INTRODUCTION),
            _parameters(),
            *_work_items(),
            *_connections(),
            *_alerts(),
            *_quality(),
            *_places(),
            *_tickets(),
        ],
        "fallbackResourceIds": [WORKSPACE],
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    }


def _kql(name: str) -> str:
    return read(f"workbook/{name}").rstrip("\n")


def _parameters() -> dict[str, Any]:
    return parameters(
        time_parameter("TimeRange", "Time range", (1, 7, 30, 90), default=30),
        choice_parameter("Connection", "Connection", _kql("connections")),
        choice_parameter("Subscription", "Azure subscription", _kql("subscriptions")),
        fixed_parameter("Portal", PORTAL),
    )


def _work_items() -> list[dict[str, Any]]:
    by_state = {"xAxis": "State", "yAxis": ["Tickets"], "group": "Kind", "createOtherGroup": None}
    computers = Columns(bars=("Tickets",), dates=("Newest",))
    return [
        text("work-items", "## Work items created"),
        query("created", "By kind, in time", _kql("work_items_created"), "barchart", width=60, chart=_PER_KIND),
        query("states", "By kind and state", _kql("work_items_by_state"), "categoricalbar", width=40, chart=by_state),
        text("computers-title", "## Impacted computers"),
        query("computers", "Configuration items with the most tickets", _kql("impacted_computers"), columns=computers),
    ]


def _connections() -> list[dict[str, Any]]:
    return [
        text("connections-title", "## Connector status"),
        query("connections", "Connections", _kql("connector_status"), columns=Columns(dates=("Seen",))),
        query("errors", "Errors", _kql("connector_errors"), columns=Columns(bars=("Times",), dates=("First", "Last"))),
    ]


def _alerts() -> list[dict[str, Any]]:
    return [
        text("alert-rules-title", "## Alert rules"),
        query("alert-rules", "Rules with the most tickets", _kql("alert_rules"), columns=Columns(bars=("Tickets",))),
    ]


def _quality() -> list[dict[str, Any]]:
    return [
        text("quality-title", "## From alert to resolution"),
        query("delays", "Alert to ticket, seconds", _kql("alert_to_ticket"), "timechart", width=60, chart=_DELAYS),
        query(
            "delays-by-severity",
            "Alert to ticket by severity, seconds",
            _kql("alert_to_ticket_by_severity"),
            width=40,
            columns=Columns(),
        ),
        query("resolution", "Time to resolve, hours", _kql("time_to_resolve"), width=50, columns=Columns()),
        query("reopened", "Reopened and flapping", _kql("reopened"), width=50, columns=Columns(bars=("Reopened",))),
        query(
            "suppressed",
            "Suppressed, and by which rule",
            _kql("suppressed"),
            columns=Columns(bars=("Signals",), dates=("Last",)),
        ),
    ]


def _places() -> list[dict[str, Any]]:
    changes = Columns(
        links=(("Change", "Url"),), hidden=("Url",), dates=("PlannedStart", "PlannedEnd", "LastAlert"), bars=("Alerts",)
    )
    return [
        text("places-title", "## Where"),
        query(
            "places",
            "Tickets by Azure subscription and type of resource",
            _kql("by_subscription"),
            columns=Columns(bars=("Tickets",)),
        ),
        query("changes", "Open changes on resources with alerts", _kql("changes_beside_alerts"), columns=changes),
    ]


def _tickets() -> list[dict[str, Any]]:
    tickets = Columns(
        links=(("Ticket", "Url"), ("Alert", "AlertUrl")),
        hidden=("Url", "AlertUrl", "SysId"),
        dates=("Created", "Changed"),
    )
    history = Columns(links=(("What", "Url"),), hidden=("Url",), dates=("Time",))
    return [
        text("tickets-title", "## Tickets\n\nSelect a row to see what happened to the ticket."),
        query(
            "tickets",
            "Tickets",
            _kql("tickets"),
            columns=tickets,
            exported={"Ticket": "SysId", "TicketConnection": "Connection"},
        ),
        query("history", "The selected ticket", _kql("ticket_history"), columns=history, shown_with="Ticket"),
    ]
