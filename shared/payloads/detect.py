"""Which schema is a body? One ordered table; the first test that holds wins.

A new source is one module with a reader, and one row here. Readers take the body with folded keys and the time of
receipt, and raise Unidentified when the body does not say what it is about.

The alerts of Azure Monitor come first and are told apart by their schemaId; every other source is looked at only
where none of them fits, and its readers are imported when the first of its bodies comes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from connectors.azure_monitor.payloads.autoscale import read_autoscale
from connectors.azure_monitor.payloads.classic import read_classic
from connectors.azure_monitor.payloads.common import read_common
from connectors.azure_monitor.payloads.cost import read_aip_budget
from connectors.azure_monitor.payloads.flat_log import read_flat_log
from connectors.azure_monitor.payloads.noncommon import read_activity_alert, read_metric_alert
from connectors.azure_monitor.payloads.rest import read_rest
from shared.core.signal import Signal
from shared.payloads.text import Fields, given, object_of, squash

PayloadReader = Callable[[Fields, datetime], Signal]


class PayloadSchema(NamedTuple):
    """One schema: what a payload of it is called, how it is recognised by folded keys, and who reads it."""

    name: str
    test: Callable[[Fields], bool]
    read: PayloadReader


def _schema_is(name: str) -> Callable[[Fields], bool]:
    return lambda body: squash(body.get("schemaid")) == name


def _common(body: Fields) -> bool:
    if "essentials" in body:
        return True
    data = object_of(body.get("data"))
    return "essentials" in data or "essentials" in object_of(data.get("data"))


def _context(body: Fields) -> Fields:
    return object_of((object_of(body.get("data")) or body).get("context"))


def _flat_log(body: Fields) -> bool:
    fields = body if "alertrulename" in body else object_of(body.get("data"))
    return "alertrulename" in fields and any(name in fields for name in ("searchquery", "resultcount", "searchresult"))


def _type(body: Fields) -> str:
    return given(body.get("type")).lower()


def _sub_assessment(body: Fields) -> bool:
    return (
        "subassessmenteventdataenrichment" in body
        or _type(body) == "microsoft.security/assessments/subassessments"
        or given(body.get("$type")).lower() == "subassessmentevent"
    )


def _assessment(body: Fields) -> bool:
    type_ = _type(body)
    if type_ == "microsoft.security/assessments":
        return True
    # the export wraps other things in these objects too: their type tells
    return not type_ and ("assessmenteventdataenrichment" in body or "securityeventdataenrichment" in body)


def _security_alert(body: Fields) -> bool:
    if "systemalertid" in body and ("alerttype" in body or "alertdisplayname" in body):
        return True
    type_ = _type(body)
    if type_.startswith("microsoft.security/") and type_.endswith("/alerts"):
        return True
    return not type_ and "alertdisplayname" in object_of(body.get("properties"))


def _control(body: Fields) -> bool:
    profile = object_of(body["profile"]) if "profile" in body else body
    return "controlcategory" in profile and "maxscore" in profile


def _read_sub_assessment(body: Fields, received_at: datetime) -> Signal:
    from connectors.defender.payloads.sub_assessment import read_sub_assessment

    return read_sub_assessment(body, received_at)


def _read_assessment(body: Fields, received_at: datetime) -> Signal:
    from connectors.defender.payloads.assessment import read_assessment

    return read_assessment(body, received_at)


def _read_security_alert(body: Fields, received_at: datetime) -> Signal:
    from connectors.defender.payloads.alert import read_security_alert

    return read_security_alert(body, received_at)


def _read_control(body: Fields, received_at: datetime) -> Signal:
    from connectors.secure_score.payloads.control import read_control

    return read_control(body, received_at)


SCHEMAS: tuple[PayloadSchema, ...] = (
    PayloadSchema("an alert of the common schema", _schema_is("azuremonitorcommonalertschema"), read_common),
    PayloadSchema("an alert of the common schema", _common, read_common),
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
    PayloadSchema("a log alert", _flat_log, read_flat_log),
    PayloadSchema("an activity log alert", lambda body: "activitylog" in _context(body), read_activity_alert),
    PayloadSchema(
        "an autoscale notification",
        lambda body: squash(body.get("operation")) in ("scalein", "scaleout") and "context" in body,
        read_autoscale,
    ),
    PayloadSchema(
        "a metric alert",
        lambda body: "allof" in object_of(_context(body).get("condition")),
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
    # Microsoft Defender for Cloud
    PayloadSchema(
        "a vulnerability finding (sub-assessment) of Defender for Cloud", _sub_assessment, _read_sub_assessment
    ),
    PayloadSchema("a security alert of Defender for Cloud", _security_alert, _read_security_alert),
    PayloadSchema("a recommendation (assessment) of Defender for Cloud", _assessment, _read_assessment),
    # Microsoft Secure Score
    PayloadSchema("a Secure Score control of Microsoft Graph", _control, _read_control),
)


def detect(body: Fields) -> PayloadSchema | None:
    """The schema of a body, None when it is none of ours. ``body`` has folded keys."""
    for schema in SCHEMAS:
        if schema.test(body):
            return schema
    return None
