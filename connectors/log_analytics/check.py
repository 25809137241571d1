"""Section ``log_analytics``: is there a token, and does the data collection rule take rows?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from connectors.log_analytics.settings import LogAnalyticsSettings
from connectors.log_analytics.tokens import LogTokens
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_sign_in import signed_in
from shared.core.errors import SourceError
from shared.core.export import LogRow
from shared.core.plugins import SectionCheck

#: The row that tells whether rows are taken. Sent again it is the same row: nobody counts it twice.
_ROW_ID = "check"
_MESSAGE = "bridge.py check tested whether rows are accepted."


async def check_sending(
    settings: LogAnalyticsSettings,
    tokens: LogTokens,
    send_log: Callable[[Sequence[LogRow]], Awaitable[int]],
    now: datetime,
) -> list[SectionCheck]:
    """Test what the section asks for. It sends one row of the log, because nothing else tells whether rows are taken.

    Args:
        settings: of the configuration.
        tokens: of the sender.
        send_log: sends rows; raises SourceError.
        now: time of the row, UTC.
    """
    lines = CheckLines(settings.rule)
    if await signed_in(tokens, settings.sign_in, lines) is not None:
        try:
            await send_log([LogRow(_ROW_ID, now, "INFO", _MESSAGE, succeeded=True)])
        except SourceError as error:
            lines.error("rows", error)
        else:
            lines.ok("rows", "the data collection rule took a row of the bridge's own log")
    return [SectionCheck("log_analytics", tuple(lines.findings))]
