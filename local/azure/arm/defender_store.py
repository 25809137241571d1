"""What Defender for Cloud found: assessments, sub-assessments, governance assignments, security alerts.

Everything is kept in the shape of the REST API, complete; what an API leaves out it leaves out itself.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from local.azure.inventory import Inventory
from local.azure.times import iso7
from local.simulator_kit.clock import Clock

_MARK = "/providers/microsoft.security/assessments/"
_ALERT_STATES = ("Active", "InProgress", "Resolved", "Dismissed")
#: What an order for an assessment may say.
ORDER = ("id", "resource", "key", "code", "cause", "description", "displayName", "properties")


def split_assessment(assessment_id: str) -> tuple[str, str]:
    """Resource id and assessment key of an assessment's id.

    Raises:
        ValueError: it is none.
    """
    place = assessment_id.lower().rfind(_MARK)
    key = assessment_id[place + len(_MARK) :].strip("/")
    if place < 0 or not key or "/" in key:
        raise ValueError("id: <resource id>/providers/Microsoft.Security/assessments/<key>")
    return assessment_id[:place], key


class Defender:
    """The findings, by id in lower case."""

    def __init__(self, inventory: Inventory, clock: Clock) -> None:
        self._inventory = inventory
        self._clock = clock
        self.assessments: dict[str, dict[str, Any]] = {}
        self.sub_assessments: dict[str, dict[str, Any]] = {}
        self.governance: dict[str, dict[str, Any]] = {}
        self.alerts: dict[str, dict[str, Any]] = {}

    def put_assessment(self, item: dict[str, Any]) -> None:
        """Add or replace an assessment in the shape of the REST API.

        Raises:
            KeyError: its subscription is not known.
        """
        if not self._inventory.tenant_of(item["id"]):
            raise KeyError(item["id"])
        self.assessments[item["id"].lower()] = item
        self._inventory.touch()

    def change_assessment(self, order: dict[str, Any]) -> dict[str, Any]:
        """Make or change an assessment as an evaluation would.

        Args:
            order: ``id``, or ``resource`` and ``key``; ``code`` with ``cause`` and ``description`` is the new status;
                ``displayName``; ``properties`` are merged in, one level deep.

        Raises:
            ValueError: something in the order does not fit.
            KeyError: the subscription is not known.
        """
        unknown = order.keys() - set(ORDER)
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; fields are {', '.join(ORDER)}")
        wanted = str(order.get("id") or f"{order.get('resource', '')}{_MARK}{order.get('key', '')}")
        resource, key = split_assessment(wanted)
        now = iso7(self._clock.now())
        item = self.assessments.get(wanted.lower()) or _blank(resource, key, now)
        properties = item["properties"]
        for name, value in dict(order.get("properties") or {}).items():
            old = properties.get(name)
            properties[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        if "displayName" in order:
            properties["displayName"] = str(order["displayName"])
            properties["metadata"]["displayName"] = str(order["displayName"])
        if "code" in order:
            if order["code"] not in ("Healthy", "Unhealthy", "NotApplicable"):
                raise ValueError("code: Healthy, Unhealthy or NotApplicable")
            status = properties["status"]
            if status["code"] != order["code"]:
                status["statusChangeDate"] = now
            status["code"] = order["code"]
            for name in ("cause", "description"):
                status.pop(name, None)
                if order.get(name):
                    status[name] = str(order[name])
        self.put_assessment(item)
        return item

    def delete_assessment(self, assessment_id: str) -> None:
        """The finding or its resource is gone; its sub-assessments and assignments go with it.

        Raises:
            KeyError: there is none.
        """
        del self.assessments[assessment_id.lower()]
        below = assessment_id.lower() + "/"
        for store in (self.sub_assessments, self.governance):
            for key in [key for key in store if key.startswith(below)]:
                del store[key]
        self._inventory.touch()

    def put_sub_assessment(self, item: dict[str, Any]) -> None:
        """Add or replace a sub-assessment.

        Raises:
            KeyError: its assessment is not known.
        """
        parent = item["id"].lower().rpartition("/subassessments/")[0]
        if parent not in self.assessments:
            raise KeyError(parent)
        self.sub_assessments[item["id"].lower()] = item
        self._inventory.touch()

    def put_governance(self, item: dict[str, Any]) -> None:
        """Add or replace an assignment."""
        self.governance[item["id"].lower()] = item
        self._inventory.touch()

    def delete_governance(self, assignment_id: str) -> dict[str, Any] | None:
        """Remove an assignment; None when there was none."""
        removed = self.governance.pop(assignment_id.lower(), None)
        self._inventory.touch()
        return removed

    def put_alert(self, item: dict[str, Any]) -> None:
        """Add or replace a security alert.

        Raises:
            KeyError: its subscription is not known.
            ValueError: no such status.
        """
        if not self._inventory.tenant_of(item["id"]):
            raise KeyError(item["id"])
        if item["properties"].get("status") not in _ALERT_STATES:
            raise ValueError(f"status: one of {', '.join(_ALERT_STATES)}")
        self.alerts[item["id"].lower()] = item
        self._inventory.touch()

    def set_alert_status(self, alert_id: str, status: str) -> tuple[str, str]:
        """Change a security alert; returns old and new status.

        Raises:
            KeyError: there is none.
        """
        item = deepcopy(self.alerts[alert_id.lower()])
        before = str(item["properties"]["status"])
        item["properties"]["status"] = status
        self.put_alert(item)
        return before, status


def _blank(resource: str, key: str, now: str) -> dict[str, Any]:
    return {
        "id": f"{resource}/providers/Microsoft.Security/assessments/{key}",
        "name": key,
        "type": "Microsoft.Security/assessments",
        "properties": {
            "resourceDetails": {"source": "Azure", "id": resource},
            "displayName": key,
            "status": {"code": "Unhealthy", "firstEvaluationDate": now, "statusChangeDate": now},
            "additionalData": {},
            "metadata": {
                "displayName": key,
                "assessmentType": "BuiltIn",
                "description": "",
                "remediationDescription": "",
                "categories": [],
                "severity": "Medium",
            },
            "links": {"azurePortalUri": f"portal.azure.com/#blade/Microsoft_Azure_Security/assessmentKey/{key}"},
        },
    }
