"""Section ``log_analytics``: is there a token, and does the data collection rule take rows?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from connectors.log_analytics.settings import LogAnalyticsSettings
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.claims import Claims, read_claims
from shared.core.errors import SourceError, SourceUnavailable
from shared.core.export import LogRow
from shared.core.plugins import SectionCheck

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

#: The row that tells whether rows are taken. Sent again it is the same row: nobody counts it twice.
_ROW_ID = "check"
_MESSAGE = "bridge.py check tested whether rows are accepted."


class _Token:
    """Signs in as the sender does."""

    def __init__(self, credential: AsyncTokenCredential, scope: str) -> None:
        self._credential = credential
        self._scope = scope

    async def sign_in(self) -> Claims:
        """What the token says. Raises SourceRefused and SourceUnavailable."""
        from azure.core.exceptions import AzureError

        try:
            return read_claims((await self._credential.get_token(self._scope)).token)
        except AzureError as error:
            first = str(error).strip().partition("\n")[0][:300]
            raise SourceUnavailable(f"there is no token: {first}") from None


async def check_sending(
    settings: LogAnalyticsSettings,
    credential: AsyncTokenCredential,
    scope: str,
    send_log: Callable[[Sequence[LogRow]], Awaitable[int]],
    now: datetime,
) -> list[SectionCheck]:
    """Test what the section asks for. It sends one row of the log, because nothing else tells whether rows are taken.

    Args:
        settings: of the configuration.
        credential: that of the sender. scope: of its tokens.
        send_log: sends rows; raises SourceError.
        now: time of the row, UTC.
    """
    lines = CheckLines(settings.rule)
    if await signed_in(_Token(credential, scope), settings.sign_in, lines) is not None:
        try:
            await send_log([LogRow(_ROW_ID, now, "INFO", _MESSAGE, succeeded=True)])
        except SourceError as error:
            lines.error("rows", error)
        else:
            lines.ok("rows", "the data collection rule took a row of the bridge's own log")
    return [SectionCheck("log_analytics", tuple(lines.findings))]
