"""What came of a poll, and where it puts what it found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PollResult:
    """What came of one tenant and kind.

    Attributes:
        tenant: its id; ``own`` for that of the app's identity. kind: of the findings.
        read: rows of the list. unchanged: among them, as before.
        new, changed, resolved, deleted: put on the queue, by why.
        left: unhealthy, and not for the bridge by its configuration.
        unseen: remembered, and not judged, because the identity does not see their subscription.
        unreadable: rows that are no finding as known. repeated: rows that a page showed once more.
        calls: to Resource Graph. finished: False when the rest follows in the next run. reason: why it broke off.
    """

    tenant: str
    kind: str
    read: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    resolved: int = 0
    deleted: int = 0
    left: int = 0
    unseen: int = 0
    unreadable: int = 0
    repeated: int = 0
    calls: int = 0
    finished: bool = True
    reason: str = ""
