"""Notes that deliveries write. Each ends in a marker; searching for it tells whether a note arrived whose answer was
lost. The texts are plain text: the connector takes out what its system would render as markup."""

from __future__ import annotations

import hashlib
from datetime import datetime

from shared.core.plugins import SourceWords
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import Note
from shared.core.times import rfc3339

_LIMIT = 3800


def marker(key: str, moment: datetime, rank: int) -> str:
    """Twelve hex digits in brackets, the same at every attempt to write the note about one event."""
    digest = hashlib.sha256(f"{key}\n{rfc3339(moment)}\n{rank}".encode()).hexdigest()
    return f"[bridge:{digest[:12]}]"


def opening_note(trace: str) -> str:
    """The first note of a ticket, unless the route writes one: the id under which its signal can be traced."""
    return f"Opened by Azure ITSM Bridge, signal {trace}."


def event_note(signal: Signal, words: SourceWords, mark: str, trace: str, ended: datetime | None = None) -> Note:
    """The note that an existing ticket gets for a signal.

    ``trace`` is the id under which the signal can be traced. ``ended`` is given when the note is about the end of
    the problem, which another signal of the key reported.
    """
    what = words.thing
    if ended is not None or signal.state is SignalState.RESOLVED:
        when = rfc3339(ended or signal.resolved_at or signal.occurred_at)
        reason = str(signal.details.get("resolution", "")).replace("_", " ")
        head = f"The {what} ended at {when} ({reason})." if reason else f"The {what} ended at {when}."
        head = str(signal.details.get("withdrawn", "")) or head
        return _note(head, "" if ended else _news(signal), mark, trace)
    if signal.state is SignalState.FIRED and not _communication(signal):
        return _note(f"The {what} {words.again} at {rfc3339(signal.occurred_at)}.", signal.condition, mark, trace)
    body = _news(signal) if _communication(signal) else _condition_first(signal)
    return _note(f"Update of {rfc3339(signal.occurred_at)}: {signal.title}", body, mark, trace)


def reopening_note(signal: Signal, words: SourceWords, mark: str, trace: str) -> Note:
    """Written with a reopening."""
    when = rfc3339(signal.occurred_at)
    again = f"{signal.title}, {when}." if _communication(signal) else f"the {words.thing} {words.again} at {when}."
    return _note(f"Reopened: {again}", _news(signal), mark, trace)


def _communication(signal: Signal) -> str:
    """What the sender itself writes about the problem with this very signal, ``""`` for nothing. A signal that brings
    such a text is an update of what is known, also when its state is fired."""
    return signal.details.get("communication", "")


def _news(signal: Signal) -> str:
    """The condition, and below it what the sender writes: a note that is too long is cut at its end."""
    return "\n\n".join(dict.fromkeys(filter(None, (signal.condition, _communication(signal)))))


def _condition_first(signal: Signal) -> str:
    """The description; one that would be cut has the condition first, for it says most."""
    if len(signal.description) <= _LIMIT // 2 or not signal.description.endswith(signal.condition):
        return signal.description
    prose = signal.description.removesuffix(signal.condition).strip()
    return "\n\n".join(filter(None, (signal.condition, prose)))


def flapping_note(signal: Signal, words: SourceWords, changes: tuple[datetime, ...], mark: str, trace: str) -> Note:
    """Written once when a problem comes and goes too often. ``changes``: when it did, oldest first."""
    since = rfc3339(min(changes, default=signal.occurred_at))
    head = (
        f"Flapping: the {words.thing} came and went {len(changes)} times since {since}; the last Resolved is of "
        f"{rfc3339(signal.occurred_at)}. The ticket stays open, without a note per change, until it stays quiet."
    )
    return _note(head, "", mark, trace)


def _note(head: str, body: str, mark: str, trace: str) -> Note:
    text = f"{head}\n\n{body}" if body else head
    if len(text) > _LIMIT:
        text = text[: _LIMIT - 1].rstrip() + "…"
    return Note(text=f"{text}\n\nsignal {trace} {mark}", marker=mark)
