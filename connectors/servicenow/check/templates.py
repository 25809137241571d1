"""Checks a template that routes name."""

from __future__ import annotations

from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.templates import TABLE, Templates
from shared.core.errors import TicketSystemError
from shared.core.ticket_system import LeftOut, TicketKind


async def check_template(templates: Templates, kind: TicketKind, name: str, report: CheckReport) -> None:
    """Add the line of one template: whether it can be read, and whether all of it can be used."""
    line = f"{kind.value}: template {name}"
    try:
        found = await templates.find(kind, name)
    except TicketSystemError as error:
        report.error(line, error)
        return
    if isinstance(found, LeftOut):
        report.failed(
            line,
            f"{found}; tickets would be made without it",
            f"Correct 'template' of the route, or let the integration user read {TABLE}: an active template of the "
            f"table {kind.value}, or a global one, that is not of one user or group.",
        )
    elif found.left_out:
        report.warning(
            line,
            f"sets {', '.join(found.fields) or 'nothing'}; left out: {'; '.join(map(str, found.left_out))}",
            "Set these fields in the route, or take them out of the template.",
        )
    else:
        report.ok(line, f"sets {', '.join(found.fields) or 'nothing'}")
