"""The alerts of one subscription as Azure keeps them, and the state that people give them.

Sources: Microsoft Learn, REST API "Alerts - Get All" (filters; at most 250 alerts a page, 25 with their context;
customTimeRange within 30 days), "Alerts - Get By Id" and "Alerts - Change State" (newState New, Acknowledged or Closed,
``comments`` in the body, 200 with the alert; the monitor condition is another matter and stays as it is); "Azure
Monitor service limits", alerts API: 1,000 calls a minute and subscription, of which 100 may be lists.

Least rights (Microsoft Learn, "Azure permissions for Monitor"): ``Microsoft.AlertsManagement/alerts/read``, and
``Microsoft.AlertsManagement/alerts/changestate/action`` to change states.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connectors.microsoft import ResourceManager
from connectors.microsoft.pace import Pace
from shared.core.errors import SourceRefused, SourceUnavailable

#: The version that every cloud has.
API_VERSION = "2019-05-05-preview"

#: Others call this API too (the portal, other tools): the bridge takes about half.
LISTS_PER_MINUTE = 50
CALLS_PER_MINUTE = 500

PAGE = 250

#: A list never needs more pages; one that goes on is going in circles.
_MOST_PAGES = 2_000


@dataclass(frozen=True, slots=True)
class AlertPage:
    """A part of a list: ``alerts`` as Azure sent them, and whether it is the ``last`` part."""

    alerts: list[dict[str, Any]]
    last: bool


class AlertsManagement:
    """Reads alerts of one subscription and changes their states, within half of what Azure allows for it.

    Args:
        subscription: id.
        manager: makes the calls.
        lists, calls: rates; made anew when None.
    """

    def __init__(
        self, subscription: str, manager: ResourceManager, *, lists: Pace | None = None, calls: Pace | None = None
    ) -> None:
        self._path = f"/subscriptions/{quote(subscription, safe='')}/providers/Microsoft.AlertsManagement/alerts"
        self._manager = manager
        self._lists = lists or Pace(LISTS_PER_MINUTE)
        self._calls = calls or Pace(CALLS_PER_MINUTE)

    @property
    def calls(self) -> int:
        """Requests that left so far."""
        return self._manager.calls

    async def pages(self, since: datetime, until: datetime) -> AsyncGenerator[AlertPage, None]:
        """Alerts between two moments, the oldest first, without their context.

        Whether Azure compares their beginning or their last change is not documented.

        Args:
            since: not before the last 30 days.
            until: after ``since``.

        Raises SourceError, also in the midst.
        """
        params: dict[str, str] | None = {
            "api-version": API_VERSION,
            "customTimeRange": f"{_iso(since)}/{_iso(until)}",
            "pageCount": str(PAGE),
            "sortBy": "startDateTime",
            "sortOrder": "asc",
        }
        address = self._path
        seen = set()
        for _ in range(_MOST_PAGES):
            await self._lists.turn()
            await self._calls.turn()
            body = await self._manager.get(address, params)
            found, link = body.get("value"), body.get("nextLink") or ""
            if not isinstance(found, list) or not isinstance(link, str):
                raise SourceRefused("the list of alerts has no 'value': something else answers in Azure's place")
            yield AlertPage([alert for alert in found if isinstance(alert, dict)], last=not link)
            if not link:
                return
            if link in seen:
                break
            seen.add(link)
            # The link holds the whole query already.
            address, params = link, None
        raise SourceUnavailable("the list of alerts goes in circles; the rest follows in the next run")

    async def alert(self, name: str) -> dict[str, Any] | None:
        """One alert with its context, None when Azure has it no more.

        Args:
            name: last segment of its id.

        Raises SourceError.
        """
        await self._calls.turn()
        try:
            return await self._manager.get(f"{self._path}/{quote(name, safe='')}", {"api-version": API_VERSION})
        except SourceRefused as error:
            if error.status == 404:
                return None
            raise

    async def state(self, name: str) -> str | None:
        """The state that people gave an alert: New, Acknowledged or Closed. None when Azure has it no more, which is
        30 days after its beginning.

        Args:
            name: last segment of its id.

        Raises SourceError.
        """
        found = await self.alert(name)
        if found is None:
            return None
        try:
            return str(found["properties"]["essentials"]["alertState"])
        except (KeyError, TypeError):
            raise SourceRefused(f"alert {name} has no 'alertState': something else answers in Azure's place") from None

    async def change_state(self, name: str, state: str, comment: str = "") -> bool:
        """Give an alert a state, with a comment in its history; False when Azure has it no more. Repeating it changes
        nothing.

        Args:
            name: last segment of its id.
            state: New, Acknowledged or Closed.
            comment: empty for none.

        Raises SourceError.
        """
        await self._calls.turn()
        path = f"{self._path}/{quote(name, safe='')}/changestate"
        params = {"api-version": API_VERSION, "newState": state}
        try:
            await self._manager.request("POST", path, params, {"comments": comment} if comment else None)
        except SourceRefused as error:
            if error.status == 404:
                return False
            raise
        return True

    async def aclose(self) -> None:
        """Close connections."""
        await self._manager.aclose()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
