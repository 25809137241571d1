"""Section ``log_rows``: may the app query the logs?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from connectors.azure_monitor.payloads.search_link import is_scope
from connectors.azure_monitor.settings import LogRowsSettings
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.clients import MicrosoftClients
from shared.core.errors import SourceError

_QUERY = "print allowed = 1"
_SPAN = timedelta(minutes=5)
_WITHIN = timedelta(seconds=20)
_NAME_SCOPES = "List the workspaces of your log alerts in log_rows.scopes, and only these can be queried."
_MISSING = "Correct the workspace or resource in log_rows.scopes, or assign the role of docs/rows.md there."


class LogRowsCheck:
    """Signs in, and runs a query that reads nothing in each scope that the configuration names whole."""

    def __init__(self, clients: MicrosoftClients, settings: LogRowsSettings, now: Callable[[], datetime]) -> None:
        self._clients = clients
        self._settings = settings
        self._now = now

    async def run(self, lines: CheckLines) -> None:
        """Add the lines. Raises SourceError only for what is not foreseen."""
        settings = self._settings
        logs = self._clients.log_analytics(settings.cloud, settings.sign_in)
        if await signed_in(logs, settings.sign_in, lines) is None:
            return
        scopes = [scope.strip("/") for scope in settings.scopes if is_scope(scope.strip("/"))]
        if not scopes:
            lines.warning("query", "no workspace is named, so that none was tried", _NAME_SCOPES)
        now = self._now()
        for scope in scopes:
            try:
                await logs.query(scope, _QUERY, now - _SPAN, now, _WITHIN)
            except SourceError as error:
                lines.error(f"query {scope}", error, _MISSING if error.status == 404 else "")
            else:
                lines.ok(f"query {scope}", "the identity may query it")
