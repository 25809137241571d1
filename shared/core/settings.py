"""Value types that every part of the configuration uses."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictStr,
    WithJsonSchema,
)

_DURATION = re.compile(r"(\d{1,6})\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class SettingsModel(BaseModel):
    """Base of every configuration section: unknown names are mistakes, values do not change after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class HoldsCertificate:
    """Metadata of a field with a :class:`SecretRef`: the secret's value holds a certificate, whose end counts.

    Args:
        always: False where it may be a bare private key, of which no end is known.
    """

    def __init__(self, *, always: bool = True) -> None:
        self.always = always


class HoldsConsent:
    """Metadata of a field with a :class:`SecretRef`: its value is what a person's consent gave. The log-in of its
    connection says until when it lasts, and nobody stores it by hand."""


class SecretRef(SettingsModel):
    """A secret by name; its value is never in the file."""

    secret: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,127}$")]
    """Name of the secret in Key Vault; where no vault is configured, the application setting of the same name in
    upper case with underscores (desk-password: DESK_PASSWORD)."""


def parse_duration(value: Any) -> Any:
    """``90s``, ``15m``, ``24h``, ``7d`` or a sum such as ``1d12h`` to a timedelta; raises ValueError for others."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip().lower()
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError("write a duration as a number with s, m, h or d, for example 90s, 15m, 24h or 7d")
    total = timedelta()
    for number, unit in parts:
        total += timedelta(**{_UNITS[unit]: int(number)})
    return total


def format_duration(value: timedelta) -> str:
    """The shortest text that :func:`parse_duration` reads back as ``value`` (whole seconds)."""
    seconds = int(value.total_seconds())
    text = ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*(\d{1,6}\s*[smhdSMHD]\s*)+$", "examples": ["90s", "24h"]}),
]


def _guid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("not a GUID. Fix: write it as 00000000-0000-0000-0000-000000000000") from None


#: A GUID in its canonical form.
Guid = Annotated[StrictStr, AfterValidator(_guid)]
