"""The demo's second half: a recommendation assigned, overdue and healed; a Secure Score action filed and closed.

Everything that a person would do is done through the APIs that people's tools use; what time would do is done by
calling the app's timers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.azure.demo.findings import key_of
from local.azure.demo.inventory import STORAGE, WEB_1
from local.demo.surroundings import Step, Surroundings
from local.running import NotRunning

#: The sections that the demo adds to the shipped configuration.
SECTIONS = Path(__file__).with_name("clouds.yaml")

_STORAGE, _MACHINE = key_of("public-storage"), key_of("vulnerabilities")
_CONTROL = "IntuneDeviceCompliance"
_PLANNED = (("start_date", 0), ("end_date", 1))

#: Steps of a normal change as people take them; Authorize and Scheduled come by approval.
_WALK: tuple[dict[str, str], ...] = (
    {"state": "-4"},
    {"approval": "approved"},
    {"approval": "approved"},
    {"state": "-1"},
    {"state": "0"},
    {"state": "3", "close_code": "successful", "close_notes": "Compliance policies are enforced by another product."},
)


class Clouds(Surroundings):
    """The running app with the simulators around it. Raises NotRunning when something does not come in time."""

    def stories(self) -> Iterator[Step]:
        """Both stories, step by step."""
        yield from self._recommendation()
        yield from self._improvement()

    def _recommendation(self) -> Iterator[Step]:
        self.timer("poll_findings")
        number = self._found(STORAGE)["number"]
        yield Step("a rule assigns a recommendation", number, self.state(number), self._due(STORAGE, _STORAGE))
        due = datetime.now(UTC) + timedelta(seconds=5)
        body = {
            "recommendation": _MACHINE,
            "resources": [WEB_1],
            "assigned_to": "beth.anglin",
            "due_date": due.isoformat(timespec="seconds"),
            "grace": True,
        }
        answer = self.post(self.app["assignments_url"], body)
        (item,) = answer["items"]
        number = item["ticket"]["number"]
        yield Step("another one is assigned by hand", number, self.state(number), self._due(WEB_1, _MACHINE))
        time.sleep(max((due - datetime.now(UTC)).total_seconds() + 1, 0))
        self.timer("remind")
        self.until(lambda: "overdue" in self._notes(number).lower(), "a note that the assignment is overdue")
        yield Step("its due date passes", number, self.state(number), "a work note reminds the owner")
        self.control("assessments", {"resource": WEB_1, "key": _MACHINE, "code": "Healthy"})
        enrichment = {"action": "Write", "isSnapshot": False}
        self.running.post(
            {"assessmentEventDataEnrichment": enrichment, **self._assessment(WEB_1, _MACHINE)}, to="recommendations"
        )
        self.until(lambda: self.state(number) == "Resolved", f"{number} to be resolved")
        self.until(lambda: not self._governance(WEB_1, _MACHINE), "the assignment to be deleted")
        yield Step("the machine is healthy again", number, self.state(number), "the assignment is deleted")

    def _improvement(self) -> Iterator[Step]:
        url = f"{self.app['url']}/api/secure-score/{_CONTROL}/ticket"
        made = self.post(url, {"requested_by": "abel.tuter", "priority": 2})
        number = made["ticket"]["number"]
        table = "change_request"
        yield Step("a Secure Score action is filed as a change", number, self.state(number, table), self._profile())
        start = datetime.now(UTC)
        plan = {name: f"{start + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}" for name, hours in _PLANNED}
        for fields in (plan, *_WALK):
            self.change(made["ticket"]["id"], fields, table)
        yield Step("people walk it to Closed", number, self.state(number, table), self._profile())
        self.timer("resync")
        self.until(lambda: self._profile() != "Default", "the control's state to follow")
        yield Step("the bridge tells Secure Score", number, self.state(number, table), self._profile())

    # The app

    def _tickets(self) -> list[dict[str, Any]]:
        query = {"source": "defender", "limit": "100"}
        answer = self.running.http.get(
            self.app["tickets_url"], params=query, headers={"x-functions-key": self.app["key"]}
        )
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def _found(self, resource: str) -> dict[str, Any]:
        """The ticket of a resource's recommendation, once it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [one for one in self._tickets() if resource.casefold().lstrip("/") in one["key"].casefold()]
            return bool(found and found[0]["number"])

        self.until(there, "the ticket of a recommendation")
        return found[0]

    # ServiceNow and the clouds, as people see them

    def _notes(self, number: str) -> str:
        return self.rows("incident", f"number={number}", "work_notes")[0]["work_notes"]

    def _asked(self, api: str, path: str, params: dict[str, str]) -> dict[str, Any]:
        """A GET to Resource Manager or Graph as an auditor who may read everything."""
        clouds = self.clouds
        order = {"identity": "reader", "tenant": "contoso", "resource": api}
        token = self.running.http.post(f"{clouds['control_url']}/tokens", json=order).json()["token"]
        answer = self.running.http.get(
            f"{clouds['url']}{path}", params=params, headers={"Authorization": f"Bearer {token}"}
        )
        if answer.status_code != 200:
            raise NotRunning(f"{path}: {answer.status_code} {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    def _assessment(self, resource: str, key: str, below: str = "", version: str = "2021-06-01") -> dict[str, Any]:
        path = f"{resource}/providers/Microsoft.Security/assessments/{key}{below}"
        return self._asked("https://management.azure.com", path, {"api-version": version})

    def _governance(self, resource: str, key: str) -> list[dict[str, Any]]:
        """Governance assignments of an assessment, as Defender for Cloud has them."""
        found = self._assessment(resource, key, "/governanceAssignments", "2022-01-01-preview")
        return [one["properties"] for one in found["value"]]

    def _due(self, resource: str, key: str) -> str:
        """What Defender for Cloud says of an assignment, once it knows the ticket."""
        known: list[dict[str, Any]] = []

        def told() -> bool:
            known[:] = [one for one in self._governance(resource, key) if one["additionalData"].get("ticketLink")]
            return bool(known)

        self.until(told, "Defender for Cloud to know the ticket")
        data = known[0]["additionalData"]
        return f"due {known[0]['remediationDueDate'][:10]}, ticket {data.get('ticketNumber', '')}"

    def _profile(self) -> str:
        """Effective state of the control."""
        found = self._asked("https://graph.microsoft.com", f"/v1.0/security/secureScoreControlProfiles/{_CONTROL}", {})
        updates = found["controlStateUpdates"]
        return str(updates[-1]["state"]) if updates else "Default"
