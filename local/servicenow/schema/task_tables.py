"""The task family: task, incident, problem, change_request and the small ones around them.

Columns, lengths and defaults: ServiceNow docs, "Task table", "Incident form fields", "Problem form" and "Change
request form".
"""

from __future__ import annotations

from local.servicenow.schema.model import table

TASK = table(
    "task",
    "Task",
    """
number                    string(40)                      | Number
sys_class_name            sys_class_name                  ro choice | Task type
short_description         string(160)
description               string(4000)
state                     integer                         choice =1
active                    boolean                         =true
priority                  integer                         choice =4
impact                    integer                         choice =3
urgency                   integer                         choice =3
assignment_group          reference->sys_user_group
assigned_to               reference->sys_user
opened_by                 reference->sys_user
opened_at                 glide_date_time                 | Opened
closed_by                 reference->sys_user
closed_at                 glide_date_time                 | Closed
due_date                  due_date
work_start                glide_date_time                 | Actual start
work_end                  glide_date_time                 | Actual end
expected_start            glide_date_time
activity_due              due_date
parent                    reference->task
cmdb_ci                   reference->cmdb_ci              | Configuration item
business_service          reference->cmdb_ci_service      | Service
service_offering          reference->service_offering
company                   reference->core_company
location                  reference->cmn_location
contact_type              string(40)                      choice | Channel
approval                  string(40)                      choice =not~requested
approval_history          journal                         virtual
approval_set              glide_date_time
escalation                integer                         choice =0
made_sla                  boolean                         =true | Made SLA
knowledge                 boolean                         =false
watch_list                glide_list->sys_user
work_notes_list           glide_list->sys_user
additional_assignee_list  glide_list->sys_user
group_list                glide_list->sys_user_group
comments                  journal_input                   virtual | Additional comments
work_notes                journal_input                   virtual | Work notes
comments_and_work_notes   journal_list                    virtual | Comments and Work notes
correlation_id            string(100)                     | Correlation ID
correlation_display       string(100)
close_notes               string(4000)
reassignment_count        integer                         =0
follow_up                 glide_date_time
order                     integer
sys_domain                domain_id->sys_user_group       =global | Domain
sys_domain_path           domain_path                     =/ | Domain Path
task_effective_number     string(40)                      | Effective number
universal_request         reference->task
upon_approval             string(40)                      choice =proceed
upon_reject               string(40)                      choice =cancel
user_input                user_input(4000)
time_worked               timer
business_duration         glide_duration
calendar_duration         glide_duration                  | Duration
sla_due                   due_date                        | SLA due
contract                  reference->ast_contract
route_reason              integer
skills                    glide_list->cmn_skill
delivery_plan             reference->task
delivery_task             reference->task
""",
    prefix="TASK",
    first_number=20001,
    display="number",
)

INCIDENT = table(
    "incident",
    "Incident",
    """
state            integer               choice =1
priority         integer               choice =5
caller_id        reference->sys_user   | Caller
category         string(40)            choice =inquiry
subcategory      string(40)            choice
incident_state   integer               choice =1
severity         integer               choice =3
close_code       string(40)            choice | Resolution code
close_notes      string(4000)          | Resolution notes
resolved_at      glide_date_time       | Resolved
resolved_by      reference->sys_user
reopen_count     integer               =0
reopened_by      reference->sys_user   | Last reopened by
reopened_time    glide_date_time       | Last reopened at
hold_reason      integer               choice | On hold reason
problem_id       reference->problem    | Problem
rfc              reference->change_request | Change Request
caused_by        reference->change_request | Caused by Change
parent_incident  reference->incident
child_incidents  integer               =0
notify           integer               choice =1
cause            string(4000)          | Probable cause
business_impact  string(4000)
business_stc     integer               | Business resolve time
calendar_stc     integer               | Resolve time
origin_table     string(80)
origin_id        string(32)
""",
    extends="task",
    prefix="INC",
    first_number=10001,
    display="number",
)

PROBLEM = table(
    "problem",
    "Problem",
    """
state                   integer                   choice =101
problem_state           integer                   choice =101
priority                integer                   choice =5
category                string(40)                choice
subcategory             string(40)                choice
resolution_code         string(40)                choice
cause_notes             string(4000)
fix_notes               string(4000)
workaround              html(4000)
known_error             boolean                   =false
major_problem           boolean                   =false
first_reported_by_task  reference->task
duplicate_of            reference->problem
confirmed_at            glide_date_time
confirmed_by            reference->sys_user
resolved_at             glide_date_time           | Resolved
resolved_by             reference->sys_user
fix_at                  glide_date_time
fix_by                  reference->sys_user
reopened_at             glide_date_time
reopened_by             reference->sys_user
reopen_count            integer                   =0
related_incidents       integer                   =0
review_outcome          string(40)
rfc                     reference->change_request | Change request
cause_confirmed         boolean                   =false
fix_communicated_at     glide_date_time
workaround_applied      boolean                   =false
rca_completed           boolean                   =false
close_code              string(40)                choice
""",
    extends="task",
    prefix="PRB",
    first_number=40001,
    display="number",
)

