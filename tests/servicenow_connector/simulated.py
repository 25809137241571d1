"""The connector in front of the ServiceNow simulator, with a hand on the simulator."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from connectors.servicenow import ServiceNow, ServiceNowSettings
from local.servicenow import Simulator
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import TicketKind, TicketRef
from tests.conformance.stage import Fault, Stage

TABLES = {
    TicketKind.INCIDENT: "incident",
    TicketKind.PROBLEM: "problem",
    TicketKind.CHANGE_REQUEST: "change_request",
    TicketKind.EVENT: "em_event",
}
CLOSED = {TicketKind.INCIDENT: "7", TicketKind.PROBLEM: "107", TicketKind.CHANGE_REQUEST: "3"}

_WRITES = {"method": ["POST", "PATCH"], "path": "^/api/"}
_CALLS = {"path": "^/api/"}
_FAULTS: dict[Fault, dict[str, Any]] = {
    Fault.LOST_ANSWER: {"type": "cut_after_commit", "match": _WRITES},
    Fault.LOST_REQUEST: {"type": "cut_before_commit", "match": _CALLS},
    Fault.FAILED_ANSWER: {"type": "commit_then_500", "match": _WRITES},
    Fault.GARBLED_ANSWER: {"type": "truncated_json", "match": _WRITES},
    Fault.THROTTLED: {"type": "throttle", "retry_after": 17, "match": _CALLS},
    Fault.THROTTLED_BARE: {"type": "throttle_bare", "body": "html", "match": _CALLS},
    Fault.ASLEEP: {"type": "hibernate"},
    Fault.NOT_AUTHORISED: {"type": "reject_credentials"},
    Fault.REFUSED: {"type": "business_rule_abort", "rule": "Caller must be active", "match": _WRITES},
    Fault.HANGING: {"type": "slow", "seconds": 2.0, "match": _CALLS},
}


class SimulatedServiceNow(Stage):
    """A connector as the integration user, the simulator's control API, and an administrator's REST client.

    ``known``: the connector's secrets by setting. A change of a value rotates that secret.
    """

    def __init__(
        self,
        simulator: Simulator,
        system: ServiceNow,
        known: dict[str, str],
        control: httpx.AsyncClient,
        admin: httpx.AsyncClient,
    ) -> None:
        self.simulator = simulator
        self.system: ServiceNow = system
        self.known = known
        self.secrets = frozenset(known.values())
        self._control = control
        self._admin = admin

    async def order(self, **scenario: Any) -> None:
        """Order a scenario of the simulator."""
        (await self._control.post("/scenarios", json=scenario)).raise_for_status()

    async def set(self, **settings: Any) -> None:
        """Change settings of the simulator."""
        (await self._control.patch("/settings", json=settings)).raise_for_status()

    async def clock(self, **order: Any) -> None:
        """Set the simulator's clock."""
        (await self._control.post("/clock", json=order)).raise_for_status()

    async def told(self, path: str) -> Any:
        """What the control API tells."""
        return (await self._control.get(path)).raise_for_status().json()

    async def requests_to(self, path: str, status: int | None = None) -> int:
        """How many requests to a path arrived, with one status or with any."""
        requests = (await self.told("/requests?limit=1000"))["requests"]
        return sum(one["path"] == path and status in (None, one["status"]) for one in requests)

    async def methods(self) -> Counter[str]:
        """How many API requests the integration user made, by method."""
        requests = (await self.told("/requests?limit=1000"))["requests"]
        return Counter(one["method"] for one in requests if one["user"] == "azure.bridge")

    async def reset(self) -> None:
        """Back to the simulator's first day."""
        (await self._control.post("/reset")).raise_for_status()

    async def rows(self, table: str, query: str, **params: str) -> list[dict[str, str]]:
        """Records, as the administrator sees them."""
        answer = await self._admin.get(f"/api/now/table/{table}", params={"sysparm_query": query, **params})
        return list(answer.raise_for_status().json()["result"])

    async def add(self, into: str, **fields: str) -> str:
        """Make a record of a table as an administrator; its sys_id."""
        answer = await self._admin.post(f"/api/now/table/{into}", json=fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["result"]["sys_id"])

    async def remove(self, table: str, sys_id: str) -> None:
        """Delete a record as an administrator."""
        answer = await self._admin.delete(f"/api/now/table/{table}/{sys_id}")
        assert answer.status_code == 204, answer.text

    async def write(self, ref: TicketRef, **fields: str) -> None:
        """Change a ticket as an administrator."""
        answer = await self._admin.patch(f"/api/now/table/{TABLES[ref.kind]}/{ref.id}", json=fields)
        assert answer.status_code == 200, answer.text

    async def patch(self, table: str, sys_id: str, **fields: str) -> None:
        """Change a record of a table as an administrator."""
        answer = await self._admin.patch(f"/api/now/table/{table}/{sys_id}", json=fields)
        assert answer.status_code == 200, answer.text

    async def strike(self, fault: Fault) -> None:
        await self.order(**_FAULTS[fault])

    async def heal(self) -> None:
        (await self._control.delete("/scenarios")).raise_for_status()

    async def tickets(self, kind: TicketKind, correlation: str) -> int:
        if kind is TicketKind.EVENT:
            return len({row["message_key"] for row in await self.rows("em_event", f"message_key={correlation}")})
        return len(await self.rows(TABLES[kind], f"correlation_id={correlation}"))

    async def notes(self, ref: TicketRef) -> list[str]:
        found = await self.rows("sys_journal_field", f"element_id={ref.id}^element=work_notes")
        return [row["value"] for row in found]

    async def field(self, ref: TicketRef, name: str) -> str:
        return (await self.rows(TABLES[ref.kind], f"sys_id={ref.id}"))[0][name]

    async def work_on(self, ref: TicketRef) -> None:
        group = {"assignment_group": "287ebd7da9fe198100f92cc8d1d2154e"}
        state = await self.field(ref, "state") if ref.kind is not TicketKind.EVENT else ""
        if ref.kind is TicketKind.PROBLEM:
            steps = {"101": "102", "102": "103", "103": "104"}
            more = {"assigned_to": "6816f79cc0a8016401c5a33be04be441", "cause_notes": "x", "fix_notes": "x"}
            while state in steps:
                state = steps[state]
                await self.write(ref, state=state, **more)
        elif ref.kind is TicketKind.CHANGE_REQUEST and state != "-1":
            await self.set(change_transitions="off")
            await self.write(ref, state="-1", **group)
            await self.set(change_transitions="model")

    async def ready(self, ref: TicketRef) -> None:
        if ref.kind is TicketKind.PROBLEM:
            await self.write(ref, assigned_to="5137153cc611227c000bbd1bd8cd2005")
        elif ref.kind is TicketKind.CHANGE_REQUEST:
            dates = {"start_date": "2026-01-01 08:00:00", "end_date": "2026-01-01 09:00:00"}
            await self.write(ref, state="-4", assignment_group="287ebd7da9fe198100f92cc8d1d2154e", **dates)
            await self.approve(ref)
            await self.approve(ref)

    async def approve(self, ref: TicketRef) -> None:
        """Approve a change as whoever is asked."""
        (asked,) = await self.rows("sysapproval_approver", f"sysapproval={ref.id}^state=requested")
        answer = await self._admin.patch(
            f"/api/now/table/sysapproval_approver/{asked['sys_id']}", json={"state": "approved"}
        )
        assert answer.status_code == 200, answer.text

    async def touch(self, ref: TicketRef) -> None:
        await self.write(ref, work_notes="somebody wrote this")

    async def burst(self, kind: TicketKind, count: int, age: float = 0) -> frozenset[str]:
        at = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%d %H:%M:%S")
        key = uuid4().hex
        rows = [
            {
                "short_description": f"Disk full {n}",
                "correlation_id": f"alert:1:{key}-{n}",
                "correlation_display": "Azure ITSM Bridge",
                "sys_updated_on": at,
            }
            for n in range(count)
        ]
        return frozenset(await self.put(TABLES[kind], rows))

    async def put(self, table: str, rows: list[dict[str, str]]) -> list[str]:
        """Put records into a table as they are; their ids."""
        answer = await self._control.post("/rows", json={"table": table, "rows": rows})
        return list(answer.raise_for_status().json()["sys_ids"])

    async def close(self, ref: TicketRef) -> None:
        if ref.kind is TicketKind.CHANGE_REQUEST:
            await self.set(change_transitions="off")
        codes = (
            {"close_code": "successful"}
            if ref.kind is TicketKind.CHANGE_REQUEST
            else {"close_code": "Solution provided"}
        )
        if ref.kind is TicketKind.PROBLEM:
            await self.write(ref, state="106", resolution_code="fix_applied", close_notes="x", fix_notes="x")
            codes = {"resolution_code": "fix_applied"}
        await self.write(ref, state=CLOSED[ref.kind], close_notes="closed by hand", **codes)
        if ref.kind is TicketKind.CHANGE_REQUEST:
            await self.set(change_transitions="model")

    async def delete(self, ref: TicketRef) -> None:
        answer = await self._admin.delete(f"/api/now/table/{TABLES[ref.kind]}/{ref.id}")
        assert answer.status_code == 204, answer.text

    async def in_flight(self) -> int:
        return int((await self.told("/counters"))["in_flight"])

    async def calls(self) -> int:
        return int((await self.told("/counters"))["total"])


