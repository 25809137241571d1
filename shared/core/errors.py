"""Everything that can go wrong, as one tree.

    BridgeError
    ├── ConfigurationError      bridge.yaml or a setting is wrong; lists every problem at once
    ├── SecretUnavailable       a secret has no value, or the vault did not answer            retry
    │   └── SecretMissing       there is no such secret, or it is disabled                    retry
    │       └── ConsentMissing  a person has to consent first                                 retry
    ├── StorageUnavailable      the bridge's own queue, table or blob storage did not answer  retry
    │   └── UnreadableRow       a stored row is damaged, or was written by another release    retry
    ├── KeyContended            too many workers on one key; nothing is wrong, only busy      retry
    ├── JobRunning              the job is being run by somebody else                         retry
    ├── JobInterrupted          a job was stopped: it lost its lease, or ran too long         retry
    ├── ReadAgainLater          reading a ticket once proves nothing; it is read again       retry
    │   ├── TicketNotSeen       a ticket that should be there cannot be seen                  retry
    │   └── ChangeNotSeen       a change was accepted, and the ticket does not show it        retry
    ├── SourceError             a Microsoft service that the bridge reads did not give what was asked for
    │   ├── SourceUnavailable   it is throttling, broken or unreachable                       retry
    │   └── SourceRefused       rights, sign-in, or no such thing                             never
    └── TicketSystemError       an outside ticket system did not do what was asked
        ├── NotSent             the request never left: nothing can have happened             retry
        ├── OutcomeUnknown      sent, and the answer proves nothing: look before repeating    retry
        ├── Throttled           refused for now because of a rate limit                       retry
        │   └── MustWait        the call budget has no call for it now; nothing was sent      retry
        ├── Unavailable         asleep, upgrading, unreachable; nothing was written           retry
        │   └── CircuitOpen     another worker finds out whether it is back; nothing was sent retry
        ├── NotAuthorised       credentials, scope or API role; an administrator can mend it  retry
        └── Refused             this request will never be accepted as it is                  never
            └── TicketMissing   the ticket was deleted, or cannot be seen

Whether a call may be repeated is a property of the type: ``retry`` (will trying later help?) and ``applied``
(can the call have had an effect?). Code that handles errors asks the type and never parses a message.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shared.core.times import rfc3339


class BridgeError(Exception):
    """Root of the tree. ``str(error)`` is safe to log and to show: it never holds a secret."""

    #: Stable name for logs, metrics and dead letters.
    code: ClassVar[str] = "bridge_error"
    #: True when the same work may succeed later without anybody changing it.
    retry: ClassVar[bool] = False


class ConfigurationError(BridgeError):
    """The configuration cannot be used. ``problems`` holds one line per mistake, each with place and fix."""

    code = "configuration_invalid"
    retry = True  # a corrected file is a deployment away, and the signals must still be there then

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SecretUnavailable(BridgeError):
    """A secret named in the configuration has no value here, or Key Vault did not give it."""

    code = "secret_unavailable"
    retry = True


class SecretMissing(SecretUnavailable):
    """There is no such secret, or it is disabled."""


class ConsentMissing(SecretMissing):
    """Nobody has consented to what a connection does, or the consent was taken back."""

    code = "consent_missing"


class StorageUnavailable(BridgeError):
    """Queue, Table or Blob storage of the bridge itself did not answer as it should."""

    code = "storage_unavailable"
    retry = True


class UnreadableRow(StorageUnavailable):
    """A stored row or blob is there and cannot be read: it is damaged, or was written by another release.

    Work that needs it waits on the queue until a person or a release mends it. Lists leave it out.
    """

    code = "unreadable_row"


class KeyContended(BridgeError):
    """A key did not come to rest within one delivery, because others kept changing its link."""

    code = "key_contended"
    retry = True


class JobRunning(BridgeError):
    """A job is not begun because somebody else is running it.

    Attributes:
        job: its name.
        holder: who runs it.
        since: when that began, UTC by the clock of the storage account.
    """

    code = "job_running"
    retry = True

    def __init__(self, job: str, holder: str, since: datetime) -> None:
        super().__init__(f"the job {job} has been run by {holder} since {rfc3339(since)}; it can begin when that ends")
        self.job = job
        self.holder = holder
        self.since = since


class JobInterrupted(BridgeError):
    """A job was stopped: its lease could not be renewed or was taken over, or it used the time that it may take."""

    code = "job_interrupted"
    retry = True


class ReadAgainLater(BridgeError):
    """One look at a ticket proves nothing: the signal waits and the ticket is looked at again.

    It is no failure of the connection.

    Attributes:
        retry_after: seconds until the next look.
    """

    code = "read_again_later"
    retry = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TicketNotSeen(ReadAgainLater):
    """A ticket that should be there cannot be seen: it was deleted, is hidden for a while, or is not committed yet."""

    code = "ticket_not_seen"


class ChangeNotSeen(ReadAgainLater):
    """The ticket system accepted a change, but its answer shows the ticket as it was before."""

    code = "change_not_seen"


class SourceError(BridgeError):
    """A Microsoft service that the bridge reads did not give what was asked for.

    Attributes:
        status: HTTP status of the answer, None when there was none.
        retry_after: seconds that it asked to wait, None if it did not say.
    """

    code = "source_error"

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class SourceUnavailable(SourceError):
    """It is throttling, broken or unreachable: the same request may succeed later."""

    code = "source_unavailable"
    retry = True


class SourceRefused(SourceError):
    """The request will not succeed as it is: no token, no rights, or nothing there."""

    code = "source_refused"


class TicketSystemError(BridgeError):
    """An outside ticket system did not do what was asked.

    Attributes:
        connection: name of the connection in the configuration.
        status: HTTP status of the answer, None when there was none.
        upstream: what the system said, shortened and redacted; empty when it said nothing.
        advice: what a person can do about it.
        request_id: the system's own id of the request, None if not given.
        retry_after: seconds the system asked to wait, None if it did not say.
    """

    code = "ticket_system_error"
    #: True when the call can have had an effect although it failed.
    applied: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        connection: str = "",
        status: int | None = None,
        upstream: str = "",
        advice: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.connection = connection
        self.status = status
        self.upstream = upstream
        self.advice = advice
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        said = f" (HTTP {self.status}: {self.upstream})" if self.upstream and self.status else ""
        if self.status and not self.upstream:
            said = f" (HTTP {self.status})"
        advice = f" {self.advice}" if self.advice else ""
        return (
            f"{self.connection}: {self.message}{said}.{advice}" if self.connection else f"{self.message}{said}.{advice}"
        )


class NotSent(TicketSystemError):
    """The request never left this machine (DNS, connect, TLS, pool): repeat freely."""

    code = "not_sent"
    retry = True


class OutcomeUnknown(TicketSystemError):
    """The request was sent and the answer does not prove what happened: look up before repeating."""

    code = "outcome_unknown"
    retry = True
    applied = True


class Throttled(TicketSystemError):
    """Refused by a rate limit. ``retry_after`` is None when the system gave no time (then everyone cools down)."""

    code = "throttled"
    retry = True


class MustWait(Throttled):
    """The call budget has no call for it now, or every worker pauses. Nothing was sent.

    Attributes:
        retry_after: seconds until the message's own position in the backlog is due.
        position: that position; it must come back with the message (``BudgetGate.admit``). Empty for none.
    """

    position: str = ""


class ConnectionDisabled(TicketSystemError):
    """The configuration says ``disabled: true`` of the connection: nothing was sent, and what is for it waits."""

    code = "connection_disabled"
    retry = True


class Unavailable(TicketSystemError):
    """The system is asleep, in maintenance or unreachable, and nothing was written."""

    code = "unavailable"
    retry = True


class CircuitOpen(Unavailable):
    """The system is asleep or unavailable, and it is not this call that tries it again. Nothing was sent.

    ``retry_after`` and ``position`` as with :class:`MustWait`.
    """

    position: str = ""


class NotAuthorised(TicketSystemError):
    """Credentials, OAuth scope or API access are wrong. Kept and retried: an administrator can mend it meanwhile."""

    code = "not_authorised"
    retry = True


class Refused(TicketSystemError):
    """The request will not be accepted as it is: dead letter, with the advice."""

    code = "refused"


class TicketMissing(Refused):
    """The ticket does not exist (any more), or the integration user may not see it."""

    code = "ticket_missing"
