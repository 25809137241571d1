"""Choice lists of the base system: what sys_choice holds and what display values are made from.

Source: ServiceNow docs, "Incident form fields", "Problem state model", "Change state model", "Event management".
A set is a line ``table.element`` and indented lines of ``value=label``, or ``value<dependent_value=label``. Values
that differ by the age of an instance can be switched (settings ``close_codes``).
"""

from __future__ import annotations

from local.servicenow.schema.dictionary import Choice

_TEXT = """
task.state
    | -5=Pending | 1=Open | 2=Work in Progress | 3=Closed Complete | 4=Closed Incomplete | 7=Closed Skipped
task.impact
    | 1=1 - High | 2=2 - Medium | 3=3 - Low
task.urgency
    | 1=1 - High | 2=2 - Medium | 3=3 - Low
task.priority
    | 1=1 - Critical | 2=2 - High | 3=3 - Moderate | 4=4 - Low | 5=5 - Planning
task.approval
    | not requested=Not Yet Requested | requested=Requested | approved=Approved | rejected=Rejected
    | cancelled=Cancelled | not_required=Not Required | duplicate=Duplicate
task.escalation
    | 0=Normal | 1=Moderate | 2=High | 3=Overdue
task.contact_type
    | email=Email | phone=Phone | self-service=Self-service | virtual_agent=Virtual Agent | walk-in=Walk-in
    | chat=Chat | monitoring=Monitoring
task.upon_approval
    | proceed=Proceed to Next Task | do_nothing=Wait for a User to Close this task
task.upon_reject
    | cancel=Cancel all future Tasks | goto=Go to a previous Task
task.sys_class_name
    | incident=Incident | problem=Problem | change_request=Change Request | change_task=Change Task
    | problem_task=Problem Task | sc_request=Request | sc_req_item=Requested Item | task=Task
incident.state
    | 1=New | 2=In Progress | 3=On Hold | 6=Resolved | 7=Closed | 8=Canceled
incident.incident_state
    | 1=New | 2=In Progress | 3=On Hold | 6=Resolved | 7=Closed | 8=Canceled
incident.hold_reason
    | 1=Awaiting Caller | 3=Awaiting Problem | 4=Awaiting Vendor | 5=Awaiting Change
incident.severity
    | 1=1 - High | 2=2 - Medium | 3=3 - Low
incident.category
    | inquiry=Inquiry / Help | software=Software | hardware=Hardware | network=Network | database=Database
    | password_reset=Password Reset
incident.subcategory
    | antivirus<inquiry=Antivirus | email<inquiry=Email | internal application<inquiry=Internal Application
    | os<software=Operating System | cpu<hardware=CPU | disk<hardware=Disk | memory<hardware=Memory
    | dhcp<network=DHCP | dns<network=DNS | vpn<network=VPN | wireless<network=Wireless | db2<database=DB2
    | sql server<database=MS SQL Server | oracle<database=Oracle
incident.notify
    | 1=Do Not Notify | 2=Send Email | 3=Phone
problem.state
    | 101=New | 102=Assess | 103=Root Cause Analysis | 104=Fix in Progress | 106=Resolved | 107=Closed
problem.problem_state
    | 101=New | 102=Assess | 103=Root Cause Analysis | 104=Fix in Progress | 106=Resolved | 107=Closed
problem.resolution_code
    | fix_applied=Fix Applied | risk_accepted=Risk Accepted | duplicate=Duplicate | canceled=Canceled
problem.category
    | software=Software | hardware=Hardware | network=Network | database=Database
problem.subcategory
    | os<software=Operating System | cpu<hardware=CPU | disk<hardware=Disk | dns<network=DNS | vpn<network=VPN
    | sql server<database=MS SQL Server
change_request.state
    | -5=New | -4=Assess | -3=Authorize | -2=Scheduled | -1=Implement | 0=Review | 3=Closed | 4=Canceled
change_request.type
    | normal=Normal | standard=Standard | emergency=Emergency
change_request.risk
    | 2=High | 3=Moderate | 4=Low
change_request.phase
    | requested=Requested | plan=Plan | authorized=Authorized | scheduled=Scheduled | implement=Implement
    | review=Review | complete=Complete
change_request.phase_state
    | open=Open | pending=Pending | approved=Approved | complete=Complete | canceled=Canceled
change_request.category
    | Hardware=Hardware | Software=Software | Service=Service | System Software=System Software
    | Applications Software=Applications Software | Network=Network | Telecom=Telecom
    | Documentation=Documentation | Other=Other | other=Other
change_request.priority
    | 1=1 - Critical | 2=2 - High | 3=3 - Moderate | 4=4 - Low
change_request.close_code
    | successful=Successful | successful_issues=Successful with issues | unsuccessful=Unsuccessful
change_request.conflict_status
    | Not Run=Not Run | No Conflict=No Conflict | Conflict=Conflict
change_request.review_status
    | 1=Submitted for review | 2=Reviewed
change_request.scope
    | 1=Massive | 2=Large | 3=Medium | 4=Small | 5=Tiny
change_task.state
    | -5=Pending | 1=Open | 2=In Progress | 3=Closed | 4=Canceled
change_task.close_code
    | successful=Successful | successful_issues=Successful with issues | unsuccessful=Unsuccessful
change_task.change_task_type
    | planning=Planning | implementation=Implementation | testing=Testing | review=Review
problem_task.state
    | 151=New | 152=Assess | 154=Work in Progress | 157=Closed
problem_task.problem_task_type
    | general=General | rca=Root Cause Analysis
cmdb.install_status
    | 0=Implementing | 1=Installed | 2=On Order | 3=In Maintenance | 4=Pending Install | 5=Pending Repair
    | 6=In Stock | 7=Retired | 8=Stolen | 100=Absent
cmdb_ci.operational_status
    | 1=Operational | 2=Non-Operational | 3=Repair in Progress | 4=DR Standby | 5=Ready | 6=Retired
    | 7=Pipeline | 8=Catalog
cmdb_ci.discovery_source
    | ServiceNow=ServiceNow | Manual Entry=Manual Entry | ImportSet=ImportSet | Azure Monitor=Azure Monitor
    | SG-Azure=SG-Azure | Other Automated=Other Automated
cmdb_ci.environment
    | Production=Production | Test=Test | Development=Development
cmdb_ci_service.busines_criticality
    | 1 - most critical=1 - most critical | 2 - somewhat critical=2 - somewhat critical
    | 3 - less critical=3 - less critical | 4 - not critical=4 - not critical
cmdb_ci_service.service_status
    | operational=Operational | non_operational=Non-Operational | retired=Retired
cmdb_ci_service.service_classification
    | Business Service=Business Service | Technical Service=Technical Service
    | Application Service=Application Service
cmdb_ci_vm_instance.state
    | on=On | off=Off | terminated=Terminated
sys_user.identity_type
    | human=Human | machine=Machine
em_event.severity
    | 0=Clear | 1=Critical | 2=Major | 3=Minor | 4=Warning | 5=OK
em_event.state
    | Ready=Ready | Processed=Processed | Ignored=Ignored | Error=Error
em_event.resolution_state
    | New=New | Closing=Closing
em_alert.severity
    | 0=Clear | 1=Critical | 2=Major | 3=Minor | 4=Warning | 5=OK
em_alert.state
    | Open=Open | Reopen=Reopen | Flapping=Flapping | Closed=Closed
sysapproval_approver.state
    | requested=Requested | approved=Approved | rejected=Rejected | not requested=Not Yet Requested
    | cancelled=Cancelled
oauth_entity.scope_restriction
    | broadly_scoped=Broadly scoped | securely_scoped=Securely scoped
"""

