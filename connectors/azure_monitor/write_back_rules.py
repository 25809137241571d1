"""What Azure has to know of an alert's ticket. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from connectors.azure_monitor.settings import ASSIGNED, AlertStateSettings
from shared.core.link import Link, LinkStage
from shared.core.signal import RESOLVED_RANK

NEW, ACKNOWLEDGED, CLOSED = "New", "Acknowledged", "Closed"

#: Alerts live below a subscription; those of a tenant or management group cannot be told.
_ALERT = re.compile(
    r"/subscriptions/([^/]+)/(?:.+/)?providers/microsoft\.alertsmanagement/alerts/([^/]+)", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AlertId:
    """Where an alert lives, and its name: the last segment of its id."""

    subscription: str
    name: str


def alert_id(origin: str) -> AlertId | None:
    """Read the ARM id of an alert, None for anything else."""
    found = _ALERT.fullmatch(origin.rstrip("/"))
    return AlertId(found[1].lower(), found[2].lower()) if found else None


def wanted(link: Link, settings: AlertStateSettings, called: Collection[str]) -> str:
    """The state that the alert has to have, and the alert's name; empty when it need not be told anything.

    An alert is New by itself, so it becomes New only after it was something else. Another alert of the same problem
    begins anew.

    Args:
        link: of the alert's problem.
        settings: of the configuration.
        called: everything that the ticket's state may be called.
    """
    alert = alert_id(link.origin)
    if alert is None or link.ticket is None or link.stage is LinkStage.NONE:
        return ""
    over = link.latest is not None and link.latest[1] == RESOLVED_RANK and link.stage is not LinkStage.OPEN
    if over and not settings.ended:
        return ""
    is_now = {name.casefold() for name in called} | {link.stage.value}
    if link.stage is LinkStage.OPEN and link.owner:
        is_now.add(ASSIGNED)
    told, _, of = link.last_pushed.partition(" ")
    if _meets(settings.close, is_now):
        state = CLOSED
    elif _meets(settings.acknowledge, is_now):
        state = ACKNOWLEDGED
    elif told and of == alert.name:
        state = NEW
    else:
        return ""
    return f"{state} {alert.name}"


def _meets(conditions: Iterable[str], is_now: Collection[str]) -> bool:
    return any(condition.casefold() in is_now for condition in conditions)
