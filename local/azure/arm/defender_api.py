"""``Microsoft.Security``: assessments, sub-assessments and security alerts.

Source: REST specification of Microsoft.Security (assessments 2020-01-01 to 2025-05-04, subAssessments
2019-01-01-preview, alerts 2022-01-01). Metadata and links come only with ``$expand``; risk only from 2025-05-04.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from local.azure.arm.defender_store import Defender
from local.azure.arm.errors import not_found
from local.azure.arm.provider import Provider
from local.azure.arm.routing import Route, Target
from local.azure.call import Call
from local.simulator_kit.calls import Answer

VERSIONS = ("2019-01-01-preview", "2020-01-01", "2021-06-01", "2025-05-04-preview", "2025-05-04")
SUB_VERSIONS = ("2019-01-01-preview",)
ALERT_VERSIONS = ("2019-01-01", "2020-01-01", "2021-01-01", "2021-11-01", "2022-01-01")
_PROVIDER = "Microsoft.Security"
_ALERT_ACTIONS = {"activate": "Active", "inProgress": "InProgress", "resolve": "Resolved", "dismiss": "Dismissed"}


class DefenderApi(Provider[Defender]):
    """Reads findings, and changes the state of security alerts."""

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        many, one = f"{_PROVIDER}/assessments", f"{_PROVIDER}/assessments/{{key}}"
        sub, read = f"{_PROVIDER}/assessments/subAssessments/read", f"{_PROVIDER}/assessments/read"
        alerts = f"{_PROVIDER}/locations/{{location}}/alerts"
        alert_read = f"{_PROVIDER}/alerts/read"
        return [
            Route("GET", many, read, VERSIONS, self._list),
            Route("GET", one, read, VERSIONS, self._get),
            Route("GET", f"{_PROVIDER}/subAssessments", f"{_PROVIDER}/subAssessments/read", SUB_VERSIONS, self._subs),
            Route("GET", f"{one}/subAssessments", sub, SUB_VERSIONS, self._subs),
            Route("GET", f"{one}/subAssessments/{{sub}}", sub, SUB_VERSIONS, self._sub),
            Route("GET", f"{_PROVIDER}/alerts", alert_read, ALERT_VERSIONS, self._alerts),
            Route("GET", alerts, alert_read, ALERT_VERSIONS, self._alerts),
            Route("GET", f"{alerts}/{{alert}}", alert_read, ALERT_VERSIONS, self._alert),
            *(
                Route(
                    "POST",
                    f"{alerts}/{{alert}}/{verb}",
                    f"{_PROVIDER}/locations/alerts/{verb}/action",
                    ALERT_VERSIONS,
                    self._alert_action,
                )
                for verb in _ALERT_ACTIONS
            ),
        ]

    def _sorted(self, call: Call, items: list[dict[str, Any]]) -> Answer:
        return self._page(call, sorted(items, key=lambda item: str(item["id"]).lower()))

    def _list(self, call: Call, target: Target) -> Answer:
        covers = self._inventory.covers(target.scope, call.who.tenant)
        found = [item for item in self._store.assessments.values() if covers(item["id"])]
        return self._sorted(call, [_shown(item, "", target.version) for item in found])

    def _get(self, call: Call, target: Target) -> Answer:
        item = self._store.assessments.get(
            f"{target.scope}/providers/{_PROVIDER}/assessments/{target.args['key']}".lower()
        )
        if item is None:
            raise not_found(call.path)
        return Answer(200, _shown(item, call.param("$expand"), target.version))

    def _subs(self, call: Call, target: Target) -> Answer:
        covers = self._inventory.covers(target.scope, call.who.tenant)
        part = f"/assessments/{target.args['key']}/".lower() if "key" in target.args else ""
        found = [item for key, item in self._store.sub_assessments.items() if covers(item["id"]) and part in key]
        return self._sorted(call, found)

    def _sub(self, call: Call, target: Target) -> Answer:
        args = target.args
        wanted = f"{target.scope}/providers/{_PROVIDER}/assessments/{args['key']}/subAssessments/{args['sub']}".lower()
        item = self._store.sub_assessments.get(wanted)
        if item is None:
            raise not_found(call.path)
        return Answer(200, item)

    def _alerts(self, call: Call, target: Target) -> Answer:
        covers = self._inventory.covers(target.scope, call.who.tenant)
        place = f"/locations/{target.args['location']}/".lower() if "location" in target.args else ""
        found = [item for key, item in self._store.alerts.items() if covers(item["id"]) and place in key]
        return self._sorted(call, found)

    def _alert_id(self, call: Call, target: Target) -> str:
        args = target.args
        wanted = f"{target.scope}/providers/{_PROVIDER}/locations/{args['location']}/alerts/{args['alert']}"
        if wanted.lower() not in self._store.alerts:
            raise not_found(call.path)
        return wanted

    def _alert(self, call: Call, target: Target) -> Answer:
        return Answer(200, self._store.alerts[self._alert_id(call, target).lower()])

    def _alert_action(self, call: Call, target: Target) -> Answer:
        verb = call.path.rstrip("/").rpartition("/")[2].lower()
        status = next(state for name, state in _ALERT_ACTIONS.items() if name.lower() == verb)
        alert_id = self._alert_id(call, target)
        before, after = self._store.set_alert_status(alert_id, status)
        self._record(call, alert_id, before, after)
        return Answer(204)


def _shown(item: dict[str, Any], expand: str, version: str) -> dict[str, Any]:
    """An assessment as this API version shows it."""
    wanted = {part.strip().lower() for part in expand.split(",")}
    hidden = {name for name in ("metadata", "links") if name not in wanted}
    if version < "2025-05-04":
        hidden.add("risk")
    if version < "2021-06-01":
        hidden.discard("links")
    shown = {**item, "properties": {name: part for name, part in item["properties"].items() if name not in hidden}}
    if version < "2021-06-01":
        shown = deepcopy(shown)
        for name in ("firstEvaluationDate", "statusChangeDate"):
            shown["properties"]["status"].pop(name, None)
    return shown
