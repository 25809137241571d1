"""How tickets show the rows of log alerts: so many rows, columns and bytes, and no column that nobody may see.

A column that is hidden is hidden in the rows, in the table, and among the dimensions. It stays in what identifies the
alert, and a column that names a resource still tells which resource is affected.
"""

from __future__ import annotations

from dataclasses import replace

from connectors.azure_monitor.settings import LogRowsSettings
from shared.core.messages import SignalMessage
from shared.core.signal import Signal
from shared.delivery.stages import Attempt
from shared.mapping.parts import ROWS_DETAIL
from shared.mapping.routes import matches_any
from shared.payloads.tables import HIDDEN, TableLimits, table_text, without_columns


class ShownRows:
    """Applies the section ``log_rows``; a stage of delivery. Applied twice it changes nothing more."""

    def __init__(self, settings: LogRowsSettings) -> None:
        self._limits = TableLimits(settings.rows, settings.columns, size=settings.bytes)
        self._redacts = matches_any([*settings.redact])
        self._drops = matches_any([*settings.drop])

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage:
        """See ``shared.delivery.stages.Stage``."""
        del attempt
        shown = self.shown(message.signal)
        return message if shown == message.signal else replace(message, signal=shown, claim="")

    def shown(self, signal: Signal) -> Signal:
        """The signal with rows, dimensions and table as tickets may show them; of other sources and kinds as it is."""
        if signal.source != "azure_monitor" or signal.kind != "log":
            return signal
        dimensions = {
            name: HIDDEN if self._redacts(name) else value
            for name, value in signal.dimensions.items()
            if not self._drops(name)
        }
        if dimensions != signal.dimensions:
            signal = replace(signal, dimensions=dimensions)
        rows = signal.rows
        if rows is None:
            return signal
        dropped = [name for name in rows.columns if self._drops(name)]
        redacted = [name for name in rows.columns if self._redacts(name)]
        rows = without_columns(rows, dropped, redacted)
        details = {name: text for name, text in signal.details.items() if name != ROWS_DETAIL}
        if text := table_text(rows, self._limits):
            details[ROWS_DETAIL] = text
        return replace(signal, rows=rows, details=details)
