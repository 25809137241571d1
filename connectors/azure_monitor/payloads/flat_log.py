"""Log alerts V1 without the common schema: flat for Log Analytics, one level down for Application Insights.

Source: Microsoft Learn, "Webhook actions for log alert rules", payloads up to API version 2018-04-16. They name no
occurrence and never resolve: the key is the rule in its workspace or application, with its dimensions. The end of the
search interval is the closest to a firing time.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.essentials import Essentials, is_test
from connectors.azure_monitor.payloads.log_results import read_log_results
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key, series
from shared.payloads.resources import canonical
from shared.payloads.severity import severity
from shared.payloads.text import Fields, given, object_of, text
from shared.payloads.times import moment


def read_flat_log(body: Fields, received_at: datetime) -> Signal:
    """Read a log alert V1, its fields at the top or in ``data``. Raises Unidentified when it names no rule."""
    fields = body if "alertrulename" in body else object_of(body.get("data"))
    rule = given(fields.get("alertrulename"))
    if not rule:
        raise Unidentified("it names no rule (AlertRuleName)")
    resource, subscription = given(fields.get("resourceid")), given(fields.get("subscriptionid"))
    builder = SignalBuilder(kind="log", received_at=received_at)
    builder.rule = rule
    builder.severity = severity(fields.get("severity"))
    builder.fired_at = moment(fields.get("searchintervalendtimeutc"))
    essentials = Essentials(rule=rule, targets=[resource] if resource else [])
    read_log_results(builder, essentials, fields)
    if builder.resources.vague and subscription:
        builder.resources.add(f"/subscriptions/{subscription}")
    builder.prose.append(text(fields.get("description")))
    builder.test = is_test(essentials)
    where = given(fields.get("workspaceid")) or given(fields.get("applicationid")) or subscription
    builder.key = make_key("log", rule, where or canonical(resource), series(builder.pairs))
    return builder.finish()
