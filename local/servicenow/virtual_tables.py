"""Tables whose rows are worked out when asked for: audit, deletions, transactions, issued tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.servicenow.schema.describe import demo_id
from local.servicenow.store import Row
from local.servicenow.stored_time import to_stored
from local.simulator_kit.request_log import redact

if TYPE_CHECKING:
    from local.servicenow.instance import Instance


def register_virtual_tables(instance: Instance) -> None:
    """Let the store ask for them."""
    store = instance.store
    store.register_virtual("sys_audit", lambda: _audit(instance))
    store.register_virtual("sys_audit_delete", lambda: _deletions(instance))
    store.register_virtual("syslog_transaction", lambda: _transactions(instance))
    store.register_virtual("oauth_credential", lambda: _credentials(instance))


def _row(table: str, key: str, time: str, user: str, values: dict[str, str]) -> Row:
    stamps = {"sys_created_on": time, "sys_created_by": user, "sys_updated_on": time, "sys_updated_by": user}
    return Row(table, {"sys_id": demo_id(table, key), **stamps, "sys_mod_count": "0", **values})


def _audit(instance: Instance) -> Iterator[Row]:
    """One row per changed field of tasks and configuration items (ServiceNow docs, "Auditing")."""
    for entry in instance.journal.entries:
        if entry.table not in instance.dictionary or instance.dictionary.base(entry.table) not in ("task", "cmdb"):
            continue
        for name, (old, new) in entry.changes.items():
            if name.startswith("sys_"):
                continue
            values = {
                "tablename": entry.table,
                "fieldname": name,
                "documentkey": entry.sys_id,
                "oldvalue": old,
                "newvalue": new,
                "user": entry.user,
                "record_checkpoint": entry.changes.get("sys_mod_count", ["", "0"])[1],
            }
            yield _row("sys_audit", f"{entry.seq}:{name}", entry.time, entry.user, values)


def _deletions(instance: Instance) -> Iterator[Row]:
    for entry in instance.journal.entries:
        if entry.operation == "delete":
            values = {
                "tablename": entry.table,
                "documentkey": entry.sys_id,
                "display_value": entry.number or entry.sys_id,
                "user": entry.user,
            }
            yield _row("sys_audit_delete", str(entry.seq), entry.time, entry.user, values)


def _transactions(instance: Instance) -> Iterator[Row]:
    for entry in list(instance.requests.entries):
        if entry.status is not None:
            values = {
                "url": f"{entry.path}?{redact(entry.query)}" if entry.query else entry.path,
                "response_time": str(round(entry.duration_ms or 0)),
                "type": "REST",
                "status": str(entry.status),
                "transaction_id": entry.transaction_id,
            }
            yield _row("syslog_transaction", entry.id, entry.time, entry.user or "guest", values)


def _credentials(instance: Instance) -> Iterator[Row]:
    for token in instance.tokens:
        for kind, ends in (("access_token", token.access_ends), ("refresh_token", token.refresh_ends)):
            if kind == "refresh_token" and not token.refresh:
                continue
            values = {
                "name": kind,
                "type": kind,
                "peer": token.client,
                "user": token.user,
                "expires": to_stored(datetime.fromtimestamp(ends, UTC)),
                "token": "x",
                "scopes": token.scope,
            }
            yield _row("oauth_credential", f"{token.id}:{kind}", instance.clock.text(), "system", values)
