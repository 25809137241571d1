"""Which schema is a payload of Microsoft Secure Score? One ordered table; the first test that holds wins.

Readers are imported when the first of their payloads comes: most webhooks never see one.
"""

from __future__ import annotations

from datetime import datetime

from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.signal import Signal
from shared.payloads.values import object_of


def _is_control(body: Fields) -> bool:
    profile = object_of(body["profile"]) if "profile" in body else body
    return "controlcategory" in profile and "maxscore" in profile


def _read_control(body: Fields, received_at: datetime) -> Signal:
    from connectors.secure_score.payloads.control import read_control

    return read_control(body, received_at)


SCHEMAS: tuple[PayloadSchema, ...] = (
    PayloadSchema("a Secure Score control of Microsoft Graph", _is_control, _read_control),
)
