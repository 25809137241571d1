"""Incidents, problems and changes of the demo data, in every state: material for lists, filters and state rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from local.servicenow.demo.cmdb import item_id
from local.servicenow.demo.people import group_id, user_id
from local.servicenow.schema.describe import demo_id, system_row
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.store import Row
from local.servicenow.stored_time import to_stored

_START = datetime(2025, 2, 3, 9, 0, tzinfo=UTC)
_SUBJECTS = (
    "Cannot reach the file share",
    "Order page answers slowly",
    "Mailbox is over its quota",
    "VPN drops every hour",
    "Nightly backup failed",
    "Certificate expires soon",
    "Disk of vm-sql-01 is nearly full",
    "Printer on floor 3 offline",
)
_PRIORITY = {("1", "1"): "1", ("1", "2"): "2", ("2", "1"): "2", ("2", "2"): "3", ("2", "3"): "4", ("3", "2"): "4"}


def rows(dictionary: Dictionary) -> Iterator[Row]:
    """All rows of this part."""
    for index in range(30):
        yield _incident(dictionary, index)
    for index in range(24):
        yield _problem(dictionary, index)
    for index in range(12):
        yield _change(dictionary, index)


def _ticket(dictionary: Dictionary, table: str, index: int, number: str, values: dict[str, str]) -> Row:
    created = to_stored(_START + timedelta(hours=7 * index))
    opener = user_id("beth.anglin")
    defaults = {name: column.default for name, column in dictionary.columns(table).items() if column.default}
    return system_row(
        table,
        number,
        {
            **defaults,
            "sys_class_name": table,
            "number": number,
            "task_effective_number": number,
            "opened_by": opener,
            "opened_at": created,
            "sys_created_on": created,
            "sys_updated_on": created,
            "sys_created_by": "beth.anglin",
            "sys_updated_by": "beth.anglin",
            "sys_mod_count": "1",
            **values,
        },
    )


def _priority(impact: str, urgency: str) -> str:
    return _PRIORITY.get((impact, urgency), "5" if (impact, urgency) == ("3", "3") else "3")


def _incident(dictionary: Dictionary, index: int) -> Row:
    state = ("1", "2", "2", "3", "6", "7")[index % 6]
    impact, urgency = str(index % 3 + 1), str(index % 2 + 2)
    values = {
        "short_description": _SUBJECTS[index % len(_SUBJECTS)],
        "description": f"{_SUBJECTS[index % len(_SUBJECTS)]}, reported by a user.",
        "caller_id": user_id("abel.tuter" if index % 2 else "employee"),
        "category": ("network", "software", "inquiry", "hardware")[index % 4],
        "impact": impact,
        "urgency": urgency,
        "priority": _priority(impact, urgency),
        "state": state,
        "incident_state": state,
        "assignment_group": group_id(("Network", "Software", "Service Desk")[index % 3]),
        "assigned_to": user_id("david.loo") if state != "1" else "",
        "contact_type": ("phone", "email", "self-service")[index % 3],
    }
    if state == "3":
        values["hold_reason"] = "1"
    if state in ("6", "7"):
        done = to_stored(_START + timedelta(hours=7 * index + 5))
        values |= {
            "close_code": "Solution provided",
            "close_notes": "Restarted the service and watched it for an hour.",
            "resolved_at": done,
            "resolved_by": user_id("david.loo"),
        }
        if state == "7":
            values |= {"active": "false", "closed_at": done, "closed_by": user_id("david.loo")}
    return _ticket(dictionary, "incident", index, f"INC{index + 1:07d}", values)


def _problem(dictionary: Dictionary, index: int) -> Row:
    state = ("101", "102", "103", "104", "106", "107")[index % 6]
    values = {
        "short_description": f"Recurring: {_SUBJECTS[index % len(_SUBJECTS)].lower()}",
        "state": state,
        "problem_state": state,
        "category": ("network", "software", "hardware", "database")[index % 4],
        "impact": "2",
        "urgency": "2",
        "priority": "3",
        "assigned_to": user_id("problem.admin") if state != "101" else "",
        "assignment_group": group_id("Problem Management"),
    }
    if state in ("104", "106", "107"):
        values |= {"cause_notes": "A full log volume.", "fix_notes": "Log rotation was put in place."}
    if state in ("106", "107"):
        values |= {"resolution_code": "fix_applied"}
    if state == "107":
        values |= {"active": "false", "closed_at": to_stored(_START + timedelta(hours=7 * index + 90))}
    return _ticket(dictionary, "problem", index, f"PRB{index + 1:07d}", values)


def _change(dictionary: Dictionary, index: int) -> Row:
    kind = ("normal", "standard", "emergency")[index % 3]
    state = ("-5", "-4", "-2", "-1", "0", "3")[index % 6]
    if kind == "standard" and state == "-4":
        state = "-2"
    start = _START + timedelta(days=index)
    values = {
        "short_description": f"Patch group {index + 1} of the shop servers",
        "type": kind,
        "chg_model": demo_id("chg_model", kind),
        "state": state,
        "assignment_group": group_id("Cloud Operations"),
        "cmdb_ci": item_id("vm-web-01"),
        "start_date": to_stored(start),
        "end_date": to_stored(start + timedelta(hours=2)),
        "approval": "approved" if state not in ("-5", "-4") else "requested" if state == "-4" else "not requested",
    }
    if state == "3":
        values |= {
            "active": "false",
            "close_code": "successful",
            "close_notes": "Done without disturbance.",
            "closed_at": to_stored(start + timedelta(hours=3)),
        }
    return _ticket(dictionary, "change_request", index, f"CHG{index + 1:07d}", values)
