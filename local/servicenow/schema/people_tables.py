"""Users, groups, roles and the organisation around them (ServiceNow docs, "User administration")."""

from __future__ import annotations

from local.servicenow.schema.model import table

TABLES = (
    table(
        "sys_user",
        "User",
        """
user_name                  string(40)               | User ID
name                       string(151)
first_name                 string(50)
last_name                  string(50)
middle_name                string(50)
email                      string(100)
active                     boolean                  =true
locked_out                 boolean                  =false
password_needs_reset       boolean                  =false
web_service_access_only    boolean                  =false
internal_integration_user  boolean                  =false
identity_type              string(40)               choice =human
enable_multifactor_authn   boolean                  =false | Enable Multifactor Authentication
user_password              password                 | Password
time_zone                  string(40)               choice
date_format                string(40)               choice
time_format                string(40)               choice
preferred_language         string(3)                choice | Language
manager                    reference->sys_user
department                 reference->cmn_department
company                    reference->core_company
location                   reference->cmn_location
title                      string(60)
phone                      string(40)               | Business phone
mobile_phone               string(40)
home_phone                 string(40)
employee_number            string(40)
gender                     string(40)
vip                        boolean                  =false | VIP
roles                      user_roles(255)
source                     string(255)
notification               integer                  choice =2
calendar_integration       integer                  choice =1
failed_attempts            integer                  | Failed login attempts
last_login                 glide_date
last_login_time            glide_date_time
sys_domain                 domain_id->sys_user_group =global | Domain
sys_domain_path            domain_path              =/ | Domain Path
sys_class_name             sys_class_name           ro =sys_user | Class
""",
        display="name",
    ),
    table(
        "sys_user_group",
        "Group",
        """
name                string(80)
description         string(1000)
manager             reference->sys_user
email               string(100)
active              boolean             =true
type                glide_list->sys_user_group_type
parent              reference->sys_user_group
cost_center         reference->cmn_cost_center
default_assignee    reference->sys_user
exclude_manager     boolean             =false
include_members     boolean             =false
source              string(255)
roles               user_roles(255)
points              integer             =0
average_daily_fte   decimal
hourly_rate         string(40)          =0
""",
        display="name",
    ),
    table("sys_user_group_type", "Group Type", "name string(40)\ndescription string(100)"),
    table(
        "sys_user_grmember",
        "Group Member",
        "user reference->sys_user\ngroup reference->sys_user_group\nscrum_role string(40)",
        display="user",
    ),
    table(
        "sys_user_role",
        "Role",
        """
name               string(100)
description        string(1000)
elevated_privilege boolean =false
grantable          boolean =true
suffix             string(100)
assignable_by      reference->sys_user_role
""",
        extends="sys_metadata",
        display="name",
    ),
    table(
        "sys_user_role_contains",
        "Contained Role",
        "role reference->sys_user_role\ncontains reference->sys_user_role",
        display="role",
    ),
    table(
        "sys_user_has_role",
        "User Role",
        """
user        reference->sys_user
role        reference->sys_user_role
granted_by  reference->sys_user_group
inherited   boolean =false
state       string(40) =active
""",
        display="role",
    ),
    table(
        "sys_group_has_role",
        "Group Role",
        "group reference->sys_user_group\nrole reference->sys_user_role\ninherits boolean =true",
        display="role",
    ),
    table(
        "cmn_department",
        "Department",
        """
name          string(100)
id            string(40)                | ID
description   string(1000)
dept_head     reference->sys_user       | Department head
primary_contact reference->sys_user
parent        reference->cmn_department
company       reference->core_company
cost_center   reference->cmn_cost_center
head_count    integer
""",
    ),
    table(
        "cmn_location",
        "Location",
        """
name        string(100)
full_name   string(255)
street      string(255)
city        string(50)
state       string(40)
zip         string(40)
country     string(40)
parent      reference->cmn_location
time_zone   string(40)
""",
        display="name",
    ),
    table("cmn_cost_center", "Cost Center", "name string(100)\ncode string(40)\nmanager reference->sys_user"),
    table("cmn_skill", "Skill", "name string(100)\nactive boolean =true\ndescription string(1000)"),
    table(
        "core_company",
        "Company",
        """
name        string(80)
customer    boolean  =false
vendor      boolean  =false
manufacturer boolean =false
primary     boolean  =false
website     string(255)
street      string(255)
city        string(50)
country     string(40)
notes       string(4000)
""",
    ),
    table(
        "ast_contract",
        "Contract",
        "number string(40)\nshort_description string(100)\nvendor reference->core_company\nstate string(40)"
        "\nactive boolean =true",
        prefix="CNTR",
        display="number",
    ),
)
