"""``Microsoft.ResourceHealth/availabilityStatuses``: is a resource available?

Source: REST specification of Microsoft.ResourceHealth (``occuredTime`` is spelled so on the wire).
"""

from __future__ import annotations

from typing import Any

from local.azure.arm.errors import not_found
from local.azure.arm.paging import page
from local.azure.arm.routing import Route, Target
from local.azure.call import Call
from local.azure.inventory import Inventory, subscription_id
from local.azure.times import iso0, iso7
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock

VERSIONS = (
    "2017-07-01",
    "2018-07-01",
    "2020-05-01",
    "2022-10-01",
    "2023-10-01-preview",
    "2024-02-01",
    "2025-04-01",
    "2025-05-01",
)
STATES = ("Available", "Unavailable", "Degraded", "Unknown")
_TYPE = "Microsoft.ResourceHealth/availabilityStatuses"
_SUMMARIES = {
    "Available": "There aren't any known Azure platform problems affecting this resource.",
    "Unavailable": "The resource is unavailable.",
    "Degraded": "The resource is degraded.",
    "Unknown": "We are currently unable to determine the health of this resource.",
}


class Health:
    """States of resources; who has none is available."""

    def __init__(self, inventory: Inventory, clock: Clock) -> None:
        self._inventory = inventory
        self._clock = clock
        self._states: dict[str, tuple[str, str, str]] = {}
        self._day = iso0(clock.now())

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        return [
            Route("GET", f"{_TYPE}/current", f"{_TYPE}/read", VERSIONS, self._current),
            Route("GET", _TYPE, f"{_TYPE}/read", VERSIONS, self._list),
        ]

    def set(self, resource: str, state: str, reason: str = "Unplanned") -> dict[str, Any]:
        """A resource changes its state.

        Raises:
            ValueError: no such state.
            KeyError: no such resource.
        """
        if state not in STATES:
            raise ValueError(f"state: one of {', '.join(STATES)}")
        if resource.lower() not in self._inventory.resources:
            raise KeyError(resource)
        self._states[resource.lower()] = (state, reason, iso0(self._clock.now()))
        return self._status(resource)

    def _status(self, resource: str) -> dict[str, Any]:
        state, reason, since = self._states.get(resource.lower(), ("Available", "", self._day))
        found = self._inventory.resources[resource.lower()]
        properties = {
            "availabilityState": state,
            "title": state,
            "summary": _SUMMARIES[state],
            "reasonType": reason,
            "occuredTime": since,
            "reasonChronicity": "Persistent" if state != "Available" else "Transient",
            "reportedTime": iso7(self._clock.now()),
            **({"category": reason, "context": "Platform Initiated"} if reason else {}),
        }
        return {
            "id": f"{resource}/providers/{_TYPE}/current",
            "name": "current",
            "type": "Microsoft.ResourceHealth/AvailabilityStatuses",
            "location": found.location,
            "properties": properties,
        }

    def _current(self, _call: Call, target: Target) -> Answer:
        if target.scope.lower() not in self._inventory.resources:
            raise not_found(target.scope)
        return Answer(200, self._status(target.scope))

    def _list(self, call: Call, target: Target) -> Answer:
        covers = self._inventory.covers(target.scope, call.who.tenant)
        ids = sorted(one.id for one in self._inventory.resources.values() if covers(one.id) and subscription_id(one.id))
        items, link = page(call, ids, 100)
        return Answer(200, {"value": [self._status(one) for one in items], **({"nextLink": link} if link else {})})
