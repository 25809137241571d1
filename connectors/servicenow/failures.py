"""What it means when there is no answer: the exceptions of the HTTP library as errors of the bridge.

A call counts as not sent only when no connection stood. Once there was one, the request may have arrived, whatever the
exception says: httpx keeps that apart (``ConnectError``, ``ConnectTimeout`` and ``PoolTimeout`` against the rest).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

from connectors.servicenow.wire import WireCall
from shared.core.errors import NotAuthorised, NotSent, OutcomeUnknown, TicketSystemError, Unavailable
from shared.platform.guarded_transport import ForbiddenHost

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

_CHECK_URL = "Check 'url', the app's network and that the instance is up"

#: What an exchange raises when it breaks. Errors of TLS after the handshake come as they are, not as httpx's own.
BROKEN = (httpx.HTTPError, OSError)

#: Many servers just hang up on a client whose certificate they refuse, and the alert is lost.
_REFUSED_CERTIFICATE = (
    " A refused client certificate can look like this too: check that it is valid, and mapped to the integration user."
)

#: TLS alerts by which a server refuses the client's certificate. With TLS 1.3 they arrive after the handshake.
_CERTIFICATE_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)


def is_unsent(error: BaseException) -> bool:
    """Whether the request cannot have left this machine."""
    return isinstance(error, _NOT_SENT)


def failure(call: WireCall, error: Exception, connection: str, *, certified: bool = False) -> TicketSystemError:
    """The error for a call whose exchange broke. ``certified``: we showed a client certificate."""
    alert = _certificate_alert(error)
    if alert:
        return NotAuthorised(
            f"the instance refuses the client certificate ({alert})",
            connection=connection,
            advice="Check that the certificate is valid, and mapped to the integration user on the instance.",
        )
    if is_unsent(error):
        message, advice = _unreachable(error)
        advice = f"{advice}.{_REFUSED_CERTIFICATE}" if certified else f"{advice}."
        return NotSent(f"{call} was not sent: {message}", connection=connection, advice=advice)
    what = "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection broke"
    broken = unanswered(call, f"{what} ({type(error).__name__})", connection)
    if certified:
        broken.advice += _REFUSED_CERTIFICATE
    return broken


def unanswered(call: WireCall, what: str, connection: str) -> TicketSystemError:
    """The error for a call that was sent and got no whole answer."""
    if call.purpose.writes:
        return OutcomeUnknown(
            f"{call}: {what}",
            connection=connection,
            advice="It may have been carried out: the ticket is looked up before anything is repeated.",
        )
    return Unavailable(f"{call}: {what}", connection=connection, advice="It is tried again later.")


def _unreachable(error: BaseException) -> tuple[str, str]:
    """Cause and fix of a connection that did not come about."""
    for cause in _chain(error):
        if isinstance(cause, ForbiddenHost):
            return str(cause), "Check 'url' and DNS; for an instance inside your network set allow_private_addresses"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the instance's certificate could not be verified ({cause.verify_message})",
                "For a private certificate authority set 'ca_bundle'; else look for something that breaks TLS open",
            )
        if isinstance(cause, ssl.SSLError):
            return f"the TLS handshake failed ({cause.reason or 'no reason given'})", _CHECK_URL
        if isinstance(cause, socket.gaierror):
            return "the host name cannot be resolved", "Check 'url' for a typing mistake, and DNS"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused", _CHECK_URL
    if isinstance(error, httpx.PoolTimeout):
        return "no connection was free in time", "Earlier calls take too long: look at the instance"
    if isinstance(error, httpx.TimeoutException):
        return "no connection in time", _CHECK_URL
    return f"no connection ({type(error).__name__})", _CHECK_URL


def _certificate_alert(error: BaseException) -> str:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.reason or ""
            if "ALERT" in reason and any(alert in reason for alert in _CERTIFICATE_ALERTS):
                return reason
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it, a few steps deep, groups included."""
    waiting: list[BaseException] = [error]
    for _ in range(20):
        if not waiting:
            return
        found = waiting.pop()
        yield found
        if isinstance(found, BaseExceptionGroup):
            waiting.extend(found.exceptions)
        waiting.extend(e for e in (found.__context__, found.__cause__) if e is not None)
