"""Alerts in the form of the AlertsManagement REST API, as polling and some documentation of smart detection have them.

Source: Azure REST API specifications, Microsoft.AlertsManagement, "Alerts - Get By Id". The same fields as in the
common schema under other names; ``alertRule`` may be an id, a name or the address of an old portal.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.common import build
from connectors.azure_monitor.payloads.essentials import Essentials, add_portal_link, split_rule
from shared.core.signal import Signal
from shared.payloads.text import Fields, given, object_of, text, texts
from shared.payloads.times import moment


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
