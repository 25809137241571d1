"""Runs the checks of every section that the configuration has, side by side, each within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from connectors.azure_monitor.check import AlertChecks
from connectors.defender.check import FindingChecks
from connectors.defender.poll.tenants import tenant_of
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.identities import CloudEndpoints, Identities
from connectors.secure_score.check import ScoreChecks
from connectors.secure_score.tenants import ScoreTenants
from shared.config.model import BridgeConfig
from shared.core.clouds import CloudName
from shared.core.errors import SourceError
from shared.core.secrets import SecretSource
from shared.core.ticket_system import CheckLine

#: One subscription or tenant; a call alone may take a minute.
MOST_TIME = timedelta(seconds=60)

#: Subscriptions and tenants that are looked at together.
_TOGETHER = 8

_OWN = "own"


@dataclass(frozen=True, slots=True)
class SectionCheck:
    """What came of one section of the configuration: its name, and its lines, subject by subject."""

    name: str
    findings: tuple[CheckLine, ...]


@dataclass(frozen=True, slots=True)
class _Task:
    section: str
    subject: str
    work: Callable[[CheckLines], Awaitable[None]]


async def check_sources(
    config: BridgeConfig,
    secrets: SecretSource,
    reach: CloudEndpoints | None,
    *,
    now: Callable[[], datetime],
    most: timedelta = MOST_TIME,
) -> list[SectionCheck]:
    """Look at all that the configuration asks of Microsoft's services; what fails with one hides none of the others.

    Args:
        config: whole.
        secrets: gives client secrets and certificates.
        reach: instead of the configured clouds.
        now: the clock.
        most: time for each subscription or tenant.

    Returns: the sections that there are, in the order reconcile, resync.alerts, defender, secure_score.
    """
    async with AsyncExitStack() as stack:
        turns = asyncio.Semaphore(_TOGETHER)
        tasks = list(_tasks(config, secrets, reach, now, stack))
        found = await asyncio.gather(*(_one(task, turns, most) for task in tasks))
        sections: dict[str, list[CheckLine]] = {}
        for task, lines in zip(tasks, found, strict=True):
            sections.setdefault(task.section, []).extend(lines)
    return [SectionCheck(name, tuple(lines)) for name, lines in sections.items()]


async def _one(task: _Task, turns: asyncio.Semaphore, most: timedelta) -> list[CheckLine]:
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


def _tasks(
    config: BridgeConfig,
    secrets: SecretSource,
    reach: CloudEndpoints | None,
    now: Callable[[], datetime],
    stack: AsyncExitStack,
) -> Iterator[_Task]:
    """The subjects of each section."""
    made: dict[CloudName, Identities] = {}

    def identities(cloud: CloudName) -> Identities:
        if cloud not in made:
            made[cloud] = Identities(cloud, secrets, reach)
            stack.push_async_callback(made[cloud].aclose)
        return made[cloud]

    listed = config.reconcile
    if listed is not None:
        alerts = AlertChecks(identities(listed.cloud), now)
        for one in listed.subscriptions:
            yield _Task("reconcile", one.id, partial(alerts.listed, one.id, one.sign_in))
    told = config.resync.alerts
    if told is not None and config.resync.enabled:
        cloud = told.cloud or (listed.cloud if listed is not None else "public")
        alerts = AlertChecks(identities(cloud), now)
        if listed is None:
            yield _Task("resync.alerts", _OWN, alerts.told_unlisted)
        for one in listed.subscriptions if listed is not None else ():
            yield _Task("resync.alerts", one.id, partial(alerts.told, one.id, one.sign_in))
    defender = config.defender
    if defender is not None:
        findings = FindingChecks(defender, identities(defender.cloud))
        for place, entry in enumerate(defender.tenants):
            twins = sum(tenant_of(other) == tenant_of(entry) for other in defender.tenants[:place])
            subject = f"{tenant_of(entry) or _OWN}{f' ({twins + 1})' if twins else ''}"
            yield _Task("defender", subject, partial(findings.tenant, entry))
    scores = config.secure_score
    if scores is not None:
        tenants = ScoreTenants(scores, secrets, reach)
        stack.push_async_callback(tenants.aclose)
        checks = ScoreChecks(scores, tenants, now)
        for tenant in scores.tenants:
            yield _Task("secure_score", tenant.id or _OWN, partial(checks.tenant, tenant))
