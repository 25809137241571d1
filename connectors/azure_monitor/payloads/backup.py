"""Azure Backup: alerts of a vault about a protected item.

Source: Microsoft Learn, "Monitor Azure Backup using Azure Monitor" and alerts seen in the field. The target is the
vault; the machine that is not backed up stands in ``linkedResourceId``.
"""

from __future__ import annotations

from connectors.azure_monitor.payloads.essentials import Essentials
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import make_key
from shared.payloads.markup import plain
from shared.payloads.resources import canonical
from shared.payloads.text import Fields, given, line, object_of, text


def read_backup(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a backup alert says. ``context`` is the folded alertContext."""
    more = object_of(context.get("extendedinfo"))
    builder.detail("category", context.get("category"))
    builder.detail("workload", given(context.get("formattedsourcetype")) or context.get("sourcetype"))
    builder.detail("protected_item", context.get("protecteditemid"))
    builder.detail("job_id", more.get("jobid"))
    builder.detail("occurrences", more.get("occurrencecount"))
    for name, words in (("possible_causes", "Possible causes"), ("recommended_actions", "Recommended actions")):
        said = plain(text(more.get(name.replace("_", ""))))
        builder.detail(name, said)
        if name in builder.details:
            builder.prose.append(f"{words}: {said}")
    resources = builder.resources
    resources.add(context.get("linkedresourceid"))
    if resources.vague:
        resources.add(context.get("linkedresourcename"))
    if resources.vague:
        resources.add_all(context.get("affecteditems"))
    if resources.vague:
        resources.add(context.get("protecteditemid"))
    resources.add_all(essentials.targets)
    resources.add_all(essentials.items)
    builder.condition = _say(builder, essentials, context)
    item = given(context.get("protecteditemid")) or given(context.get("sourceid"))
    if not essentials.alert_id and item:
        builder.key = make_key("backup", canonical(item), essentials.rule)


def _say(builder: SignalBuilder, essentials: Essentials, context: Fields) -> str:
    what = line(essentials.rule) or "Backup alert"
    workload = builder.details.get("workload", "")
    name = given(context.get("linkedresourcename"))
    said = what + (f" of {workload}" if workload else "") + (f" on {name}" if name else "")
    occurrences = builder.details.get("occurrences", "")
    return f"{said}, {occurrences} occurrences" if occurrences not in ("", "0", "1") else said
