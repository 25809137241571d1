"""Is the bridge well? Puts together what ``shared.operations.health`` judges, and keeps the answer for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.standby import ADVICE
from shared.core.errors import BridgeError, ConfigurationError
from shared.operations import health
from shared.operations.connection_health import ConnectionHealth
from shared.operations.credential_watch import credentials_shown, log_in_shown, reasons_of_credentials
from shared.operations.health import Health, Reason
from shared.operations.standing_warnings import standing_warnings

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.log_in import LogIn
    from shared.export import ExportStatus

#: Seconds for which an answer is kept: whoever asks more often costs nothing.
KEPT_FOR = 10.0

#: Seconds for reading how a connection logs in.
_PATIENCE = 4.0


class HealthReporter:
    """Reports on the health of the bridge.

    Args:
        services: of this process.
        ticks: seconds that only go forward.
    """

    def __init__(self, services: Container, ticks: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._ticks = ticks
        self._kept: Health | None = None
        self._kept_until = 0.0
        self._asking = asyncio.Lock()

    async def report(self) -> Health:
        """The health, at most ten seconds old. Never raises a BridgeError."""
        async with self._asking:
            if self._kept is None or self._ticks() >= self._kept_until:
                self._kept = await self._ask()
                self._kept_until = self._ticks() + KEPT_FOR
        return self._kept

    async def _ask(self) -> Health:
        services = self._services
        now = services.now()
        problems, names, warnings = 0, [], []
        try:
            names = sorted(services.config.connections)
            warnings = [*standing_warnings(services.config), *services.config_warnings]
        except ConfigurationError as error:
            problems = len(error.problems)
        details: dict[str, Any] = {
            **health.head(now),
            "configuration": {"valid": not problems, **({"problems": problems} if problems else {})},
            "warnings": warnings,
        }
        reasons = health.reasons_of_configuration(problems)
        try:
            (look, connections, parked, depth, traps), (credentials, log_ins, exports) = await asyncio.gather(
                asyncio.gather(
                    services.standby.look(),
                    services.health.read(),
                    health.count_parked(services.parked, now),
                    services.queue.depth(),
                    services.traps.read(),
                ),
                asyncio.gather(services.credentials.read(), self._log_ins(names), self._exports()),
            )
        except BridgeError as error:
            text = f"The bridge's storage is not available ({error.code}): signals cannot be taken in."
            advice = "See the app's log; check the storage account, its network rules and the app's roles"
            return Health("unavailable", (Reason("storage", text, advice=advice), *reasons), details)
        reasons += health.reasons_of_functions(look, ADVICE)
        reasons += health.reasons_of_connections(names, connections, now)
        reasons += health.reasons_of_parked(parked)
        reasons += reasons_of_credentials(credentials, now)
        if exports:
            from shared.export import reasons_of_exports

            reasons += reasons_of_exports(exports, now)
        unknown = ConnectionHealth()
        details |= {
            "warnings": [*warnings, *(trap.sentence for trap in traps)],
            "queue": {
                "messages": depth,
                "oldest_wait_seconds": None if look.waiting.since is None else (now - look.waiting.since).seconds,
                "poison": look.waiting.poison,
            },
            "parked_within_an_hour": parked,
            "connections": {
                name: connections.get(name, unknown).shown(now)
                | {"log_in": log_in_shown(name, log_ins[name], credentials, now)}
                | ({"export": exports[name].shown(now)} if name in exports else {})
                for name in names
            },
            "credentials": credentials_shown(credentials, now),
            "functions": health.functions_shown(look),
        }
        return Health("degraded" if reasons else "ok", tuple(reasons), details)

    async def _exports(self) -> dict[str, ExportStatus]:
        """How the export of each connection goes; none where nothing is exported. Raises StorageUnavailable."""
        try:
            return await self._services.exports.statuses()
        except ConfigurationError:  # a reason of its own says so
            return {}

    async def _log_ins(self, names: list[str]) -> dict[str, LogIn | None]:
        """How each connection logs in; None where that cannot be read now."""

        async def read(name: str) -> LogIn | None:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await self._services.opened_systems.log_in(name)
            except (BridgeError, TimeoutError):
                return None

        return dict(zip(names, await asyncio.gather(*map(read, names)), strict=True))
