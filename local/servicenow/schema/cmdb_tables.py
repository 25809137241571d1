"""Configuration items, their relations, and the cloud classes an Azure integration meets.

Source: ServiceNow docs, "CMDB schema model".
"""

from __future__ import annotations

from local.servicenow.schema.model import table

TABLES = (
    table(
        "cmdb",
        "Base Configuration Item",
        """
sys_class_name      sys_class_name     ro | Class
sys_class_path      string(255)        ro
sys_domain          domain_id->sys_user_group =global | Domain
sys_domain_path     domain_path        =/ | Domain Path
asset_tag           string(40)
assigned_to         reference->sys_user
assignment_group    reference->sys_user_group | Change Group
company             reference->core_company
department          reference->cmn_department
install_status      integer            choice =1 | Status
location            reference->cmn_location
managed_by          reference->sys_user
manufacturer        reference->core_company
model_id            reference->cmdb_model
serial_number       string(255)
support_group       reference->sys_user_group
supported_by        reference->sys_user
""",
        display="sys_id",
    ),
    table(
        "cmdb_ci",
        "Configuration Item",
        """
name                string(255)
short_description   string(1000)       | Description
operational_status  integer            choice =1
ip_address          string(255)        | IP Address
mac_address         string(255)        | MAC Address
fqdn                string(255)        | Fully qualified domain name
dns_domain          string(255)        | DNS Domain
correlation_id      string(512)        | Correlation ID
discovery_source    string(40)         choice
first_discovered    glide_date_time
last_discovered     glide_date_time    | Most recent discovery
environment         string(40)         choice
owned_by            reference->sys_user
attributes          string(65000)
object_id           string(1000)       | Object ID
category            string(40)
subcategory         string(40)
duplicate_of        reference->cmdb_ci
business_unit       string(32)
cost_center         reference->cmn_cost_center
comments            string(4000)
can_print           boolean            =false
fault_count         integer            =0
monitor             boolean            =false
unverified          boolean            =false
skip_sync           boolean            =false
version             string(255)
""",
        extends="cmdb",
        display="name",
    ),
    table(
        "cmdb_ci_hardware",
        "Hardware",
        "default_gateway string(40)\nhardware_status string(40) choice =installed",
        extends="cmdb_ci",
    ),
    table(
        "cmdb_ci_computer",
        "Computer",
        """
host_name     string(255)
os            string(255)  | Operating System
os_version    string(255)  | OS Version
os_domain     string(255)  | OS Domain
cpu_count     integer      | CPU count
cpu_core_count integer
ram           integer      | RAM (MB)
disk_space    integer      | Disk space (GB)
virtual       boolean      =false | Is Virtual
""",
        extends="cmdb_ci_hardware",
    ),
    table("cmdb_ci_server", "Server", "classification string(40)\nused_for string(40)", extends="cmdb_ci_computer"),
    table("cmdb_ci_win_server", "Windows Server", "firewall_status string(40)", extends="cmdb_ci_server"),
    table("cmdb_ci_linux_server", "Linux Server", "kernel_release string(255)", extends="cmdb_ci_server"),
    table("cmdb_ci_vm_object", "Virtual Machine Object", "guest_os_fullname string(255)", extends="cmdb_ci"),
    table(
        "cmdb_ci_vm_instance",
        "Virtual Machine Instance",
        "cpus integer | CPUs\nmemory integer | Memory\nstate string(40) choice =on"
        "\nvm_inst_id string(255) | VM instance ID",
        extends="cmdb_ci_vm_object",
    ),
    table(
        "cmdb_ci_cloud_service_account",
        "Cloud Service Account",
        "account_id string(255)\ndatacenter_type string(80)\nparent_account reference->cmdb_ci_cloud_service_account",
        extends="cmdb_ci",
    ),
    table("cmdb_ci_appl", "Application", "running_process string(1000)\ntcp_port string(40)", extends="cmdb_ci"),
    table("cmdb_ci_cloud_webserver", "Cloud Webserver", "host_name string(255)", extends="cmdb_ci_appl"),
    table("cmdb_ci_database", "Database", "type string(40)", extends="cmdb_ci_appl"),
    table("cmdb_ci_cloud_database", "Cloud Database", "engine_version string(255)", extends="cmdb_ci_vm_object"),
    table(
        "cmdb_ci_service",
        "Service",
        "busines_criticality string(40) choice\nservice_status string(40) choice"
        "\nservice_classification string(40) choice"
        "\nnumber string(40)",
        extends="cmdb_ci",
    ),
    table("service_offering", "Service Offering", "parent reference->cmdb_ci_service", extends="cmdb_ci_service"),
    table("cmdb_model", "Product Model", "name string(255)\nmanufacturer reference->core_company", display="name"),
    table(
        "cmdb_rel_type",
        "CI Relationship Type",
        "name string(80)\nparent_descriptor string(40)\nchild_descriptor string(40)",
        display="name",
    ),
    table(
        "cmdb_rel_ci",
        "CI Relationship",
        "parent reference->cmdb_ci\nchild reference->cmdb_ci\ntype reference->cmdb_rel_type"
        "\nconnection_strength string(40)",
        display="sys_id",
    ),
    table(
        "cmdb_key_value",
        "Key Value",
        "key string(255)\nvalue string(255)\nconfiguration_item reference->cmdb_ci",
        display="key",
    ),
    table(
        "alm_asset",
        "Asset",
        """
asset_tag     string(40)
display_name  string(255)
ci            reference->cmdb_ci | Configuration Item
model         reference->cmdb_model
serial_number string(100)
install_status integer =1
sys_class_name sys_class_name ro
""",
        display="display_name",
    ),
    table("bsm_chart", "BSM Chart", "name string(100)\nroot_ci reference->cmdb_ci"),
)
