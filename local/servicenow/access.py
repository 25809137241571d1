"""Access rules: which roles may read, create, write and delete rows of which table, and which fields stay hidden.

The rules follow the base system (ServiceNow docs, "Base system roles" and "Access control rules"); the ones that vary
between instances are in the settings. A rule of a table also holds for tables that extend it, unless they have their
own.
"""

from __future__ import annotations

from dataclasses import dataclass

from local.servicenow.identity import Identity
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.settings import Settings
from local.servicenow.store import Row


@dataclass(frozen=True, slots=True)
class Rule:
    """Roles that may do each operation; admins always may. Empty: admins only."""

    read: tuple[str, ...] = ()
    create: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def roles(self, operation: str) -> tuple[str, ...]:
        """``operation``: read, create, write or delete."""
        return {"read": self.read, "create": self.create, "write": self.write, "delete": self.delete}[operation]


_ITIL = ("itil",)
_PROBLEM = ("itil", "problem_coordinator")
_EVENT_READERS = ("evt_mgmt_user", "evt_mgmt_integration")
_IMPORT = ("import_transformer", "import_admin", "x_mioms_microsoft.user")

RULES: dict[str, Rule] = {
    "task": Rule(read=_ITIL, create=_ITIL, write=_ITIL),
    "incident": Rule(
        read=("itil", "sn_incident_read"),
        create=("itil", "sn_incident_write", "x_demo.incident_creator"),
        write=("itil", "sn_incident_write"),
        delete=("itil_admin",),
    ),
    "problem": Rule(read=_PROBLEM, create=_PROBLEM, write=_PROBLEM, delete=("problem_admin",)),
    "change_request": Rule(
        read=("itil", "sn_change_read"),
        create=("itil", "sn_change_write"),
        write=("itil", "sn_change_write"),
        delete=("change_manager",),
    ),
    "sysapproval_approver": Rule(
        read=("itil", "approver_user"), create=("approver_user",), write=("approver_user", "change_manager")
    ),
    "cmdb": Rule(
        read=("itil", "cmdb_read", "asset"), create=("itil", "asset"), write=("itil", "asset"), delete=("asset",)
    ),
    "task_ci": Rule(read=_ITIL, create=_ITIL, write=_ITIL, delete=_ITIL),
    "cmdb_rel_ci": Rule(read=("itil", "cmdb_read"), create=_ITIL, write=_ITIL, delete=_ITIL),
    "cmdb_key_value": Rule(read=("itil", "cmdb_read"), create=_ITIL, write=_ITIL, delete=_ITIL),
    "sys_user": Rule(read=_ITIL, create=("user_admin",), write=("user_admin",), delete=("user_admin",)),
    "sys_user_group": Rule(read=_ITIL, create=("user_admin",), write=("user_admin",), delete=("user_admin",)),
    "sys_user_grmember": Rule(read=_ITIL, create=("user_admin",), write=("user_admin",), delete=("user_admin",)),
    "sys_metadata": Rule(read=_ITIL),
    "sys_choice": Rule(
        read=("itil", "personalize_choices"), create=("personalize_choices",), write=("personalize_choices",)
    ),
    "sys_script": Rule(),
    "oauth_entity": Rule(read=("oauth_admin",), create=("oauth_admin",), write=("oauth_admin",)),
    "oauth_credential": Rule(read=("oauth_admin",)),
    "jwt_verifier_map": Rule(read=("oauth_admin",)),
    "api_key": Rule(read=("web_service_admin",)),
    "sys_user_certificate": Rule(),
    "sys_transform_map": Rule(read=_IMPORT, create=("import_admin",), write=("import_admin",)),
    "sys_transform_entry": Rule(read=_IMPORT, create=("import_admin",), write=("import_admin",)),
    "sys_import_set": Rule(read=_IMPORT, create=_IMPORT, write=_IMPORT),
    "sys_import_set_row": Rule(read=_IMPORT, create=_IMPORT, write=_IMPORT),
    "sys_attachment": Rule(read=_ITIL, create=_ITIL, write=_ITIL, delete=_ITIL),
    "em_event": Rule(read=_EVENT_READERS, create=("evt_mgmt_integration",), write=("evt_mgmt_operator",)),
    "em_alert": Rule(read=_EVENT_READERS, create=("evt_mgmt_operator",), write=("evt_mgmt_operator",)),
    "sys_journal_field": Rule(),
    "sys_audit": Rule(),
    "sys_audit_delete": Rule(),
    "syslog": Rule(),
    "syslog_transaction": Rule(),
    "sysevent": Rule(),
}
_DEFAULT = Rule(read=_ITIL)
#: Tables whose readers can be widened by the setting ``journal_read_roles``.
_JOURNAL_TABLES = ("sys_journal_field", "sys_audit", "sys_audit_delete")
#: Fields that need more than the right to write the row (ServiceNow docs: work notes are for fulfillers).
_FIELD_WRITERS = {"work_notes": ("itil", "sn_incident_write", "sn_change_write", "problem_coordinator")}


class Access:
    """Decides, for one instance."""

    def __init__(self, dictionary: Dictionary, settings: Settings) -> None:
        self._dictionary = dictionary
        self._settings = settings

    def may(self, identity: Identity, operation: str, table: str) -> bool:
        """May the user do this to rows of the table at all? ``operation``: read, create, write or delete."""
        if identity.method == "system":
            return True
        if operation != "read" and "snc_read_only" in identity.roles:
            return False
        lineage = self._dictionary.lineage(table)
        rule = next((RULES[name] for name in lineage if name in RULES), _DEFAULT)
        roles = rule.roles(operation)
        if operation == "read" and table in _JOURNAL_TABLES:
            roles += tuple(self._settings.journal_read_roles)
        return identity.has(*roles)

    def may_write_row(self, identity: Identity, row: Row) -> bool:
        """Row rule on top of :meth:`may`: closed incidents belong to admins."""
        if identity.is_admin or row.get("active") != "false":
            return True
        return "incident" not in self._dictionary.lineage(row.table)

    def may_read_field(self, identity: Identity, table: str, field: str) -> bool:
        """False for a field that is hidden from this user."""
        hidden = self._settings.hidden_fields
        return not hidden or identity.is_admin or not self._listed(hidden, table, field)

    def may_write_field(self, identity: Identity, table: str, field: str) -> bool:
        """False when a write of the field is to be ignored."""
        if identity.is_admin:
            return True
        if field in _FIELD_WRITERS and not identity.has(*_FIELD_WRITERS[field]):
            return False
        return not self._listed(self._settings.read_only_fields, table, field)

    def _listed(self, fields: dict[str, list[str]], table: str, field: str) -> bool:
        return any(field in fields.get(name, ()) for name in self._dictionary.lineage(table))

    def hidden_row_queries(self, identity: Identity, table: str) -> list[str]:
        """Encoded queries of rows this user cannot see, from the setting ``hidden_rows``."""
        if identity.is_admin or not self._settings.hidden_rows:
            return []
        rows = self._settings.hidden_rows
        return [rows[name] for name in self._dictionary.lineage(table) if name in rows]
