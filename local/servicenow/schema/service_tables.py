"""Tables behind the services: sign-in, attachments, import sets, events and alerts."""

from __future__ import annotations

from local.servicenow.schema.model import table

SIGN_IN = (
    table(
        "oauth_entity",
        "Application Registry",
        """
name                    string(100)
client_id               string(32)
client_secret           password2
type                    string(40)  =client
active                  boolean     =true
access_token_lifespan   integer     =1800
refresh_token_lifespan  integer     =8640000
user                    reference->sys_user | OAuth Application User
scope_restriction       string(40)  choice =broadly_scoped
scopes                  string(1000)
public_client           boolean     =false
redirect_url            string(1024)
default_grant_type      string(40)  =authorization_code
""",
        extends="sys_metadata",
        display="name",
    ),
    table(
        "oauth_credential",
        "OAuth Credential",
        """
name         string(40)
type         string(40)
peer         reference->oauth_entity
user         reference->sys_user
expires      glide_date_time
token        password2
scopes       string(1000)
""",
    ),
    table(
        "jwt_verifier_map",
        "JWT Verifier Map",
        """
name                    string(100)
kid                     string(100)
oauth_jwt               reference->oauth_entity | OAuth JWT
user_field              string(40) =user_name
public_key              string(8000)
shared_key              password2
enable_jti_verification boolean =true
clock_skew              integer =300
""",
    ),
    table(
        "api_key",
        "REST API Key",
        """
name        string(100)
token       password2
user        reference->sys_user
active      boolean =true
expires     glide_date_time
auth_scope  string(100) =useraccount
""",
    ),
    table(
        "sys_user_certificate",
        "User Certificate Mapping",
        "name string(100)\nsubject string(255)\nuser reference->sys_user\nactive boolean =true",
    ),
)

TRANSFER = (
    table(
        "sys_attachment",
        "Attachment",
        """
file_name            string(100)
table_name           string(80)
table_sys_id         string(32)  | Table sys ID
content_type         string(255)
size_bytes           integer
size_compressed      integer
compressed           boolean     =true
hash                 string(255)
chunk_size_bytes     integer
image_height         integer
image_width          integer
average_image_color  string(40)
state                string(40)
encryption_context   string(32)
""",
        display="file_name",
    ),
    table(
        "sys_import_set",
        "Import Set",
        "number string(40)\ntable_name string(80)\nstate string(40) =loading\nmode string(40)"
        "\nshort_description string(160)",
        prefix="ISET",
        display="number",
    ),
    table(
        "sys_import_set_row",
        "Import Set Row",
        """
sys_class_name       sys_class_name ro
sys_import_set       reference->sys_import_set | Set
sys_import_row       integer        | Row
sys_import_state     string(40)     =pending | State
sys_import_state_comment string(4000) | Comment
sys_target_table     string(80)     | Target table
sys_target_sys_id    string(32)     | Target record
sys_transform_map    reference->sys_transform_map
sys_row_error        string(4000)
""",
        display="sys_id",
    ),
    table(
        "sys_transform_map",
        "Table Transform Map",
        """
name          string(100)
source_table  string(80)
target_table  string(80)
active        boolean =true
order         integer =100
run_business_rules boolean =true
enforce_mandatory_fields string(40) =No
copy_empty_fields boolean =false
""",
        extends="sys_metadata",
        display="name",
    ),
    table(
        "sys_transform_entry",
        "Field Map",
        """
map           reference->sys_transform_map
source_table  string(80)
source_field  string(80)
target_table  string(80)
target_field  string(80)
coalesce      boolean =false
choice_action string(40) =create
reference_value_field string(80)
""",
        extends="sys_metadata",
        display="source_field",
    ),
    table(
        "x_mioms_microsoft_oms_incident",
        "OMS Incident",
        """
short_description   string(160)
description         string(4000)
urgency             string(40)
impact              string(40)
category            string(40)
subcategory         string(40)
assignment_group    string(80)
assigned_to         string(100)
caller_id           string(100)
cmdb_ci             string(255)
contact_type        string(40)
correlation_id      string(100)
correlation_display string(100)
state               string(40)
work_notes          string(4000)
comments            string(4000)
close_code          string(40)
close_notes         string(4000)
""",
        extends="sys_import_set_row",
    ),
    table(
        "u_azure_incident",
        "Azure Incident Import",
        """
u_short_description   string(160)
u_description         string(4000)
u_impact              string(40)
u_urgency             string(40)
u_category            string(40)
u_assignment_group    string(100)
u_cmdb_ci             string(255)
u_work_notes          string(4000)
u_state               string(40)
u_close_code          string(40)
u_close_notes         string(4000)
u_parent              string(40)
u_correlation_id      string(100)
u_correlation_display string(100)
""",
        extends="sys_import_set_row",
    ),
    table(
        "x_elas2_inc_int_elastic_incident",
        "Elastic Incident",
        """
elastic_incident_id   string(40)
u_short_description   string(160)
u_description         string(4000)
u_urgency             string(40)
u_severity            string(40)
u_impact              string(40)
u_category            string(40)
u_subcategory         string(40)
u_state               string(40)
u_close_code          string(40)
u_close_notes         string(4000)
u_comments            string(4000)
u_work_notes          string(4000)
u_correlation_id      string(100)
u_correlation_display string(100)
u_caller_id           string(100)
""",
        extends="sys_import_set_row",
    ),
)

EVENTS = (
    table(
        "em_event",
        "Event",
        """
source            string(100)
event_class       string(100)
node              string(100)
resource          string(100)
metric_name       string(100)
type              string(100)
message_key       string(1024)
severity          integer choice
description       string(4000)
additional_info   string(65000)
time_of_event     glide_date_time
resolution_state  string(40) choice =New
ci_type           string(100)
ci_identifier     string(4000)
state             string(40) choice =Ready
processing_notes  string(4000)
alert             reference->em_alert
""",
        display="message_key",
    ),
    table(
        "em_alert",
        "Alert",
        """
number                      string(40)
source                      string(100)
event_class                 string(100)
node                        string(100)
resource                    string(100)
metric_name                 string(100)
type                        string(100)
message_key                 string(1024)
severity                    integer choice
state                       string(40)  choice =Open
description                 string(4000)
additional_info             string(65000)
cmdb_ci                     reference->cmdb_ci
incident                    reference->incident
event_count                 integer =0
acknowledged                boolean =false
initial_event_time          glide_date_time
last_event_time             glide_date_time
""",
        prefix="Alert",
        display="number",
    ),
)

TABLES = (*SIGN_IN, *TRANSFER, *EVENTS)
