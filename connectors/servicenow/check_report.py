"""Collects the lines of a connection check."""

from __future__ import annotations

from shared.core.errors import TicketSystemError
from shared.core.ticket_system import CheckLine, CheckStatus


class CheckReport:
    """Findings in the order in which they were made."""

    def __init__(self) -> None:
        self.findings: list[CheckLine] = []

    def has(self, name: str) -> bool:
        """Whether there is a line of that name."""
        return any(finding.name == name for finding in self.findings)

    def ok(self, name: str, detail: str) -> None:
        """It is as it should be."""
        self.findings.append(CheckLine(name, CheckStatus.OK, detail))

    def warning(self, name: str, detail: str, fix: str = "") -> None:
        """It works, or could not be tested, and somebody should look at it."""
        self.findings.append(CheckLine(name, CheckStatus.WARNING, detail, fix))

    def failed(self, name: str, detail: str, fix: str) -> None:
        """The bridge will not work as configured."""
        self.findings.append(CheckLine(name, CheckStatus.FAILED, detail, fix))

    def error(self, name: str, error: TicketSystemError) -> None:
        """A call failed."""
        said = f" (HTTP {error.status})" if error.status else ""
        said = f" (HTTP {error.status}: {error.upstream})" if error.status and error.upstream else said
        self.failed(name, f"{error.message}{said}", error.advice or "Look at what the instance says.")
