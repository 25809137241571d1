"""Collects the lines of a connection check."""

from __future__ import annotations

from shared.core.errors import TicketSystemError
from shared.core.ticket_system import CheckLine, CheckStatus


class CheckReport:
    """Lines in the order in which they were added."""

    def __init__(self) -> None:
        self.lines: list[CheckLine] = []

    def has(self, name: str) -> bool:
        """Whether there is a line of that name."""
        return any(line.name == name for line in self.lines)

    def is_ok(self, name: str) -> bool:
        """Whether the line of that name passed; False where there is none."""
        return any(line.name == name and line.verdict is CheckStatus.OK for line in self.lines)

    def replace_failed(self, name: str, detail: str, fix: str) -> None:
        """Make the line of that name a failure, in its place."""
        failed = CheckLine(name, CheckStatus.FAILED, detail, fix)
        self.lines = [failed if line.name == name else line for line in self.lines]

    def ok(self, name: str, detail: str) -> None:
        """The test passed."""
        self.lines.append(CheckLine(name, CheckStatus.OK, detail))

    def warning(self, name: str, detail: str, fix: str = "") -> None:
        """It works, or could not be tested, and a person should look at it."""
        self.lines.append(CheckLine(name, CheckStatus.WARNING, detail, fix))

    def failed(self, name: str, detail: str, fix: str) -> None:
        """The bridge will not work as configured."""
        self.lines.append(CheckLine(name, CheckStatus.FAILED, detail, fix))

    def error(self, name: str, error: TicketSystemError) -> None:
        """A call failed."""
        status = f" (HTTP {error.status})" if error.status else ""
        if error.status and error.upstream:
            status = f" (HTTP {error.status}: {error.upstream})"
        self.failed(name, f"{error.message}{status}", error.advice or "Look at what the instance says.")