def settings_for(simulator: Simulator, auth: Mapping[str, Any] | None = None, **more: Any) -> ServiceNowSettings:
    """Settings of a connection to the simulator; the integration user's password unless ``auth`` says otherwise.

    A value such as ``{client_id}`` in ``auth`` stands for that attribute of the simulator.
    """
    basic = {"type": "basic", "username": "{integration_username}", "password": {"secret": "demo-password"}}
    known = simulator.as_json()
    filled = {name: v.format_map(known) if isinstance(v, str) else v for name, v in (auth or basic).items()}
    return ServiceNowSettings.model_validate({"type": "servicenow", "url": simulator.url, "auth": filled, **more})


def secrets_of(simulator: Simulator) -> dict[str, str]:
    """Everything that any way to log in needs."""
    return {
        "DEMO_PASSWORD": simulator.integration_password,
        "DEMO_ADMIN_PASSWORD": simulator.password,
        "DEMO_CLIENT_SECRET": simulator.client_secret,
        "DEMO_SCOPED_SECRET": simulator.scoped_client_secret,
        "DEMO_USERLESS_SECRET": simulator.userless_client_secret,
        "DEMO_API_KEY": simulator.api_key,
        "DEMO_JWT_KEY": Path(simulator.jwt_key_file).read_text(encoding="ascii"),
        "DEMO_CERT": Path(simulator.client_certificate).read_text(encoding="ascii"),
        "DEMO_CERT_KEY": Path(simulator.client_key).read_text(encoding="ascii"),
    }


