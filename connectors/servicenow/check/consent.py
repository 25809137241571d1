"""The line of the check that is about a person's consent: who gave it, and until when it lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.servicenow.auth.grants import connect_advice
from connectors.servicenow.auth.log_ins import LogIns
from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.wire import value
from shared.core.errors import ConfigurationError, StorageUnavailable

_LINE = "consent"

#: Days before its end from which on a consent should be given again.
_SOON = 30


class ConsentCheck:
    """Adds the line for connections whose log-in a person gives.

    Args:
        client: of the instance.
        log_ins: what is known of the log-in.
    """

    def __init__(self, client: Client, log_ins: LogIns) -> None:
        self._connection = client.connection
        self._log_ins = log_ins

    def missing(self, report: CheckReport) -> str:
        """There is no consent. Returns the name of the line."""
        report.failed(
            _LINE, "nobody has consented yet, or the consent was taken back", connect_advice(self._connection)
        )
        return _LINE

    async def given(self, report: CheckReport, me: Sequence[Mapping[str, Any]]) -> None:
        """The consent was accepted; ``me``: our own user record, where the instance shows it."""
        if not self._log_ins.by_consent:
            return
        name = value(me[0], "user_name") if len(me) == 1 else None
        if name:
            await self._log_ins.note_user(name)
        try:
            found = await self._log_ins.read()
        except (StorageUnavailable, ConfigurationError):
            report.ok(_LINE, "it is accepted; without the bridge's storage its end is not known")
            return
        who = f"given by '{found.user}'" if found.user else "given"
        if found.token_ends is None:
            report.ok(_LINE, f"{who}; no end of it is known")
            return
        left = (found.token_ends - self._log_ins.now()).days
        detail = f"{who}; it ends on {found.token_ends:%Y-%m-%d}, in {left} days"
        if left > _SOON:
            report.ok(_LINE, detail)
        else:
            report.warning(_LINE, detail, connect_advice(self._connection))
