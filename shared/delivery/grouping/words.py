"""The signals that a group speaks with. Pure."""

from __future__ import annotations

from dataclasses import replace

from shared.core.signal import Signal, SignalState
from shared.core.times import rfc3339
from shared.delivery.grouping.model import Group, GroupUpdate, communication_of

#: A head keeps this much of a description: its row has to fit into a table.
_DESCRIPTION = 4_000


def head_of(signal: Signal) -> Signal:
    """What a group remembers of the signal that began it."""
    return replace(signal, description=signal.description[:_DESCRIPTION], warnings=(), rows=None, rows_from="")


def speak(group: Group, said: GroupUpdate) -> Signal:
    """The group's signal: its head's content, with what is said of the group in place of the condition.

    ``details`` tell ``group_alerts``, ``group_firings``, ``group_on`` and ``group_resources`` for templates.
    """
    head = group.head
    text = account(group, said)
    first = group.said is None or said.order == (group.since, 0)
    resolved = said.state is SignalState.RESOLVED
    counts = {
        "group_alerts": str(said.alerts),
        "group_firings": str(said.firings),
        "group_on": str(said.on),
        "group_resources": str(said.resources),
    }
    alone = said.alerts <= 1 and said.firings <= 1 and not group.rules.summary
    title = head.title if said.state is not SignalState.UPDATED else text.split("\n", 1)[0]
    if group.rules.summary and said.state is SignalState.FIRED:
        title = group.rules.summary
    description = text if said.state is SignalState.UPDATED or group.rules.summary else head.description
    if not alone and said.state is SignalState.FIRED and not group.rules.summary:
        description = "\n\n".join(filter(None, (head.description, *said.news, text)))
    return replace(
        head,
        key=group.key,
        state=said.state,
        occurred_at=said.order[0],
        title=title,
        description=description,
        condition=head.condition if alone and first and not resolved else text,
        resolved_at=said.order[0] if resolved else None,
        opens=said.state is SignalState.FIRED,
        details={**head.details, **counts, **_written(group, said, text, first=first)},
        via=group.route,
        part_of="",
    )


def _written(group: Group, said: GroupUpdate, text: str, *, first: bool) -> dict[str, str]:
    """What the senders of the members write, in place of what the first of them wrote; else what the group counts."""
    if said.news:
        return {"communication": "\n\n".join(said.news)}
    return {"communication": text} if communication_of(group.head) and not first else {}


def account(group: Group, said: GroupUpdate) -> str:
    """How many alerts, on how many resources, and which are new; the first line is the sum."""
    lines = [_sum(said)]
    if said.new and (said.alerts > 1 or group.rules.summary):
        more = said.resources - len(said.new)
        listed = ", ".join(said.new)
        lines.append(f"Resources: {listed}{f' (of {said.resources})' if more > 0 else ''}")
    lines.append(f"Counted since {rfc3339(group.since)}.")
    return "\n".join(lines)


def _sum(said: GroupUpdate) -> str:
    alerts = f"{said.alerts} alert{'s' * (said.alerts != 1)}"
    again = f" ({said.firings} firings)" if said.firings > said.alerts else ""
    where = f" on {said.resources} resource{'s' * (said.resources != 1)}" if said.resources else ""
    still = "all are over" if not said.on else f"{said.on} still on" if said.on < said.alerts else "all still on"
    return f"{alerts} so far{again}{where}; {still}."
