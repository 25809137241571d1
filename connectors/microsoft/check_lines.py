"""Collects the lines about one subscription or tenant."""

from __future__ import annotations

from shared.core.errors import SourceError, SourceUnavailable
from shared.core.ticket_system import CheckLine, CheckStatus

_FIX = "Fix: "

#: What follows it in Entra's words is for Microsoft's support, and different each time.
_FOR_SUPPORT = " Trace ID:"
_LATER = "Check the network of this machine (firewall, proxy, DNS), and try again later."


class CheckLines:
    """Findings in the order in which they were made.

    Args:
        subject: what they are about; begins the name of each.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self.findings: list[CheckLine] = []

    def ok(self, what: str, detail: str) -> None:
        """It is as it should be."""
        self._add(what, CheckStatus.OK, detail, "")

    def warning(self, what: str, detail: str, fix: str = "") -> None:
        """It works, or could not be tested, and somebody should look at it."""
        self._add(what, CheckStatus.WARNING, detail, fix)

    def failed(self, what: str, detail: str, fix: str) -> None:
        """The bridge will not work as configured."""
        self._add(what, CheckStatus.FAILED, detail, fix)

    def error(self, what: str, error: SourceError, fix: str = "") -> None:
        """A call failed; the fix is the one given, or else the one that the error names."""
        detail, _, named = str(error).partition(_FIX)
        detail = detail.partition(_FOR_SUPPORT)[0]
        otherwise = _LATER if isinstance(error, SourceUnavailable) else "Look at what the service says."
        self.failed(what, detail.strip().rstrip("."), _sentence(fix or named or otherwise))

    def _add(self, what: str, verdict: CheckStatus, detail: str, fix: str) -> None:
        self.findings.append(CheckLine(f"{self._subject}: {what}", verdict, detail, fix))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "."
