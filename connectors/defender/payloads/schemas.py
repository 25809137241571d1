"""Which schema is a payload of Microsoft Defender for Cloud? One ordered table; the first test that holds wins.

Readers are imported when the first of their payloads comes: most webhooks never see one.
"""

from __future__ import annotations

from datetime import datetime

from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.signal import Signal
from shared.payloads.values import given, object_of


def _type_of(body: Fields) -> str:
    return given(body.get("type")).lower()


def _is_sub_assessment(body: Fields) -> bool:
    return (
        "subassessmenteventdataenrichment" in body
        or _type_of(body) == "microsoft.security/assessments/subassessments"
        or given(body.get("$type")).lower() == "subassessmentevent"
    )


def _is_assessment(body: Fields) -> bool:
    type_ = _type_of(body)
    if type_ == "microsoft.security/assessments":
        return True
    # the export wraps other things in these objects too: their type tells
    return not type_ and ("assessmenteventdataenrichment" in body or "securityeventdataenrichment" in body)


def _is_security_alert(body: Fields) -> bool:
    if "systemalertid" in body and ("alerttype" in body or "alertdisplayname" in body):
        return True
    type_ = _type_of(body)
    if type_.startswith("microsoft.security/") and type_.endswith("/alerts"):
        return True
    return not type_ and "alertdisplayname" in object_of(body.get("properties"))


def _read_sub_assessment(body: Fields, received_at: datetime) -> Signal:
    from connectors.defender.payloads.assessments import read_sub_assessment

    return read_sub_assessment(body, received_at)


def _read_assessment(body: Fields, received_at: datetime) -> Signal:
    from connectors.defender.payloads.assessments import read_assessment

    return read_assessment(body, received_at)


def _read_security_alert(body: Fields, received_at: datetime) -> Signal:
    from connectors.defender.payloads.alert import read_security_alert

    return read_security_alert(body, received_at)


SCHEMAS: tuple[PayloadSchema, ...] = (
    PayloadSchema(
        "a vulnerability finding (sub-assessment) of Defender for Cloud", _is_sub_assessment, _read_sub_assessment
    ),
    PayloadSchema("a security alert of Defender for Cloud", _is_security_alert, _read_security_alert),
    PayloadSchema("a recommendation (assessment) of Defender for Cloud", _is_assessment, _read_assessment),
)
