"""The stage on which the ticket system suite plays: a connector, and a hand on the system behind it.

A new connector provides one ``Stage`` over its simulator and inherits ``TicketSystemConformance``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum

from shared.core.ticket_system import TicketKind, TicketRef, TicketSystem


class Fault(StrEnum):
    """What goes wrong with the next calls, until ``heal``."""

    #: The write is carried out and its answer never comes.
    LOST_ANSWER = "lost_answer"
    #: The connection breaks before anything is carried out.
    LOST_REQUEST = "lost_request"
    #: The write is carried out and answered with an error that does not say so.
    FAILED_ANSWER = "failed_answer"
    #: The write is carried out and answered with a success that cannot be read.
    GARBLED_ANSWER = "garbled_answer"
    #: A rate limit that says how long to wait: ``Stage.retry_after`` seconds.
    THROTTLED = "throttled"
    #: A rate limit that says nothing.
    THROTTLED_BARE = "throttled_bare"
    #: The system is not there for now, and says so in a way that proves that nothing was written.
    ASLEEP = "asleep"
    #: Credentials are refused, renewed ones too.
    NOT_AUTHORISED = "not_authorised"
    #: A rule of the system refuses the write and names itself.
    REFUSED = "refused"
    #: No answer for as long as the caller waits.
    HANGING = "hanging"


class Stage(ABC):
    """One connector and the system behind it.

    Attributes:
        system: the connector under test, using an account with no more rights than it needs.
        secrets: every secret that the connector was given; they must show nowhere.
        retry_after: seconds that ``Fault.THROTTLED`` asks for.
    """

    system: TicketSystem
    secrets: frozenset[str]
    retry_after: float = 17.0

    @abstractmethod
    async def strike(self, fault: Fault) -> None:
        """Let every call meet the fault until ``heal``."""

    @abstractmethod
    async def heal(self) -> None:
        """End all faults."""

    @abstractmethod
    async def tickets(self, kind: TicketKind, correlation: str) -> int:
        """How many tickets bear a key. For kinds that are idempotent by key: how many the system makes of it."""

    @abstractmethod
    async def notes(self, ref: TicketRef) -> list[str]:
        """The work notes of a ticket."""

    @abstractmethod
    async def field(self, ref: TicketRef, name: str) -> str:
        """The stored value of a field."""

    @abstractmethod
    async def work_on(self, ref: TicketRef) -> None:
        """What people do before a ticket can be resolved, where a state model asks for steps."""

    @abstractmethod
    async def ready(self, ref: TicketRef) -> None:
        """What people alone may do, of kinds whose states are guarded: assign the ticket, approve it."""

    @abstractmethod
    async def touch(self, ref: TicketRef) -> None:
        """Change something about a ticket, as people do."""

    @abstractmethod
    async def burst(self, kind: TicketKind, count: int, age: float = 0) -> frozenset[str]:
        """Make tickets of ours that all changed in the same second, ``age`` seconds ago. Returns their ids."""

    @abstractmethod
    async def close(self, ref: TicketRef) -> None:
        """Close a ticket as people do."""

    @abstractmethod
    async def delete(self, ref: TicketRef) -> None:
        """Delete a ticket."""

    @abstractmethod
    async def in_flight(self) -> int:
        """How many calls of the connector the system is working on."""

    @abstractmethod
    async def calls(self) -> int:
        """How many calls have arrived so far."""
