"""Users, groups, roles and organisation of the demo data.

Well-known sys_ids and names are those of the base system's public demo data, which clients' test-suites rely on.
"""

from __future__ import annotations

from collections.abc import Iterator

from local.servicenow.identity import password_hash
from local.servicenow.schema.describe import demo_id, system_row, words
from local.servicenow.store import Row
from local.simulator_kit.people import PEOPLE, address

ADMIN_ID = "6816f79cc0a8016401c5a33be04be441"
BRIDGE_USER = "azure.bridge"

ROLES = words(
    """
    admin itil itil_admin evt_mgmt_integration evt_mgmt_operator evt_mgmt_admin evt_mgmt_user
    import_transformer import_admin personalize_choices sn_incident_read sn_incident_write sn_change_read
    sn_change_write change_manager problem_coordinator problem_manager problem_admin asset cmdb_read
    catalog_admin knowledge_admin user_admin role_delegator approver_user oauth_admin web_service_admin
    rest_service rest_api_explorer snc_internal snc_read_only snc_basic_auth_api_access
    snc_platform_rest_api_access query_no_domain_table_api template_editor view_changer x_mioms_microsoft.user
    x_demo.incident_creator
    """
)
ROLE_IDS = {"admin": "2831a114c611228501d4ea6c309d626d", "itil": "282bf1fac6112285017366cb5f867469"}
CONTAINED_ROLES = {
    "itil": (
        "sn_incident_read",
        "sn_incident_write",
        "sn_change_read",
        "sn_change_write",
        "cmdb_read",
        "template_editor",
    ),
    "itil_admin": ("itil",),
    "problem_admin": ("problem_manager",),
    "problem_manager": ("problem_coordinator",),
    "change_manager": ("sn_change_write",),
    "evt_mgmt_admin": ("evt_mgmt_operator", "evt_mgmt_integration"),
    "evt_mgmt_operator": ("evt_mgmt_user",),
}

#: The people who are no administrators: user_name -> (sys_id or empty, roles).
_PEOPLE: dict[str, tuple[str, str]] = {
    "abel.tuter": ("62826bf03710200044e0bfc8bcbe5df1", ""),
    "beth.anglin": ("46d44a23a9fe19810012d100cca80666", "itil approver_user"),
    "david.loo": ("5137153cc611227c000bbd1bd8cd2005", "itil"),
    "natasha.ingram": ("46c5bf6ca9fe1981010713e3ac7d3384", "approver_user"),
    "kim.akers": ("", "itil"),
    "lee.gu": ("", "itil"),
}
#: user_name -> (name, sys_id or empty, roles). Without a name the account belongs to a machine.
USERS: dict[str, tuple[str, str, str]] = {
    "admin": ("System Administrator", ADMIN_ID, "admin"),
    "problem.admin": ("Problem Administrator", "26fbff173b331300ad3cc9bb34efc4bd", "problem_admin itil"),
    "itil": ("ITIL User", "681b365ec0a80164000fb0b05854a0cd", "itil"),
    "itil.admin": ("ITIL Administrator", "", "itil_admin"),
    "employee": ("Joe Employee", "681ccaf9c0a8016400b98a06818d57c7", ""),
    "change.manager": ("Change Manager", "", "change_manager itil approver_user"),
    BRIDGE_USER: ("Azure Bridge", "", "itil evt_mgmt_integration personalize_choices import_transformer"),
    "no.roles": ("Nora Norole", "", ""),
    "create.only": ("Carl Createonly", "", "x_demo.incident_creator"),
    "locked.out": ("Lena Lockedout", "", "itil"),
    "inactive.user": ("Ian Inactive", "", "itil"),
    "needs.reset": ("Rita Reset", "", "itil"),
    "mfa.user": ("Mia Factor", "", "itil"),
    "read.only": ("Reed Only", "", "itil snc_read_only"),
    "interactive.user": ("Ines Interactive", "", "itil"),
    "mid.server": ("", "", ""),
    "soap.guest": ("", "", ""),
    **{user_name: (name, *_PEOPLE.get(user_name, ("", "admin"))) for user_name, name in PEOPLE.items()},
}
#: Further values of some accounts.
_DETAILS: dict[str, dict[str, str]] = {
    "admin": {
        "department": "a581ab703710200044e0bfc8bcbe5de8",
        "title": "System Administrator",
    },
    BRIDGE_USER: {
        "web_service_access_only": "true",
        "internal_integration_user": "true",
        "identity_type": "machine",
        "time_zone": "GMT",
        "date_format": "yyyy-MM-dd",
        "time_format": "HH:mm:ss",
        "source": "00000000-0000-4000-8000-0000000000b1",
    },
    "locked.out": {"locked_out": "true"},
    "inactive.user": {"active": "false"},
    "needs.reset": {"password_needs_reset": "true"},
    "mfa.user": {"enable_multifactor_authn": "true"},
    "mid.server": {"identity_type": "machine", "internal_integration_user": "true"},
    "soap.guest": {"identity_type": "machine", "active": "false"},
    "abel.tuter": {"mobile_phone": "+1 555 0100", "title": "Account Specialist", "location": "Seattle"},
    "beth.anglin": {"mobile_phone": "+1 555 0101", "title": "Service Desk Manager", "vip": "true"},
    "david.loo": {"mobile_phone": "+1 555 0102"},
}

