"""Does the bridge know what Azure's list says of an alert? Pure."""

from __future__ import annotations

from enum import StrEnum

from connectors.azure_monitor.payloads.managed import ONE_OCCURRENCE
from shared.core.link import Link, LinkStage
from shared.core.signal import Order, Signal, SignalState


class ReconcileVerdict(StrEnum):
    """What an alert of the list needs."""

    KNOWN = "known"  #: nothing
    MISSED = "missed"  #: its firing is to be delivered
    ENDED = "ended"  #: its end is to be delivered
    BUSY = "busy"  #: a worker is at it just now: compare again next time
    LEFT = "left"  #: never heard of, and over


def compare(signal: Signal, link: Link | None, *, told: bool, counted: bool) -> ReconcileVerdict:
    """Judge one alert.

    Times are compared only where they must be: an alert with an id of its own fires once and ends once, and Azure does
    not promise that its list and its webhook give equal times.

    Args:
        signal: of the alert as Azure lists it.
        link: of the signal's key, None when there is none.
        told: an earlier comparison saw that its firing was known, or delivered it.
        counted: its route groups alerts, or a throttle counts them: what is known of it may stand in a group, and no
            link says so.
    """
    if link is None:
        if signal.state is not SignalState.RESOLVED:
            return ReconcileVerdict.KNOWN if told else ReconcileVerdict.MISSED
        return ReconcileVerdict.ENDED if told or counted else ReconcileVerdict.LEFT
    if link.pending is not None:
        return ReconcileVerdict.BUSY
    return _ended(signal, link) if signal.state is SignalState.RESOLVED else _fired(signal, link)


def _fired(signal: Signal, link: Link) -> ReconcileVerdict:
    newest = _newest(link)
    if newest is not None and newest >= signal.order:
        return ReconcileVerdict.KNOWN
    if link.dead_letter and link.stage is LinkStage.NONE:
        return ReconcileVerdict.KNOWN  # it waits for a person
    once = signal.key.startswith(ONE_OCCURRENCE)
    heard = link.stage is not LinkStage.NONE or link.first_held is not None or link.resolved_by is not None
    return ReconcileVerdict.KNOWN if once and heard else ReconcileVerdict.MISSED


def _ended(signal: Signal, link: Link) -> ReconcileVerdict:
    newest = _newest(link)
    if newest is not None:
        once = signal.key.startswith(ONE_OCCURRENCE)
        end_known = newest[1] == signal.order[1]
        if end_known if once else newest >= signal.order:
            return ReconcileVerdict.KNOWN
    if link.stage in (LinkStage.RESOLVED, LinkStage.CLOSED):
        return ReconcileVerdict.KNOWN  # people were faster, and nothing is left to do
    return ReconcileVerdict.ENDED


def _newest(link: Link) -> Order | None:
    """The newest event that the link knows, applied or not."""
    known = [order for order in (link.latest, link.resolved_by, link.first_held, link.last_held) if order is not None]
    return max(known, default=None)
