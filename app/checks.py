"""The check of connections and Microsoft's services: by whoever asks for it, an operator or the app itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from shared.core.plugins import SectionCheck
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused

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
        probe_writes: create and delete a test ticket on each connection; everything else changes nothing.

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
    names = [connection] if connection else [] if only == "sources" else known
    for name in names:
        lines = await services.system(name, budgeted=False).check(services.needs(name), probe_writes=probe_writes)
        yield SectionCheck(name, tuple(lines))
    if connection or only == "connections":
        return
    for section in await services.check_sources():
        yield section


def _refused(reason: RefusalReason, title: str, detail: str, close: tuple[str, ...] = ()) -> RequestRefused:
    return RequestRefused(reason, title, [RequestMistake("connection", detail, close)])