#: name -> (sys_id or empty, manager, members, roles of the group)
GROUPS: dict[str, tuple[str, str, str, str]] = {
    "Network": ("287ebd7da9fe198100f92cc8d1d2154e", "beth.anglin", "david.loo itil azure.bridge", ""),
    "Software": ("8a4dde73c6112278017a6a4baf547aa7", "beth.anglin", "beth.anglin david.loo itil", ""),
    "Hardware": ("8a5055c9c61122780043563ef53438e3", "david.loo", "david.loo", ""),
    "Database": ("287ee6fea9fe198100ada7950d0b1b73", "david.loo", "beth.anglin itil", ""),
    "Service Desk": ("d625dccec0a8016700a222a0f7900d06", "beth.anglin", "beth.anglin itil", ""),
    "Openspace": ("", "", "abel.tuter", ""),
    "Help Desk": ("", "change.manager", "itil", ""),
    "CAB Approval": ("", "change.manager", "change.manager natasha.ingram", ""),
    "Cloud Operations": ("", "ada.winterfeld", "azure.bridge david.loo", ""),
    "Problem Management": ("", "problem.admin", "problem.admin", "problem_admin"),
    "Incident Administrators": ("", "itil.admin", "itil.admin", "itil_admin"),
    "Knowledge Administrators": ("", "natasha.ingram", "ada.winterfeld", "knowledge_admin"),
    "User Administrators": ("", "ada.winterfeld", "bruno.hallberg", "user_admin"),
    "Team Development Code Reviewers": ("", "", "", ""),
}


def password_of(user_name: str) -> str:
    """The documented password of a demo account."""
    return f"demo-{user_name}-password"


def user_id(user_name: str) -> str:
    """sys_id of a demo account; made-up ones sort after the well-known ones."""
    return USERS[user_name][1] or "e" + demo_id("sys_user", user_name)[1:]


def group_id(name: str) -> str:
    """sys_id of a demo group."""
    return GROUPS[name][0] or demo_id("sys_user_group", name)


def role_id(name: str) -> str:
    """sys_id of a role."""
    return ROLE_IDS.get(name) or demo_id("sys_user_role", name)


def rows() -> Iterator[Row]:
    """All rows of this part."""
    yield from _organisation()
    for name in ROLES:
        common = {"name": name, "sys_class_name": "sys_user_role", "sys_name": name, "grantable": "true"}
        yield system_row("sys_user_role", name, common, sys_id=role_id(name))
    for name, contained in CONTAINED_ROLES.items():
        for inner in contained:
            values = {"role": role_id(name), "contains": role_id(inner)}
            yield system_row("sys_user_role_contains", f"{name}:{inner}", values)
    for user_name in USERS:
        yield from _user(user_name)
    for name in GROUPS:
        yield from _group(name)


def _user(user_name: str) -> Iterator[Row]:
    name, _, roles = USERS[user_name]
    sys_id = user_id(user_name)
    first, _, last = name.partition(" ")
    values = {
        "user_name": user_name,
        "name": name,
        "first_name": first,
        "last_name": last,
        "email": address(user_name) if name else "",
        "active": "true",
        "locked_out": "false",
        "password_needs_reset": "false",
        "web_service_access_only": "false",
        "internal_integration_user": "false",
        "identity_type": "human",
        "enable_multifactor_authn": "false",
        "vip": "false",
        "notification": "2",
        "calendar_integration": "1",
        "sys_domain": "global",
        "sys_domain_path": "/",
        "sys_class_name": "sys_user",
        "user_password": password_hash(sys_id, password_of(user_name)),
        **_DETAILS.get(user_name, {}),
    }
    if values.get("location"):
        values["location"] = demo_id("cmn_location", values["location"])
    yield system_row("sys_user", user_name, values, sys_id=sys_id)
    for role in roles.split():
        yield system_row(
            "sys_user_has_role",
            f"{user_name}:{role}",
            {"user": sys_id, "role": role_id(role), "inherited": "false", "state": "active"},
        )


def _group(name: str) -> Iterator[Row]:
    _, manager, members, roles = GROUPS[name]
    sys_id = group_id(name)
    values = {
        "name": name,
        "description": f"{name} group",
        "manager": user_id(manager) if manager else "",
        "email": address(name.lower().replace(" ", "-")),
        "active": "true",
        "exclude_manager": "false",
        "include_members": "false",
        "points": "0",
        "hourly_rate": "0",
    }
    yield system_row("sys_user_group", name, values, sys_id=sys_id)
    for member in members.split():
        yield system_row("sys_user_grmember", f"{name}:{member}", {"user": user_id(member), "group": sys_id})
    for role in roles.split():
        link = {"group": sys_id, "role": role_id(role), "inherits": "true"}
        yield system_row("sys_group_has_role", f"{name}:{role}", link)


def _organisation() -> Iterator[Row]:
    for name in ("Contoso", "Fabrikam"):
        values = {"name": name, "customer": "true", "vendor": "false", "manufacturer": "false", "primary": "false"}
        yield system_row("core_company", name, values)
    yield system_row("core_company", "Microsoft", {"name": "Microsoft", "manufacturer": "true", "vendor": "true"})
    for city, country, zone in (("Seattle", "USA", "US/Pacific"), ("Dublin", "Ireland", "Europe/Dublin")):
        values = {"name": city, "full_name": f"{city}, {country}", "city": city, "country": country, "time_zone": zone}
        yield system_row("cmn_location", city, values)
    head = user_id("natasha.ingram")
    finance = {"name": "Finance", "id": "0010", "dept_head": head, "description": "Finance department"}
    yield system_row("cmn_department", "Finance", finance, sys_id="a581ab703710200044e0bfc8bcbe5de8")
    yield system_row("cmn_department", "IT", {"name": "IT", "id": "0020", "dept_head": user_id("beth.anglin")})
