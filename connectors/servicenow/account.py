"""As whom the instance knows us: the user of the calls, and its roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.wire import list_call, value
from shared.core.errors import TicketSystemError

_ME = "sys_id=javascript:gs.getUserID()"


async def own_records(client: Client) -> list[Mapping[str, Any]]:
    """Our own user record: one row, or others where the instance does not show it. Raises as ``Client.call``."""
    found: list[Mapping[str, Any]] = await client.call(list_call("sys_user", _ME, ["sys_id", "user_name"], 2))
    return found


async def own_roles(client: Client) -> tuple[frozenset[str], int | None]:
    """Our roles that are visible, and how many there are, visible or not; None where that is not known."""
    call = list_call("sys_user_has_role", "user=javascript:gs.getUserID()", ["role.name", "user"], 200)
    params = {name: text for name, text in call.params.items() if name != "sysparm_no_count"}
    try:
        found, total = await client.call_with_total(replace(call, params=params))
    except TicketSystemError:
        return frozenset(), None  # usual: only administrators may read this table
    users = {value(row, "user") for row in found}
    if len(users) != 1:  # no rows, or the condition was ignored and these are the roles of all users
        return frozenset(), total
    return frozenset(name for row in found if (name := value(row, "role.name"))), total
