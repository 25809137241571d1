"""The demo's part about log alerts: a ticket that shows the rows that fired, one ticket for each machine, a dry run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from local.azure.logs.store import WORKSPACE
from local.demo.alerts import Azure
from local.demo.surroundings import Step, Surroundings
from local.running import Running

#: Routes that the demo puts before the others.
ROUTES = """\
routes:
  # Added by the demo: each computer of this rule has a ticket of its own; that rule is only rehearsed.
  - name: disks
    when: {kind: log, rule: disks-full}
    connection: servicenow
    group: {by: row, columns: [Computer]}
  - name: rehearsed
    when: {kind: log, rule: new-rule}
    connection: servicenow
    mode: dry_run
"""

_HEARTBEATS = "Heartbeat | summarize beats = count() by Computer | where beats < 5"
_DISKS = "Perf | where ObjectName == 'LogicalDisk' | summarize free = min(CounterValue) by Computer | where free < 5"

#: What the queries find: columns and rows.
_FOUND: Mapping[str, tuple[str, list[list[Any]]]] = {
    _HEARTBEATS: ("beats", [["db-shop-02", 1.0], ["db-shop-03", 0.0]]),
    _DISKS: ("free", [["web-01", 2.0], ["web-02", 1.0], ["db-shop-02", 4.0]]),
}


class LogAlerts(Surroundings):
    """The app with the simulators around it, of which Log Analytics knows some rows."""

    def __init__(self, running: Running) -> None:
        super().__init__(running)
        self._azure = Azure()

    def stories(self) -> Iterator[Step]:
        """All stories, step by step."""
        for query, (column, rows) in _FOUND.items():
            columns = [{"name": "Computer", "type": "string"}, {"name": column, "type": "real"}]
            self.control("log-queries", {"query": query, "columns": columns, "rows": rows})
        yield self._rows_in_a_ticket()
        yield from self._ticket_for_each_machine()
        yield self._dry_run()

    def _rows_in_a_ticket(self) -> Step:
        outcome = self._delivered(self._alert("heartbeat-missing", _HEARTBEATS, str(uuid4())))
        number = outcome["ticket"]
        text = self.rows("incident", f"number={number}", "description")[0]["description"]
        shown = [line.strip() for line in text.splitlines() if line.startswith("db-shop-")]
        return Step(
            "a log alert (V2) brings no rows", number, self.state(number), f"the ticket shows: {'; '.join(shown)}"
        )

    def _ticket_for_each_machine(self) -> Iterator[Step]:
        alert = str(uuid4())
        self.running.post(self._alert("disks-full", _DISKS, alert))
        self.until(lambda: len(self._of("disks-full")) == len(_FOUND[_DISKS][1]), "a ticket for each machine")
        for row in self._of("disks-full"):
            yield Step("one alert names three machines", row["number"], row["state"], row["short_description"])
        self.running.post(self._alert("disks-full", _DISKS, alert, resolved=True))
        self.until(lambda: {row["state"] for row in self._of("disks-full")} == {"Resolved"}, "all three to be resolved")
        yield Step("its Resolved ends all of them", "", "Resolved", "three tickets")

    def _dry_run(self) -> Step:
        self._delivered(self._alert("new-rule", _HEARTBEATS, str(uuid4())))
        # The signal's row of the audit log is written after its event.
        self.until(lambda: bool(self._rehearsed()), "the report of the dry run")
        (line,) = self._rehearsed()
        told = f"bridge.py report: route {line['route']} would {line['action']} {line['count']} ticket"
        return Step("a rule that is only rehearsed (dry run)", "", "no ticket", told)

    def _rehearsed(self) -> list[dict[str, Any]]:
        answer = self.running.http.get(
            f"{self.app['url']}/api/report",
            params={"hours": "1", "mode": "dry_run"},
            headers={"x-functions-key": self.app["key"]},
        )
        return list(answer.json()["lines"])

    def _of(self, rule: str) -> list[dict[str, str]]:
        return self.rows("incident", f"short_descriptionSTARTSWITH{rule}", "number,state,short_description")

    def _delivered(self, body: dict[str, Any]) -> dict[str, Any]:
        (signal,) = self.running.post(body)
        return self.running.outcome(signal)

    def _alert(self, rule: str, query: str, alert: str, *, resolved: bool = False) -> dict[str, Any]:
        """A log search alert as Azure sends it: with a link to its query, and no rows."""
        body = self._azure.log_search(alert)
        essentials, condition = body["data"]["essentials"], body["data"]["alertContext"]["condition"]
        essentials |= {"alertRule": rule, "monitorCondition": "Resolved" if resolved else "Fired"}
        span = f"{condition['windowStartTime']}/{condition['windowEndTime']}"
        link = (
            f"https://api.loganalytics.io/v1/workspaces/{WORKSPACE}/query?query={quote(query)}&timespan={quote(span)}"
        )
        (criterion,) = condition["allOf"]
        criterion |= {"searchQuery": query, "dimensions": [], "linkToSearchResultsAPI": link}
        return body
