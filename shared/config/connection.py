"""What the settings of every connection have in common. The attribute docstrings are the reference."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from shared.config.export import ExportSettings
from shared.core.settings import Duration, SettingsModel

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%")


def parse_percent(value: Any) -> Any:
    """``10%`` to 0.1; raises ValueError for anything else."""
    if isinstance(value, float):
        return value  # a default
    found = _PERCENT.fullmatch(str(value).strip())
    if found is None:
        raise ValueError("write a share as a number with %, for example 10%")
    return float(found[1]) / 100


Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(lambda value: f"{value * 100:g}%", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d{1,3}(\.\d{1,2})?\s*%\s*$", "examples": ["10%"]}),
]


class CallBudget(SettingsModel):
    """How many calls the bridge may make, over all its workers. Look-ups and requests for tokens count too."""

    calls: Annotated[int | None, Field(ge=2, le=10_000_000)] = None
    """Most calls per window. Left out: what the instance names in its X-RateLimit headers, else any number. When both
    are known, the lower one counts; so this can leave a part of the instance's limit to others."""
    per: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = timedelta(hours=1)
    """Length of a window. Windows begin on the clock (``1h``: every full hour, UTC), as ticket systems count them."""
    reserve: Annotated[Percent, Field(ge=0, le=0.5, json_schema_extra={"default": "10%"})] = 0.1
    """Share of the calls, at least one, that only severities 0 and 1 may use. It shrinks to a fifth as the window
    passes, because unused calls are lost."""

    @model_validator(mode="after")
    def _has_calls(self) -> CallBudget:
        if self.calls is None and self.per != timedelta(hours=1):
            raise ValueError("'per' without 'calls' has no effect. Fix: add 'calls', or take 'per' out")
        return self


class ConnectionSettings(SettingsModel):
    """One instance of a ticket system. Each ticket system extends this model, with ``type`` as a literal."""

    type: str
    """Name of the ticket system."""
    max_in_flight: Annotated[int, Field(ge=1, le=16)] = 4
    """Most calls at the same time, over all workers. Where there are more workers than that, so many of them deliver
    and the others hand their messages on."""
    budget: CallBudget = CallBudget()
    """How many calls may be made."""
    disabled: bool = False
    """True: nothing is sent to it or read from it. Signals for it wait on the queue, however long it lasts, and are
    delivered within about 15 minutes once it is enabled again; none becomes a dead letter because of this."""
    total_timeout: Annotated[Duration, Field(ge=timedelta(seconds=2), le=timedelta(minutes=4))] = timedelta(minutes=2)
    """Longest time for one operation on a ticket, look-ups and log-in included. Must stay below
    ``delivery.lease``."""
    export: ExportSettings | None = None
    """Which tickets go to a log store. Left out: none."""

    def state_names(self) -> Iterable[tuple[str, str]]:
        """Stored value and name of every state of every kind of ticket on this connection."""
        return ()
