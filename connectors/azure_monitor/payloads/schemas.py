"""Which schema is a payload of Azure Monitor? One ordered table; and the readers of the schemas with essentials.

Sources: Microsoft Learn, "Common alert schema"; Azure REST API specifications, Microsoft.AlertsManagement, "Alerts -
Get By Id".

The common alert schema has keys in any order and spelling; relays drop ``schemaId`` and wrap ``data`` once more. The
form of the AlertsManagement API, which polling and some documentation of smart detection have, holds the same fields
under other names; ``alertRule`` may be an id, a name or the address of an old portal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from connectors.azure_monitor.payloads.activity import read_activity
from connectors.azure_monitor.payloads.common import (
    KINDS,
    Essentials,
    add_portal_link,
    alert_builder,
    alert_key,
    begin,
    family_of,
    identify_test,
    is_test,
    log_series,
    read_essentials,
    severity,
    split_rule,
    state_of,
)
from connectors.azure_monitor.payloads.cost import read_aip_budget, read_budget
from connectors.azure_monitor.payloads.health import read_resource_health, read_service_health
from connectors.azure_monitor.payloads.log_alerts import read_flat_log, read_log_query, read_log_results
from connectors.azure_monitor.payloads.metric import read_metric
from connectors.azure_monitor.payloads.older_schemas import (
    read_activity_alert,
    read_autoscale,
    read_classic,
    read_metric_alert,
)
from connectors.azure_monitor.payloads.service_contexts import read_backup, read_prometheus, read_smart_detection
from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified
from shared.payloads.values import compact, cut, given, moment, object_of, raw_object, squash, text, texts

_LONGEST_CONTEXT = 2_000


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
    builder = alert_builder(KINDS[family], received_at)
    builder.origin = essentials.alert_id if essentials.managed_id else ""
    begin(builder, essentials)
    if family not in _OWN_STATE:
        builder.state = state_of(builder, essentials.monitor_condition)
    if family not in ("activity", *_OWN_STATE):
        builder.severity = severity(essentials.severity)
        if builder.severity is None and (unknown := given(essentials.severity)):
            builder.warn(f"The severity {unknown[:40]!r} is not known.")
    if family == "log_results" and builder.severity is None and not given(essentials.severity):
        builder.severity = severity(context.get("severitydescription"))
    READERS[family](builder, essentials, context)
    if family == "other" and context:
        builder.detail("context", cut(compact(raw_object(raw_context)), _LONGEST_CONTEXT))
    builder.prose.append(essentials.description)
    if family in _CUSTOM:
        builder.properties(context.get("properties"))
    builder.properties(custom)
    if is_test(essentials) or (builder.test and family == "budget"):
        identify_test(builder, essentials)
    elif not builder.key:
        event_id = given(context.get("eventdataid")) if family in ("activity", *_OWN_STATE) else ""
        builder.key = alert_key(essentials, event_id, builder.pairs)
        if family in ("log_query", "log_results"):
            builder.series = log_series(essentials, builder.pairs)
    return builder


def _data_of(body: Fields) -> Fields:
    """The object that holds essentials: ``data``, ``data.data`` or the body itself."""
    for _ in range(3):
        if "essentials" in body:
            return body
        body = object_of(body.get("data"))
    return body


def read_rest(body: Fields, received_at: datetime) -> Signal:
    """Read one alert of the API. Raises Unidentified when it has neither id nor rule."""
    properties = object_of(body.get("properties"))
    fields = object_of(properties.get("essentials"))
    rule, rule_id = split_rule(given(fields.get("alertrule")))
    target = given(fields.get("targetresource"))
    essentials = Essentials(
        alert_id=given(body.get("id")),
        rule=rule or _name_of(body),
        rule_id=rule_id,
        service=given(fields.get("monitorservice")) or given(fields.get("monitoringservice")),
        signal_type=given(fields.get("signaltype")),
        description=text(fields.get("description")),
        monitor_condition=given(fields.get("monitorcondition")),
        severity=fields.get("severity"),
        targets=[target] if target else [],
        items=texts(fields.get("targetresourcename")),
        fired_at=moment(fields.get("startdatetime")),
        resolved_at=moment(fields.get("monitorconditionresolveddatetime")),
    )
    context = properties.get("context")
    inner = object_of(context).get("context")  # some services wrap it once more
    builder = build(essentials, inner or context, properties.get("customproperties"), received_at)
    builder.detail("origin_alert_id", fields.get("sourcecreatedid"))
    builder.detail("alert_state", fields.get("alertstate"))
    builder.detail("target_resource_type", fields.get("targetresourcetype"))
    builder.detail("target_resource_group", fields.get("targetresourcegroup"))
    add_portal_link(builder, essentials)
    if essentials.resolved_at is not None and essentials.monitor_condition.lower() == "fired":
        builder.warn("The alert says Fired and has a resolved time; it is taken as fired.")
    return builder.finish()


def _name_of(body: Fields) -> str:
    """The alert's name where it is that of the rule; often it is just the last segment of the id."""
    name = given(body.get("name"))
    return "" if given(body.get("id")).lower().endswith(f"/{name.lower()}") else name


def _schema_is(name: str) -> Callable[[Fields], bool]:
    return lambda body: squash(body.get("schemaid")) == name


def _has_essentials(body: Fields) -> bool:
    if "essentials" in body:
        return True
    data = object_of(body.get("data"))
    return "essentials" in data or "essentials" in object_of(data.get("data"))


def _context_of(body: Fields) -> Fields:
    return object_of((object_of(body.get("data")) or body).get("context"))


def _is_flat_log(body: Fields) -> bool:
    fields = body if "alertrulename" in body else object_of(body.get("data"))
    return "alertrulename" in fields and any(name in fields for name in ("searchquery", "resultcount", "searchresult"))


#: The first test that holds wins. A schemaId tells most payloads apart.
SCHEMAS: tuple[PayloadSchema, ...] = (
    PayloadSchema("an alert of the common schema", _schema_is("azuremonitorcommonalertschema"), read_common),
    PayloadSchema("an alert of the common schema", _has_essentials, read_common),
    PayloadSchema("a metric alert", _schema_is("azuremonitormetricalert"), read_metric_alert),
    PayloadSchema("an activity log alert", _schema_is("microsoftinsightsactivitylogs"), read_activity_alert),
    PayloadSchema("a log alert", _schema_is("microsoftinsightslogalert"), read_flat_log),
    PayloadSchema("a budget notification", _schema_is("aipbudgetnotification"), read_aip_budget),
    PayloadSchema(
        "an alert of the AlertsManagement API",
        lambda body: "essentials" in object_of(body.get("properties")),
        read_rest,
    ),
    # relays lose schemaId: the shape tells
    PayloadSchema("a log alert", _is_flat_log, read_flat_log),
    PayloadSchema("an activity log alert", lambda body: "activitylog" in _context_of(body), read_activity_alert),
    PayloadSchema(
        "an autoscale notification",
        lambda body: squash(body.get("operation")) in ("scalein", "scaleout") and "context" in body,
        read_autoscale,
    ),
    PayloadSchema(
        "a metric alert",
        lambda body: "allof" in object_of(_context_of(body).get("condition")),
        read_metric_alert,
    ),
    PayloadSchema(
        "a classic metric alert",
        lambda body: "status" in body and "condition" in object_of(body.get("context")),
        read_classic,
    ),
    PayloadSchema(
        "a budget notification",
        lambda body: {"budgetname", "notificationthresholdamount"} <= object_of(body.get("data")).keys(),
        read_aip_budget,
    ),
)
