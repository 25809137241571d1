"""The section ``resync``: what people do with tickets comes back. Its docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from shared.core.clouds import CloudName
from shared.core.settings import Duration, SettingsModel

if TYPE_CHECKING:
    from connectors.servicenow.settings import ServiceNowSettings

#: Words that stand for more than one state.
PHASES = ("open", "resolved", "closed")
ASSIGNED = "assigned"

#: What a ticket has to be for its alert to be acknowledged, or closed.
StateCondition = Annotated[str, Field(pattern=r"^[^\^\r\n]{1,80}$")]


class AlertStateSettings(SettingsModel):
    """States of tickets that Azure's alerts follow. See docs/resync.md."""

    acknowledge: tuple[StateCondition, ...] = (
        ASSIGNED,
        "In Progress",
        "On Hold",
        "Root Cause Analysis",
        "Fix in Progress",
        "Implement",
    )
    """Tickets whose alert becomes Acknowledged: ``assigned`` (open, and somebody works on it), a phase (``open``,
    ``resolved``, ``closed``), or a state by its name on the connection or its stored value."""
    close: tuple[StateCondition, ...] = ("resolved", "closed")
    """Tickets whose alert becomes Closed; written as for ``acknowledge``, and it goes before it."""
    ended: bool = False
    """Whether alerts are told too whose problem ended by itself, so that the bridge resolved the ticket. Azure shows
    their condition as Resolved in any case."""
    comment: bool = True
    """Whether the alert's history names the ticket: number, state and link."""
    cloud: CloudName | None = None
    """Cloud of the alerts: ``public``, ``us_government`` or ``china``. Left out: that of ``reconcile``, else
    public."""


class ResyncSettings(SettingsModel):
    """What people do with the tickets: states, owners and due dates come back, and go on to where the tickets came
    from."""

    enabled: bool = True
    """Whether ticket systems are asked at all. The bridge learns of changes otherwise only when it writes a ticket."""
    every: Annotated[Duration, Field(ge=timedelta(minutes=5), le=timedelta(days=1))] = timedelta(minutes=5)
    """How often each connection is asked what changed: one call for each kind of ticket. The timer runs every five
    minutes."""
    full_check_every: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=30))] = timedelta(days=1)
    """How often every open or resolved ticket is looked for: one call for each hundred. It finds those that were
    deleted."""
    page_size: Annotated[int, Field(ge=10, le=1000)] = 500
    """Tickets that are asked for in one call."""
    alerts: AlertStateSettings | None = None
    """Acknowledges and closes the alerts of Azure Monitor whose tickets people work on or resolve. Left out: Azure is
    told nothing."""


def unknown_states(
    resync: ResyncSettings, connections: Mapping[str, ServiceNowSettings]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Conditions that no connection has a state for, by their place in the file, with the fix."""
    if resync.alerts is None:
        return
    known = {word: word for word in (*PHASES, ASSIGNED)}
    for settings in connections.values():
        states = settings.states
        for kind in (states.incident, states.problem, states.change_request):
            known |= {name.casefold(): name for name in (kind.shipped | kind.names).values()}
            known |= {value: value for value in kind.shipped | kind.names}
    for name in ("acknowledge", "close"):
        if name not in resync.alerts.model_fields_set:
            continue
        for place, text in enumerate(getattr(resync.alerts, name)):
            if text.casefold() not in known:
                names = {name for word, name in known.items() if not word.lstrip("-").isdecimal()}
                offered = ", ".join(sorted(names, key=str.casefold))
                yield (
                    ("resync", "alerts", name, place),
                    f"no connection has a state '{text}'. Fix: write one of {offered}, a stored value, or add it to "
                    "states.names of its connection",
                )
