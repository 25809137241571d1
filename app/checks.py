"""The check of connections and Microsoft's services: by whoever asks for it, an operator or the app itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from app import sources
from app.export_checks import check_export
from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.plugins import SectionCheck
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_system import CheckLine, CheckStatus
from shared.operations.standing_warnings import standing_warnings

if TYPE_CHECKING:
    from app.container import Container

#: What is checked.
ChecksOf = Literal["all", "connections", "sources"]


async def run_checks(
    services: Container, *, connection: str = "", only: ChecksOf = "all", probe_writes: bool = False
) -> AsyncIterator[SectionCheck]:
    """Check what the configuration uses, with the identity and the network of this process.

    Args:
        services: the services.
        connection: only this one.
        only: only the connections, or only Microsoft's services.
        probe_writes: create and delete a test ticket on each connection. Otherwise nothing changes, but that the log
            store gets one row.

    Raises:
        RequestRefused: there is no such connection, or a connection goes with ``only: sources``.
        ConfigurationError: the configuration cannot be used.
    """
    known = sorted(services.config.connections)
    if connection and only == "sources":
        raise _refused(RefusalReason.INVALID, "Invalid request", "Give either a connection or only: sources.")
    if connection and connection not in known:
        close = tuple(get_close_matches(connection[:80], known, n=3, cutoff=0.5))
        detail = f"There is no connection '{connection[:80]}'; known: {', '.join(known)}."
        raise _refused(RefusalReason.NOT_FOUND, "Unknown connection", detail, close)
    if not connection and only == "all":
        for section in (await _bridge(services), await _configuration(services), await _credentials(services)):
            if section.lines:
                yield section
    names = [connection] if connection else [] if only == "sources" else known
    for name in names:
        needs = sources.with_owners(services.sources, name, services.mapper.needs(name))
        lines = await services.system(name, budgeted=False).check(needs, probe_writes=probe_writes)
        yield SectionCheck(name, (*lines, *await check_export(services, name)))
    if connection or only == "connections":
        return
    for section in (*await sources.check(services.sources), *await services.exports.check()):
        yield section


async def _bridge(services: Container) -> SectionCheck:
    """Whether the app that works on this storage is well, and whether Azure calls its functions. Nothing is said where
    no storage is configured: a check of the connections needs none."""
    report = await services.health_report()
    if report.status == "unavailable":
        return SectionCheck("bridge", ())
    lines = [CheckLine(one.code, CheckStatus.WARNING, one.text, one.advice) for one in report.reasons]
    if not lines:
        calls = "Azure calls its functions, and nothing waits too long"
        lines.append(CheckLine("health", CheckStatus.OK, calls))
    return SectionCheck("bridge", tuple(lines))


async def _configuration(services: Container) -> SectionCheck:
    """What in the configuration has no effect or is switched off, and traps that signals showed lately."""
    said = [*standing_warnings(services.config), *services.config_warnings]
    lines = [CheckLine("bridge.yaml", CheckStatus.WARNING, *_with_fix(text)) for text in said]
    with contextlib.suppress(StorageUnavailable, ConfigurationError):  # a check needs no storage
        lines += [CheckLine(one.code, CheckStatus.WARNING, one.text, one.fix) for one in await services.traps.read()]
    return SectionCheck("configuration and traps", tuple(lines))


async def _credentials(services: Container) -> SectionCheck:
    """Until when each secret, certificate and log-in lasts, read now; those without an end in one line."""
    from app.credentials import look
    from shared.operations.credentials import UNWELL, step_of, until

    now, lines, without = services.now(), [], []
    found, unread = await look(services)
    for one in found:
        if one.problem:
            lines.append(CheckLine(one.name, CheckStatus.WARNING, *_with_fix(one.problem)))
        if one.ends is None:
            without += [] if one.problem else [one.name]
            continue
        step = step_of(one.ends, now)
        verdict = CheckStatus.OK if step is None else CheckStatus.FAILED if step == 0 else CheckStatus.WARNING
        health = ", and health says so" if step is not None and step <= UNWELL else ""
        detail = f"{one.title} {until(one.ends, now)}{health}"
        lines.append(CheckLine(one.name, verdict, detail, "" if step is None else one.advice))
    if without:
        fix = "Store them in a key vault with an expiry date (exp), so that the bridge warns before it"
        lines.append(CheckLine("without an end", CheckStatus.OK, f"No end is known of: {', '.join(without)}", fix))
    lines += [CheckLine(name, CheckStatus.WARNING, "How it logs in could not be read now") for name in unread]
    return SectionCheck("credentials", tuple(lines))


def _with_fix(text: str) -> tuple[str, str]:
    said, _, fix = text.partition(". Fix: ")
    return said, fix


def _refused(reason: RefusalReason, title: str, detail: str, close: tuple[str, ...] = ()) -> RequestRefused:
    return RequestRefused(reason, title, [RequestMistake("connection", detail, close)])