#: Resolution codes of an incident by the age of the instance.
CLOSE_CODES = {
    "newer": (
        "Duplicate",
        "Known error",
        "No resolution provided",
        "Resolved by caller",
        "Resolved by change",
        "Resolved by problem",
        "Resolved by request",
        "Solution provided",
        "Workaround provided",
        "User error",
    ),
    "older": (
        "Solved (Work Around)",
        "Solved (Permanently)",
        "Solved Remotely (Work Around)",
        "Solved Remotely (Permanently)",
        "Not Solved (Not Reproducible)",
        "Not Solved (Too Costly)",
        "Closed/Resolved by Caller",
    ),
}


def base_choices() -> dict[tuple[str, str], list[Choice]]:
    """Every choice set of the base system by (table, element), except incident close codes."""
    found: dict[tuple[str, str], list[Choice]] = {}
    choices: list[Choice] = []
    for line in _TEXT.strip().splitlines():
        if not line.startswith(" "):
            table, _, element = line.partition(".")
            choices = found[table, element] = []
            continue
        for entry in line.split("|")[1:]:
            value, _, label = entry.strip().partition("=")
            value, _, dependent = value.partition("<")
            choices.append(Choice(value, label, dependent_value=dependent))
    return found


def close_code_choices(kind: str) -> list[Choice]:
    """Incident close codes of a ``newer`` or ``older`` instance; the other set is there, inactive."""
    other = "older" if kind == "newer" else "newer"
    return [Choice(code, code) for code in CLOSE_CODES[kind]] + [
        Choice(code, code, inactive=True) for code in CLOSE_CODES[other]
    ]
