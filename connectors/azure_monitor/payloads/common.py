"""The common alert schema: essentials, then the context by its kind.

Source: Microsoft Learn, "Common alert schema". Keys come in any order and spelling; relays drop ``schemaId`` and wrap
``data`` once more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from connectors.azure_monitor.payloads.activity import read_activity
from connectors.azure_monitor.payloads.backup import read_backup
from connectors.azure_monitor.payloads.cost import read_budget
from connectors.azure_monitor.payloads.essentials import (
    Essentials,
    add_portal_link,
    alert_key,
    begin,
    read_essentials,
    state_of,
)
from connectors.azure_monitor.payloads.family import KINDS, family_of
from connectors.azure_monitor.payloads.log_query import read_log_query
from connectors.azure_monitor.payloads.log_results import read_log_results
from connectors.azure_monitor.payloads.metric import read_metric
from connectors.azure_monitor.payloads.prometheus import read_prometheus
from connectors.azure_monitor.payloads.resource_health import read_resource_health
from connectors.azure_monitor.payloads.service_health import read_service_health
from connectors.azure_monitor.payloads.smart_detection import read_smart_detection
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified
from shared.payloads.severity import severity
from shared.payloads.text import Fields, compact, cut, given, object_of, raw_object

_CONTEXT = 2_000


def _read_other(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """An alert of a service that is not known. :func:`build` keeps its context as it is."""
    del context
    builder.resources.add_all(essentials.targets)
    builder.resources.add_all(essentials.items)


ContextReader = Callable[[SignalBuilder, Essentials, Fields], None]

READERS: dict[str, ContextReader] = {
    "metric": read_metric,
    "log_query": read_log_query,
    "log_results": read_log_results,
    "activity": read_activity,
    "service_health": read_service_health,
    "resource_health": read_resource_health,
    "prometheus": read_prometheus,
    "smart_detection": read_smart_detection,
    "budget": read_budget,
    "backup": read_backup,
    "other": _read_other,
}

#: Families whose readers find the state themselves: monitorCondition says Fired whatever happened.
_OWN_STATE = frozenset({"service_health", "resource_health"})

#: Families whose ``alertContext.properties`` are custom properties; elsewhere they are the event.
_CUSTOM = frozenset({"metric", "log_query", "log_results", "other"})


def read_common(body: Fields, received_at: datetime) -> Signal:
    """Read a body of the common alert schema, ``data`` wrapped once or twice or not at all.

    Raises:
        Unidentified: essentials are missing, or identify nothing.
    """
    data = _data_of(body)
    fields = object_of(data.get("essentials"))
    if not fields:
        raise Unidentified("it has no essentials")
    essentials = read_essentials(fields)
    builder = build(essentials, data.get("alertcontext"), data.get("customproperties"), received_at)
    builder.detail("origin_alert_id", fields.get("originalertid"))
    builder.detail("target_resource_type", fields.get("targetresourcetype"))
    builder.detail("target_resource_group", fields.get("targetresourcegroup") or fields.get("resourcegroupname"))
    builder.detail("region", fields.get("region"))
    builder.link("investigation", fields.get("investigationlink"))
    add_portal_link(builder, essentials)
    if essentials.resolved_at is not None and essentials.monitor_condition.lower() == "fired":
        builder.warn("The alert says Fired and has a resolvedDateTime; it is taken as fired.")
    return builder.finish()


def build(essentials: Essentials, raw_context: object, custom: object, received_at: datetime) -> SignalBuilder:
    """Fill a builder from essentials, context and custom properties as sent; also for the AlertsManagement form."""
    context = object_of(raw_context)
    family = family_of(essentials.service, essentials.signal_type, context)
    builder = SignalBuilder(kind=KINDS[family], received_at=received_at)
    builder.origin = essentials.alert_id if essentials.managed_id else ""
    begin(builder, essentials)
    if family not in _OWN_STATE:
        builder.state = state_of(builder, essentials.monitor_condition)
    if family not in ("activity", *_OWN_STATE):
        builder.severity = severity(essentials.severity)
        if builder.severity is None and (said := given(essentials.severity)):
            builder.warn(f"The severity {said[:40]!r} is not known.")
    if family == "log_results" and builder.severity is None and not given(essentials.severity):
        builder.severity = severity(context.get("severitydescription"))
    READERS[family](builder, essentials, context)
    if family == "other" and context:
        builder.detail("context", cut(compact(raw_object(raw_context)), _CONTEXT))
    builder.prose.append(essentials.description)
    if family in _CUSTOM:
        builder.properties(context.get("properties"))
    builder.properties(custom)
    if not builder.key:
        event_id = given(context.get("eventdataid")) if family in ("activity", *_OWN_STATE) else ""
        builder.key = alert_key(essentials, event_id, builder.pairs)
    return builder


def _data_of(body: Fields) -> Fields:
    """The object that holds essentials: ``data``, ``data.data`` or the body itself."""
    for _ in range(3):
        if "essentials" in body:
            return body
        body = object_of(body.get("data"))
    return body
