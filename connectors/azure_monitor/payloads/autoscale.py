"""Autoscale notifications: not alerts, but sent to the same endpoints.

Source: Microsoft Learn, "Use autoscale to send email and webhook alert notifications". All events of one autoscale
setting on one resource share a key, so that a scale-in is a note on the ticket of the scale-out.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.essentials import rule_name
from connectors.azure_monitor.payloads.noncommon import set_state
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key
from shared.payloads.resources import canonical
from shared.payloads.text import Fields, given, line, object_of, text


def read_autoscale(body: Fields, received_at: datetime) -> Signal:
    """Read an autoscale notification. Raises Unidentified when it names neither setting nor resource."""
    context = object_of(body.get("context"))
    setting = given(context.get("id"))
    resource = given(context.get("resourceid")) or given(context.get("resourcename"))
    name = given(context.get("name")) or rule_name(setting)
    if not (name or resource):
        raise Unidentified("it names neither its setting nor a resource")
    builder = SignalBuilder(kind="autoscale", received_at=received_at)
    builder.rule, builder.rule_id = name, setting
    set_state(builder, body.get("status"), context.get("timestamp"))
    operation = line(given(body.get("operation")))
    old, new = given(context.get("oldcapacity")), given(context.get("newcapacity"))
    builder.detail("operation", operation)
    builder.detail("status", body.get("status"))
    builder.detail("old_instances", old)
    builder.detail("new_instances", new)
    builder.detail("region", context.get("resourceregion"))
    said = f" from {old} to {new} instances" if old and new else ""
    builder.condition = f"{operation or 'Scaling'}{said}"
    builder.heading = f"{operation or 'Autoscale'} by {name}" if name else operation or "Autoscale"
    builder.prose.append(text(context.get("details")))
    builder.resources.add(resource)
    builder.properties(body.get("properties"))
    builder.link("portal", context.get("portallink"))
    builder.key = make_key("autoscale", canonical(setting) or name, canonical(resource))
    return builder.finish()
