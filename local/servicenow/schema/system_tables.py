"""The platform's own tables: dictionary, choices, properties, business rules, journals and logs."""

from __future__ import annotations

from local.servicenow.schema.model import table

PLATFORM = (
    table(
        "sys_metadata",
        "Application File",
        """
sys_class_name   sys_class_name ro | Class
sys_name         string(255)    | Display name
sys_scope        string(32)     =global | Application
sys_policy       string(40)     | Protection policy
sys_update_name  string(250)    | Update name
""",
        display="sys_name",
    ),
    table(
        "sys_db_object",
        "Table",
        """
name           string(80)
label          string(80)
super_class    reference->sys_db_object | Extends table
is_extendable  boolean =false
create_access  boolean =true
read_access    boolean =true
update_access  boolean =true
delete_access  boolean =true
ws_access      boolean =true | Allow access to this table via web services
number_ref     reference->sys_number | Auto number
access         string(40) =public
""",
        extends="sys_metadata",
        display="label",
    ),
    table(
        "sys_dictionary",
        "Dictionary Entry",
        """
name           string(80)   | Table
element        string(80)   | Column name
column_label   string(80)
internal_type  reference->sys_glide_object key=name | Type
max_length     integer      =40
reference      reference->sys_db_object key=name
default_value  string(512)
mandatory      boolean      =false
read_only      boolean      =false
active         boolean      =true
array          boolean      =false
display        boolean      =false
choice         integer      choice
unique         boolean      =false
virtual        boolean      =false | Calculated
dependent      string(80)
attributes     string(1000)
comments       string(4000)
""",
        extends="sys_metadata",
        display="element",
    ),
    table(
        "sys_template",
        "Template",
        """
name              string(100)
table             string(80)
active            boolean     =true
global            boolean     =false
user              reference->sys_user
groups            string(1024)
short_description string(160)
template          string(4000) | Template
roles             string(1024)
""",
        extends="sys_metadata",
        display="name",
    ),
    table(
        "sys_choice",
        "Choice",
        """
name             string(80)    | Table
element          string(80)
value            string(60)
label            string(60)
language         string(3)     =en
sequence         integer
inactive         boolean       =false
dependent_value  string(60)
hint             string(255)
""",
        extends="sys_metadata",
        display="label",
    ),
    table(
        "sys_glide_object", "Field class", "name string(40)\nlabel string(40)\nscalar_type string(40)", display="label"
    ),
    table(
        "sys_properties",
        "System Property",
        """
name         string(100)
value        string(4000)
description  string(1000)
type         string(40)  =string
choices      string(4000)
is_private   boolean     =false | Private
ignore_cache boolean     =false
""",
        extends="sys_metadata",
        display="name",
    ),
    table(
        "sys_number",
        "Number",
        "category string(80) | Table\nprefix string(40)\nnumber integer\nmaximum_digits integer =7",
    ),
    table(
        "sys_script",
        "Business Rule",
        """
name              string(100)
collection        string(80)    | Table
when              string(40)    =before
active            boolean       =true
order             integer       =100
action_insert     boolean       =false | Insert
action_update     boolean       =false | Update
action_delete     boolean       =false | Delete
action_query      boolean       =false | Query
abort_action      boolean       =false
add_message       boolean       =false
message           html(4000)
filter_condition  conditions(4000)
condition         string(254)
script            script(8000)
advanced          boolean       =false
template          string(4000)
""",
        extends="sys_metadata",
        display="name",
    ),
)

LOGS = (
    table(
        "sys_journal_field",
        "Journal Entry",
        "name string(80) | Table\nelement string(80)\nelement_id string(32)\nvalue string(65000)",
        display="sys_id",
    ),
    table(
        "sys_audit",
        "Audit",
        """
tablename          string(80)
fieldname          string(80)
documentkey        string(32)
oldvalue           string(4000)
newvalue           string(4000)
user               string(40)
reason             string(100)
record_checkpoint  integer
""",
        display="sys_id",
    ),
    table(
        "sys_audit_delete",
        "Deleted Record",
        "tablename string(80)\ndocumentkey string(32)\ndisplay_value string(255)\nuser string(40)",
        display="display_value",
    ),
    table(
        "syslog",
        "Log Entry",
        "level integer =0\nmessage string(4000)\nsource string(100)",
        display="message",
    ),
    table(
        "syslog_transaction",
        "Transaction Log Entry",
        """
url                 string(1000)
response_time       integer
sql_time            integer
business_rule_time  integer
session             string(40)
remote_ip           string(40)
type                string(40)
status              integer
transaction_id      string(40)
""",
        display="url",
    ),
    table(
        "sysevent",
        "Event",
        """
name        string(100)
parm1       string(4000)
parm2       string(4000)
instance    string(32)
table       string(80)
state       string(40) =ready
queue       string(80)
process_on  glide_date_time
processed   glide_date_time
""",
    ),
)

TABLES = (*PLATFORM, *LOGS)
