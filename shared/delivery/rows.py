"""The rows of a query that a signal is about and that its payload does not bring: read before the ticket is made where
that takes little time, else noted on the ticket afterwards.

The ticket waits a few seconds at most. What was not read by then is ordered as a message of its own
(:class:`ReadRows`) once the ticket is there; it is tried a few times, then the log says why there are no rows. The note
is an update at the time of the firing: its link lets it through once, and not after a newer event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from shared.core.errors import SourceError
from shared.core.messages import EndWhenQuiet, QueueSender, ReadRows, SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import Signal, SignalState
from shared.mapping.parts import ROWS_DETAIL
from shared.platform.log import record

#: How long rows of a new ticket wait for being read again, and how often that is tried in all.
_FIRST_LOOK: Final = timedelta(seconds=10)
_MOST_ATTEMPTS: Final = 6

_HEADING: Final = "Rows that the query returned:"


class RowReader(Protocol):
    """Reads the rows of signals, from wherever their sources say."""

    def can_read(self, signal: Signal) -> bool:
        """Whether rows of a signal can be read that it does not bring."""
        ...

    async def read(self, signal: Signal, *, waiting: bool) -> Signal:
        """The signal with its rows, and their text in ``details``. Raises SourceError.

        Args:
            signal: for which :meth:`can_read` is true.
            waiting: a ticket waits: a few seconds at most.
        """
        ...


class RowReaders:
    """Reads by the signal's source.

    Args:
        readers: by the name of the source.
        has_route: whether a signal can have a ticket at all.
    """

    def __init__(
        self, readers: Mapping[str, RowReader] | None = None, has_route: Callable[[Signal], bool] = lambda _signal: True
    ) -> None:
        self._readers = readers or {}
        self._has_route = has_route

    def can_read(self, signal: Signal) -> bool:
        """See :class:`RowReader`."""
        reader = self._readers.get(signal.source)
        return reader is not None and signal.rows is None and reader.can_read(signal) and self._has_route(signal)

    async def read(self, signal: Signal, *, waiting: bool) -> Signal:
        """See :class:`RowReader`."""
        return await self._readers[signal.source].read(signal, waiting=waiting)


class RowNotes:
    """Reads rows for tickets, and orders the note about those that come later."""

    def __init__(self, reader: RowReader, queue: QueueSender, now: Callable[[], datetime]) -> None:
        self._reader = reader
        self._queue = queue
        self._now = now

    async def before_ticket(self, message: SignalMessage) -> tuple[SignalMessage, bool]:
        """The message with the rows of its signal, where they come in time; and whether they are still to be read."""
        signal = message.signal
        if signal.state is not SignalState.FIRED or not signal.opens or signal.via or isinstance(message, EndWhenQuiet):
            return message, False
        if not self._reader.can_read(signal):
            return message, False
        try:
            read = await self._reader.read(signal, waiting=True)
        except SourceError as error:
            if not error.retry:
                _unavailable(message, str(error))
            return message, error.retry
        return replace(message, signal=read, claim=""), False

    async def order(self, signal: Signal) -> None:
        """Order the note about the rows of a signal whose ticket was made without them. Raises StorageUnavailable."""
        now = self._now()
        message = ReadRows(id=uuid4().hex, received_at=now, due=now + _FIRST_LOOK, signal=signal)
        await self._queue.send(message, _FIRST_LOOK)

    async def after_ticket(self, message: ReadRows) -> SignalMessage | Outcome:
        """The message whose signal is the note, or the outcome of rows that are not to be had.

        Raises SourceUnavailable when it is to be tried again.
        """
        signal = message.signal
        if signal.state is not SignalState.FIRED:
            return message  # read by an earlier attempt, whose note the ticket system did not take
        try:
            read = await self._reader.read(signal, waiting=False)
        except SourceError as error:
            if error.retry and message.attempts + 1 < _MOST_ATTEMPTS:
                raise
            return _unavailable(message, str(error), error.code)
        if read.rows is None:
            return _unavailable(message, "the query gave no rows")
        return replace(message, signal=_note(read), claim="")


def _unavailable(message: SignalMessage, reason: str, code: str = "") -> Outcome:
    """The outcome of rows that are not to be had, which the log tells."""
    record("rows_unavailable", logging.WARNING, id=message.id, key=message.signal.key, reason=reason)
    return Outcome(OutcomeKind.DELIVERED, "rows_unavailable", code=code, reason=reason)


def _note(signal: Signal) -> Signal:
    """The update that brings rows to a ticket: at the time of the firing, which an update follows."""
    text = f"{_HEADING}\n{signal.details.get(ROWS_DETAIL, '')}"
    details = {**signal.details, "communication": text}
    return replace(signal, state=SignalState.UPDATED, opens=False, condition="", details=details, rows=None)