def _plain_http(url: str, **more: Any) -> httpx.AsyncClient:
    """A client for loopback http; making its TLS context without any authority saves most of the time it takes."""
    return httpx.AsyncClient(base_url=url, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, **more)


@asynccontextmanager
async def connected(
    simulator: Simulator,
    auth: Mapping[str, Any] | None = None,
    *,
    account: str = "",
    **more: Any,
) -> AsyncIterator[SimulatedServiceNow]:
    """A connector to a running simulator.

    Args:
        simulator: the instance.
        auth: how to log in; the integration user's password when None.
        account: user whose password the secret ``demo-account`` holds.
        more: further settings; ``https=True`` goes over the https listener.
    """
    known = secrets_of(simulator)
    if account:
        known["DEMO_ACCOUNT"] = simulator.accounts[account]
    if more.pop("https", False):
        more = {"url": simulator.https_url, "ca_bundle": simulator.ca_file, **more}
    system = ServiceNow("contoso", settings_for(simulator, auth, **more), SettingSecrets(known))
    async with (
        _plain_http(simulator.control_url) as control,
        _plain_http(simulator.url, auth=(simulator.username, simulator.password)) as admin,
    ):
        try:
            yield SimulatedServiceNow(simulator, system, known, control, admin)
        finally:
            await system.aclose()
