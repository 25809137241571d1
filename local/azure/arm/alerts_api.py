"""``Microsoft.AlertsManagement/alerts``: list, get, change state, history.

Source: REST specification of Microsoft.AlertsManagement, 2019-05-05-preview and later. User state and monitor condition
are independent: a change of the state never resolves the alert.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from local.azure.arm.alert_store import Alert, AlertStore
from local.azure.arm.errors import bad_request, not_found
from local.azure.arm.paging import page
from local.azure.arm.provider import Provider
from local.azure.arm.routing import Route, Target
from local.azure.call import Call
from local.azure.inventory import Inventory
from local.azure.times import parse
from local.simulator_kit.calls import Answer

VERSIONS = (
    "2018-05-05-preview",
    "2018-05-05",
    "2019-03-01-preview",
    "2019-03-01",
    "2019-05-05-preview",
    "2024-01-01-preview",
    "2025-05-25-preview",
)
_TYPE = "Microsoft.AlertsManagement/alerts"
_STATES = ("New", "Acknowledged", "Closed")
_RANGES = {"1h": 1, "1d": 24, "7d": 24 * 7, "30d": 24 * 30}
#: Filters that compare one field, and the values that exist (empty: any).
_FILTERS: dict[str, tuple[str, ...]] = {
    "targetResource": (),
    "targetResourceType": (),
    "targetResourceGroup": (),
    "monitorService": (),
    "monitorCondition": ("Fired", "Resolved"),
    "severity": ("Sev0", "Sev1", "Sev2", "Sev3", "Sev4"),
    "alertState": _STATES,
    "alertRule": (),
    "smartGroupId": (),
}
_SORTS = (
    "name",
    "severity",
    "alertState",
    "monitorCondition",
    "targetResource",
    "targetResourceName",
    "targetResourceGroup",
    "targetResourceType",
    "startDateTime",
    "lastModifiedDateTime",
)


class AlertsApi(Provider[AlertStore]):
    """The alerts of one simulator."""

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        one = f"{_TYPE}/{{alert}}"
        return [
            Route("GET", _TYPE, f"{_TYPE}/read", VERSIONS, self._list),
            Route("GET", one, f"{_TYPE}/read", VERSIONS, self._get),
            Route("POST", f"{one}/changestate", f"{_TYPE}/changestate/action", VERSIONS, self._change_state),
            Route("GET", f"{one}/history", f"{_TYPE}/history/read", VERSIONS, self._history),
        ]

    def _list(self, call: Call, target: Target) -> Answer:
        settings = self._settings()
        covers = self._inventory.covers(target.scope, call.who.tenant)
        start, end = self._range(call)
        wanted = _wanted(call)
        # The value of the setting is startDateTime or lastModifiedDateTime.
        by_start = settings.alerts_time_field == "startDateTime"
        found = [
            alert
            for alert in self._store.living(settings.alerts_kept_days)
            if covers(alert.target)
            and start <= (alert.started if by_start else alert.modified) <= end
            and all(str(alert.essentials.get(name, "")).lower() == value for name, value in wanted.items())
        ]
        _sort(call, found)
        context = call.param("includeContext").lower() == "true"
        items, link = page(call, found, _page_size(call, context))
        egress = call.param("includeEgressConfig").lower() == "true"
        body: dict[str, Any] = {"value": [_selected(call, alert.as_json(context, egress)) for alert in items]}
        if link or settings.alerts_last_next_link != "absent":
            body["nextLink"] = link or {"empty": "", "null": None}[settings.alerts_last_next_link]
        return Answer(200, body)

    def _range(self, call: Call) -> tuple[datetime, datetime]:
        now = self._clock.now()
        named, custom = call.param("timeRange"), call.param("customTimeRange")
        if named and custom:
            raise bad_request("Either timeRange or customTimeRange could be used but not both.")
        if not custom:
            if (named or "1d") not in _RANGES:
                raise bad_request(f"timeRange '{named}' is not one of {', '.join(_RANGES)}.")
            return now - timedelta(hours=_RANGES[named or "1d"]), now
        # A '+' of a zone arrives as a blank when it was not encoded.
        start, end = (parse(part.replace(" ", "+")) for part in [*custom.split("/"), ""][:2])
        if start is None or end is None or start > end:
            raise bad_request("customTimeRange must be <start-time>/<end-time> in ISO-8601 format.")
        if start < now - timedelta(days=30):
            raise bad_request("customTimeRange must be within 30 days from query time.")
        return start, end

    def _find(self, call: Call, target: Target) -> Alert:
        alert = self._store.get(target.args["alert"], self._settings().alerts_kept_days)
        if alert is None or not _reaches(target.scope, alert, self._inventory, call.who.tenant):
            raise not_found(call.path)
        return alert

    def _get(self, call: Call, target: Target) -> Answer:
        return Answer(200, self._find(call, target).as_json())

    def _change_state(self, call: Call, target: Target) -> Answer:
        alert = self._find(call, target)
        state = call.param("newState")
        if state not in _STATES:
            raise bad_request(f"newState '{state}' is not one of {', '.join(_STATES)}.")
        body = call.json_object()
        comments = body.get("comments") or "" if body is not None else None
        if not isinstance(comments, str):
            raise bad_request('The body must be {"comments": text}.', "InvalidRequestContent")
        before = alert.essentials["alertState"]
        self._store.set_state(alert, state, call.who.object_id, comments)
        if before != state:
            self._record(call, alert.id, before, state)
        return Answer(200, alert.as_json())

    def _history(self, call: Call, target: Target) -> Answer:
        alert = self._find(call, target)
        return Answer(
            200,
            {
                "properties": {"alertId": alert.name, "modifications": alert.history},
                "id": f"{alert.id}/history/default",
                "type": _TYPE,
                "name": alert.title,
            },
        )


def _reaches(scope: str, alert: Alert, inventory: Inventory, tenant: str) -> bool:
    return inventory.covers(scope, tenant)(alert.target)


def _wanted(call: Call) -> dict[str, str]:
    """Filters of a call, with values in lower case."""
    wanted = {}
    for name, values in _FILTERS.items():
        value = call.param(name)
        if not value:
            continue
        if values and value.lower() not in (known.lower() for known in values):
            raise bad_request(f"{name} '{value}' is not one of {', '.join(values)}.")
        wanted[name] = value.lower()
    return wanted


def _page_size(call: Call, context: bool) -> int:
    text = call.param("pageCount", "25")
    limit = 25 if context else 250
    if not text.isdecimal() or not 1 <= int(text) <= limit:
        raise bad_request(f"pageCount must be between 1 and {limit}.")
    return int(text)


def _sort(call: Call, alerts: list[Alert]) -> None:
    field = call.param("sortBy", "lastModifiedDateTime")
    if field not in _SORTS:
        raise bad_request(f"sortBy '{field}' is not one of {', '.join(_SORTS)}.")
    times = field in ("startDateTime", "lastModifiedDateTime")
    order = call.param("sortOrder", "desc" if times else "asc")
    if order not in ("asc", "desc"):
        raise bad_request("sortOrder must be asc or desc.")
    # Ties keep one order over all pages.
    alerts.sort(key=lambda alert: alert.name)
    alerts.sort(
        key=lambda alert: alert.title if field == "name" else str(alert.essentials[field]), reverse=order == "desc"
    )


def _selected(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    names = {name.strip().lower() for name in call.param("select").split(",") if name.strip()}
    if names:
        essentials = body["properties"]["essentials"]
        body["properties"]["essentials"] = {key: value for key, value in essentials.items() if key.lower() in names}
    return body