CHANGE_REQUEST = table(
    "change_request",
    "Change Request",
    """
state                         integer                        choice =-5
priority                      integer                        choice =4
type                          string(40)                     choice =normal
phase                         string(40)                     choice =requested
phase_state                   string(40)                     choice =open
risk                          integer                        choice =3
risk_value                    integer
category                      string(40)                     choice =other
reason                        string(40)
justification                 string(4000)
implementation_plan           string(4000)
backout_plan                  string(4000)
test_plan                     string(4000)
risk_impact_analysis          string(4000)                   | Risk and impact analysis
start_date                    glide_date_time                | Planned start date
end_date                      glide_date_time                | Planned end date
requested_by                  reference->sys_user
requested_by_date             glide_date_time
cab_required                  boolean                        =false | CAB required
cab_date                      glide_date
cab_date_time                 glide_date_time
cab_delegate                  reference->sys_user
cab_recommendation            string(4000)
chg_model                     reference->chg_model           | Model
std_change_producer_version   reference->std_change_producer_version | Standard Change Template version
conflict_status               string(40)                     choice =Not~Run
conflict_last_run             glide_date_time
on_hold                       boolean                        =false
on_hold_reason                string(4000)
on_hold_task                  glide_list->task
unauthorized                  boolean                        =false
outside_maintenance_schedule  boolean                        =false
production_system             boolean                        =false
review_status                 integer                        choice
review_date                   glide_date
review_comments               string(4000)
scope                         integer                        choice =3
close_code                    string(40)                     choice
close_notes                   string(4000)
is_bulk                       boolean                        =false
""",
    extends="task",
    prefix="CHG",
    first_number=30001,
    display="number",
)

CHANGE_TASK = table(
    "change_task",
    "Change Task",
    """
state                 integer                     choice =1
change_request        reference->change_request
change_task_type      string(40)                  choice =planning
planned_start_date    glide_date_time
planned_end_date      glide_date_time
close_code            string(40)                  choice
on_hold               boolean                     =false
on_hold_reason        string(4000)
""",
    extends="task",
    prefix="CTASK",
    first_number=10001,
)

PROBLEM_TASK = table(
    "problem_task",
    "Problem Task",
    """
state              integer             choice =151
problem            reference->problem
problem_task_type  string(40)          choice =general
close_code         string(40)          choice
cause_notes        string(4000)
""",
    extends="task",
    prefix="PTASK",
    first_number=10001,
)

SC_REQUEST = table(
    "sc_request", "Request", "requested_for reference->sys_user\nstage string(40) choice", extends="task", prefix="REQ"
)
SC_REQ_ITEM = table(
    "sc_req_item",
    "Requested Item",
    "request reference->sc_request\nrequested_for reference->sys_user\nquantity integer =1\nstage string(80)",
    extends="task",
    prefix="RITM",
)

CHG_MODEL = table(
    "chg_model", "Change Model", "name string(80)\nactive boolean =true\ndescription string(4000)\ntype string(40)"
)
STD_CHANGE = table(
    "std_change_producer_version",
    "Standard Change Template Version",
    """
name                    string(100)
version                 integer =1
std_change_producer     reference->std_change_record_producer | Standard Change Template
active                  boolean =true
""",
)
#: The templates of standard changes as people know them; they extend sc_cat_item_producer.
STD_CHANGE_PRODUCER = table(
    "std_change_record_producer",
    "Standard Change Template",
    """
name                    string(100)
short_description       string(160)
active                  boolean =true
current_version         reference->std_change_producer_version
""",
)
APPROVER = table(
    "sysapproval_approver",
    "Approval",
    """
sysapproval     reference->task        | Approval for
approver        reference->sys_user
state           string(40)             choice =requested
comments        journal_input          virtual
source_table    string(80)
document_id     string(32)
""",
    display="sys_id",
)

TASK_CI = table(
    "task_ci",
    "CIs Affected",
    "task reference->task\nci_item reference->cmdb_ci | Configuration Item\napplied boolean =false",
    display="sys_id",
)

TABLES = (
    TASK,
    INCIDENT,
    PROBLEM,
    CHANGE_REQUEST,
    CHANGE_TASK,
    PROBLEM_TASK,
    SC_REQUEST,
    SC_REQ_ITEM,
    CHG_MODEL,
    STD_CHANGE,
    STD_CHANGE_PRODUCER,
    APPROVER,
    TASK_CI,
)
