"""The part of a connection's check that is about its export: what may be read, and what would stay empty."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.errors import TicketSystemError
from shared.core.export import ExportsTickets
from shared.core.ticket_system import CheckLine, CheckStatus

if TYPE_CHECKING:
    from app.container import Container
    from shared.config.export import ExportSettings
    from shared.core.ticket_system import TicketKind

#: Tickets that are read for it.
_ROWS = 20


async def check_export(services: Container, connection: str) -> list[CheckLine]:
    """Read a few tickets of each kind as the export does, and ask for deletions; nothing is sent. No line for a
    connection that is not exported. Two calls for each kind.

    Raises ConfigurationError.
    """
    settings = services.config.connections[connection].export
    if settings is None:
        return []
    system = services.opened_systems.real_system(connection, budgeted=False)
    if not isinstance(system, ExportsTickets):
        fix = f"Take connections.{connection}.export out of bridge.yaml"
        return [CheckLine("export", CheckStatus.FAILED, "Tickets of this system cannot be exported", fix)]
    lines = []
    for kind in settings.ticket_kinds:
        try:
            lines.append(await _kind(system, kind, settings, services))
        except TicketSystemError as error:
            lines.append(CheckLine(f"export {kind.value}", CheckStatus.FAILED, error.message, error.advice))
    return lines


async def _kind(system: ExportsTickets, kind: TicketKind, settings: ExportSettings, services: Container) -> CheckLine:
    name, now = f"export {kind.value}", services.now()
    selection = settings.selection(now - timedelta(days=settings.days))
    page = await system.export_page(kind, selection, None, limit=_ROWS)
    if page.lacking:
        empty = ", ".join(sorted(page.lacking))
        fix = "Allow the integration user to read them, or take them out of 'fields' and 'more'"
        return CheckLine(name, CheckStatus.WARNING, f"No column is there, or shown, for {empty}: they stay empty", fix)
    seen = "Tickets can be read" if page.records else "Nothing is refused, and no ticket of these days is shown"
    if settings.tickets == "all" and await system.export_deleted(kind, now, limit=1) is None:
        fix = "Allow the integration user to read deleted records, or leave it: tickets of the bridge are looked for"
        return CheckLine(name, CheckStatus.OK, f"{seen}; which ones were deleted is not told", fix)
    return CheckLine(name, CheckStatus.OK, seen)
