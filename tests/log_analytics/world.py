"""The bridge's sender, the stand-in that takes its rows, and records with a value in every field."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.log_analytics.columns import LOG_COLUMNS, LOG_STREAM, TICKET_COLUMNS, TICKETS_STREAM, TICKETS_TABLE
from connectors.log_analytics.sender import LogSender
from connectors.log_analytics.settings import LogAnalyticsSettings
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from connectors.microsoft.settings import SignIn
from local.azure import DataCollectionRule, Simulator, TableStore
from shared.core.export import ExportField, LogRow, TicketRecord
from shared.core.secrets import SettingSecrets
from shared.core.settings import SecretRef
from shared.core.ticket_system import Phase, TicketKind
from shared.platform.log import listen
from tests.azure_simulator.support import ARM, Control

RULE = DataCollectionRule(
    "dcr-0123456789abcdef0123456789abcdef",
    {
        TICKETS_STREAM: {column.name: column.type.value for column in TICKET_COLUMNS},
        LOG_STREAM: {column.name: column.type.value for column in LOG_COLUMNS},
    },
)
PUBLISH = ["Microsoft.Insights/Telemetry/Write"]
_TIMES = {
    ExportField.CREATED,
    ExportField.RESOLVED,
    ExportField.CLOSED,
    ExportField.REQUESTED,
    ExportField.PLANNED_START,
    ExportField.PLANNED_END,
    ExportField.WORK_START,
    ExportField.WORK_END,
}


class World:
    """One test's world. ``waits`` holds the seconds that the sender waited."""

    def __init__(self, clouds: Simulator, tables: TableStore, control: Control) -> None:
        self.clouds = clouds
        self.tables = tables
        self.control = control
        self.waits: list[float] = []
        self._opened: list[LogSender] = []
        self._clients: list[MicrosoftClients] = []
        self.sender = self.open()

    def open(self, who: str = "", **changes: Any) -> LogSender:
        """A sender whose settings differ so. ``who``: its application, ``own`` for the app's own identity."""
        sign_in = None if who == "own" else self.sign_in(who)
        settings = LogAnalyticsSettings.model_validate(
            {"endpoint": self.clouds.https_url, "rule": RULE.immutable_id, "sign_in": sign_in, **changes}
        )
        clients = MicrosoftClients(
            SettingSecrets({"INGESTION": self.secret(who)}),
            CloudEndpoints(
                Endpoint(self.clouds.https_url, ARM),
                self.clouds.https_url,
                ssl.create_default_context(cafile=self.clouds.ca_file),
                {"disable_instance_discovery": True, "connection_verify": self.clouds.ca_file},
            ),
        )
        sender = LogSender(settings, clients, lambda: datetime.now(UTC), sleep=self._sleep)
        self._opened.append(sender)
        self._clients.append(clients)
        return sender

    async def aclose(self) -> None:
        """Close everything that was opened."""
        for sender in self._opened:
            await sender.aclose()
        for clients in self._clients:
            await clients.aclose()

    def sign_in(self, who: str = "") -> SignIn:
        """Of an application of the stand-in: the bridge's, ``reader``, ``stranger`` or ``lapsed``."""
        client = getattr(self.clouds, f"{who}_client_id" if who else "client_id")
        return SignIn(tenant=self.clouds.tenant_id, client_id=client, client_secret=SecretRef(secret="ingestion"))

    def secret(self, who: str = "") -> str:
        """What such an application proves itself with."""
        known = who if who not in ("", "own") else ""
        return str(getattr(self.clouds, f"{known}_client_secret" if known else "client_secret"))

    def rows(self, table: str = TICKETS_TABLE) -> list[dict[str, Any]]:
        """What arrived, in its order."""
        return self.tables.rows(table, 1_000_000)

    def posts(self) -> list[int | None]:
        """Statuses of the requests so far, the oldest first; None for one that was not answered."""
        found = self.control.get("/requests", limit=5_000)["requests"]
        return [one["status"] for one in found if one["path"].startswith("/dataCollectionRules/")]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@contextmanager
def heard(event: str) -> Iterator[list[Mapping[str, Any]]]:
    """Fields of an event as often as it is recorded meanwhile."""
    found: list[Mapping[str, Any]] = []
    end = listen(lambda name, fields: found.append(dict(fields)) if name == event else None)
    try:
        yield found
    finally:
        end()


def ticket(kind: TicketKind = TicketKind.INCIDENT, number: int = 1, **changes: Any) -> TicketRecord:
    """A ticket with a value in every field, changed ten minutes ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    values: dict[ExportField, str | datetime] = {field: f"the {field.value}" for field in ExportField}
    values |= dict.fromkeys(_TIMES, now - timedelta(days=30))
    values[ExportField.REOPENED] = "2"
    record = TicketRecord(
        connection="contoso",
        kind=kind,
        id=f"{number:032x}",
        number=f"INC{number:07d}",
        url=f"https://contoso.example/{number}",
        revision="7",
        changed_at=now - timedelta(minutes=10),
        phase=Phase.OPEN,
        values=values,
        more={"u_site": "Zürich", "u_floor": "3"},
    )
    return replace(record, **changes)


def titled(title: str, number: int = 1) -> TicketRecord:
    """The same with a title."""
    record = ticket(number=number)
    return replace(record, values={**record.values, ExportField.TITLE: title})


def tickets(count: int, **values: str) -> list[TicketRecord]:
    """Small tickets with these values."""
    found = {ExportField(name): value for name, value in values.items()}
    return [ticket(number=number, values=found, more={}) for number in range(1, count + 1)]


def log_row(**changes: Any) -> LogRow:
    """A line of the log with a value in every field."""
    now = datetime.now(UTC).replace(microsecond=0)
    given: dict[str, Any] = {name: f"the {name}" for name in LogRow.__slots__}
    given |= {"time": now, "fired_at": now - timedelta(hours=1), "succeeded": True, "severity": 0, "lag": 12.5}
    given |= {"calls": 3, "attempts": 1, "seconds": 4.5, "calls_used": 10, "calls_allowed": 500}
    given |= {"waiting": 0, "dead_letters": 2, "quarantined": 1}
    return LogRow(**{**given, **changes})
