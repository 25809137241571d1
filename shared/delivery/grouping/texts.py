"""The signals that update the ticket of a group. Pure."""

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


def group_signal(group: Group, update: GroupUpdate) -> Signal:
    """The group's signal: its head's content, with the update in place of the condition.

    ``details`` tell ``group_alerts``, ``group_firings``, ``group_on`` and ``group_resources`` for templates.
    """
    head = group.head
    text = group_text(group, update)
    first = group.last_update is None or update.order == (group.since, 0)
    resolved = update.state is SignalState.RESOLVED
    counts = {
        "group_alerts": str(update.alerts),
        "group_firings": str(update.firings),
        "group_on": str(update.on),
        "group_resources": str(update.resources),
    }
    alone = update.alerts <= 1 and update.firings <= 1 and not group.rules.summary
    title = head.title if update.state is not SignalState.UPDATED else text.split("\n", 1)[0]
    if group.rules.summary and update.state is SignalState.FIRED:
        title = group.rules.summary
    description = text if update.state is SignalState.UPDATED or group.rules.summary else head.description
    if not alone and update.state is SignalState.FIRED and not group.rules.summary:
        description = "\n\n".join(filter(None, (head.description, *update.new_texts, text)))
    return replace(
        head,
        key=group.key,
        state=update.state,
        occurred_at=update.order[0],
        title=title,
        description=description,
        condition=head.condition if alone and first and not resolved else text,
        resolved_at=update.order[0] if resolved else None,
        opens=update.state is SignalState.FIRED,
        details={**head.details, **counts, **_written(group, update, text, first=first)},
        via=group.route,
        part_of="",
    )


def _written(group: Group, update: GroupUpdate, text: str, *, first: bool) -> dict[str, str]:
    """What the senders of the members write, in place of what the first of them wrote; else what the group counts."""
    if update.new_texts:
        return {"communication": "\n\n".join(update.new_texts)}
    return {"communication": text} if communication_of(group.head) and not first else {}


def group_text(group: Group, update: GroupUpdate) -> str:
    """How many alerts, on how many resources, and which are new; the first line is the sum."""
    lines = [_sum(update)]
    if update.new and (update.alerts > 1 or group.rules.summary):
        more = update.resources - len(update.new)
        listed = ", ".join(update.new)
        lines.append(f"Resources: {listed}{f' (of {update.resources})' if more > 0 else ''}")
    lines.append(f"Counted since {rfc3339(group.since)}.")
    return "\n".join(lines)


def _sum(update: GroupUpdate) -> str:
    alerts = f"{update.alerts} alert{'s' * (update.alerts != 1)}"
    again = f" ({update.firings} firings)" if update.firings > update.alerts else ""
    where = f" on {update.resources} resource{'s' * (update.resources != 1)}" if update.resources else ""
    still = (
        "all are over" if not update.on else f"{update.on} still on" if update.on < update.alerts else "all still on"
    )
    return f"{alerts} so far{again}{where}; {still}."
