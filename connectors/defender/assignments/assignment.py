"""An assignment: who has to fix one recommendation of one resource, and until when. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.signal import Order
from shared.core.ticket_system import TicketKind

#: Outcome of an assignment that was taken back while its finding is still there.
WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who has to fix a finding, and until when.

    Attributes:
        key: of the recommendation's signal.
        origin: ARM id of the assessment.
        title, resource: of the recommendation, for lists: one line, and the resource's name.
        owner: who has to fix it, as the rule, the tag or the request gave it: e-mail address or user name; may be
            empty for a ticket that goes to a group alone.
        due: until when, UTC.
        grace: a resource that is not overdue yet does not lower the secure score.
        notify_owner, notify_manager: Defender for Cloud writes to them once a week.
        caller: of the ticket; empty for the integration's.
        integration: name of the integration by which the ticket is made.
        rule: name of the governance rule that assigned it; empty when a person did.
        by: who asked for it; empty when a rule did.
        kind: of the ticket.
        fields: ticket fields on top of the integration's, as a person gave them.
        ticket_key: key of the link that has the ticket: the recommendation's own, or its group's.
        latest: the newest event of the recommendation that was taken into account.
        created_at: UTC.
        ended_at, outcome: when and why it is over (healthy, not_applicable, exempted, deleted, withdrawn); None and
            empty while it is not.
        overdue_since: when it was first seen to be overdue; None while it is not.
        reminded_at: when its ticket was reminded last.
        withdrawn: who took it back and why, as a sentence; stays when the finding ends afterwards; else empty.
        last_pushed: what was pushed to Defender for Cloud last, as text that only the write-back reads.
    """

    key: str
    origin: str
    owner: str
    due: datetime
    integration: str
    kind: TicketKind
    created_at: datetime
    title: str = ""
    resource: str = ""
    grace: bool = False
    notify_owner: bool = False
    notify_manager: bool = False
    caller: str = ""
    rule: str = ""
    by: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    ticket_key: str = ""
    latest: Order | None = None
    ended_at: datetime | None = None
    outcome: str = ""
    withdrawn: str = ""
    overdue_since: datetime | None = None
    reminded_at: datetime | None = None
    last_pushed: str = ""

    @property
    def open(self) -> bool:
        """Whether the finding still has to be fixed."""
        return self.ended_at is None

    @property
    def taken_back(self) -> bool:
        """Whether it was withdrawn and its finding has not ended since: nothing that is found assigns it anew."""
        return not self.open and self.outcome == WITHDRAWN
