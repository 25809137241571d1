"""Runs the checks of Microsoft's services side by side, each within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connectors.microsoft.check_lines import CheckLines
from shared.core.errors import SourceError
from shared.core.plugins import SectionCheck
from shared.core.ticket_system import CheckLine

#: Subscriptions and tenants that are checked at the same time.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class CheckTask:
    """The check of one subject: a subscription or tenant of a section of bridge.yaml."""

    section: str
    subject: str
    work: Callable[[CheckLines], Awaitable[None]]


async def run_checks(tasks: Sequence[CheckTask], most: timedelta) -> list[SectionCheck]:
    """Run all checks; what fails with one hides none of the others.

    Args:
        tasks: in the order of the answer.
        most: time for each.

    Returns:
        One item per section.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    found = await asyncio.gather(*(_one(task, turns, most) for task in tasks))
    sections: dict[str, list[CheckLine]] = {}
    for task, lines in zip(tasks, found, strict=True):
        sections.setdefault(task.section, []).extend(lines)
    return [SectionCheck(name, tuple(lines)) for name, lines in sections.items()]


async def _one(task: CheckTask, turns: asyncio.Semaphore, most: timedelta) -> list[CheckLine]:
    lines = CheckLines(task.subject)
    async with turns:
        try:
            async with asyncio.timeout(most.total_seconds()):
                await task.work(lines)
        except TimeoutError:
            lines.failed(
                "time",
                f"the rest was given up after {most.total_seconds():.0f} s without an answer",
                "Check the network of this machine (firewall, proxy, DNS), and try again later.",
            )
        except SourceError as error:
            lines.error("check", error)
    return lines.findings
