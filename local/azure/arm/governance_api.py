"""``Microsoft.Security/assessments/governanceAssignments``: who has to fix a finding, and until when.

Source: REST specification of Microsoft.Security, governanceAssignments 2022-01-01-preview: ``remediationDueDate`` is
required, ``remediationEta`` is complete or absent, ``ticketNumber`` is an int32. PUT replaces.
"""

from __future__ import annotations

import uuid
from typing import Any

from local.azure.arm.defender_store import Defender
from local.azure.arm.errors import bad_request, not_found
from local.azure.arm.provider import Provider
from local.azure.arm.routing import Route, Target
from local.azure.call import Call
from local.azure.times import parse
from local.simulator_kit.calls import Answer

VERSIONS = ("2022-01-01-preview",)
_TYPE = "Microsoft.Security/assessments/governanceAssignments"
_INT32 = 2_147_483_647
#: Properties that may be written, and what each is.
_KINDS: dict[str, type] = {
    "owner": str,
    "remediationDueDate": str,
    "remediationEta": dict,
    "isGracePeriod": bool,
    "governanceEmailNotification": dict,
    "additionalData": dict,
}
_DATA_KINDS: dict[str, type] = {"ticketNumber": int, "ticketLink": str, "ticketStatus": str}


class GovernanceApi(Provider[Defender]):
    """The assignments of one simulator."""

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        many = "Microsoft.Security/assessments/{key}/governanceAssignments"
        one = f"{many}/{{assignment}}"
        return [
            Route("GET", many, f"{_TYPE}/read", VERSIONS, self._list),
            Route("GET", one, f"{_TYPE}/read", VERSIONS, self._get),
            Route("PUT", one, f"{_TYPE}/write", VERSIONS, self._put),
            Route("DELETE", one, f"{_TYPE}/delete", VERSIONS, self._delete),
        ]

    def _list(self, call: Call, target: Target) -> Answer:
        covers = self._inventory.covers(target.scope, call.who.tenant)
        part = f"/assessments/{target.args['key']}/governanceassignments/".lower()
        found = [item for key, item in self._store.governance.items() if part in key and covers(item["id"])]
        return self._page(call, found)

    def _assessment(self, target: Target) -> dict[str, Any]:
        wanted = f"{target.scope}/providers/Microsoft.Security/assessments/{target.args['key']}"
        found = self._store.assessments.get(wanted.lower())
        if found is None:
            raise not_found(wanted)
        return found

    def _id(self, target: Target) -> str:
        return f"{self._assessment(target)['id']}/governanceAssignments/{target.args['assignment']}"

    def _get(self, call: Call, target: Target) -> Answer:
        found = self._store.governance.get(self._id(target).lower())
        if found is None:
            raise not_found(call.path)
        return Answer(200, found)

    def _put(self, call: Call, target: Target) -> Answer:
        wanted, name = self._id(target), target.args["assignment"]
        if not _is_guid(name):
            raise bad_request(f"The assignment key '{name}' must be a GUID.")
        body = call.json_object()
        properties = body.get("properties") if body is not None else None
        if not isinstance(properties, dict):
            raise bad_request("The request content was invalid: 'properties' is missing.", "InvalidRequestContent")
        _check(properties)
        before = self._store.governance.get(wanted.lower())
        item: dict[str, Any] = {
            "id": before["id"] if before else wanted,
            "name": name,
            "type": _TYPE,
            # What the service does not know it drops.
            "properties": {key: value for key, value in properties.items() if key in _KINDS},
        }
        self._store.put_governance(item)
        self._record(call, item["id"], before, item)
        return Answer(200 if before else 201, item)

    def _delete(self, call: Call, target: Target) -> Answer:
        wanted = self._id(target)
        removed = self._store.delete_governance(wanted)
        if removed is None:
            return Answer(204)
        self._record(call, wanted, removed, None)
        return Answer(200)


def _check(properties: dict[str, Any]) -> None:
    for name, kind in _KINDS.items():
        if properties.get(name) is not None and not isinstance(properties[name], kind):
            raise bad_request(f"The value of '{name}' is not valid.", "InvalidRequestContent")
    _date(properties.get("remediationDueDate"), "remediationDueDate")
    eta = properties.get("remediationEta")
    if eta is not None:
        _date(eta.get("eta"), "remediationEta.eta")
        if not isinstance(eta.get("justification"), str):
            raise bad_request("'remediationEta.justification' is required.")
    data = properties.get("additionalData") or {}
    for name, kind in _DATA_KINDS.items():
        value = data.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise bad_request(f"The value of 'additionalData.{name}' is not valid.", "InvalidRequestContent")
    if not 0 <= (data.get("ticketNumber") or 0) <= _INT32:
        raise bad_request("'additionalData.ticketNumber' must be between 0 and 2147483647.", "InvalidRequestContent")


def _date(value: Any, name: str) -> None:
    if value is None:
        raise bad_request(f"'{name}' is required.")
    if not isinstance(value, str) or parse(value) is None:
        raise bad_request(f"'{name}' is no date.", "InvalidRequestContent")


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
