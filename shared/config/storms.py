"""The parts of bridge.yaml that keep many alerts from becoming many tickets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AwareDatetime, Field, field_validator, model_validator

from shared.core.conditions import When
from shared.core.settings import Duration, SettingsModel

GroupBy = Literal["rule", "rule_and_resource", "resource"]


class GroupSettings(SettingsModel):
    """One ticket for all alerts that have the same ``by``; or, the other way round, one ticket for each row or item of
    an alert that names several."""

    by: Annotated[str, Field(min_length=1)]
    """``rule``, ``rule_and_resource``, ``resource``, or a template such as
    ``{{ signal.custom_properties.service }}``: signals for which it is empty have tickets of their own. ``row``: each
    row of a log alert has a ticket of its own; ``item``: each affected resource. See docs/rows.md."""
    window: Duration | None = None
    """Alerts that fire within this time of the group's first belong to its ticket; later ones begin another. Left
    out: they belong to it until the ticket is closed."""
    note_every: Duration = timedelta(minutes=5)
    """At most one work note in this time says how many alerts fired, which resources are new and what is still on."""
    columns: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """For ``row``: columns that tell rows apart, such as ``[Computer, Drive]``; rows that are equal there share a
    ticket. Left out: the first of ``_ResourceId``, ``ResourceId``, ``Resource``, ``Computer`` that has values; else the
    alert's dimensions; else all columns of text."""
    most: Annotated[int, Field(ge=1, le=100)] = 50
    """For ``row`` and ``item``: tickets of one alert. The rest is listed in one more ticket."""

    @model_validator(mode="after")
    def _fits_by(self) -> Self:
        given = self.model_fields_set
        if self.splits and (wrong := sorted({"window", "note_every"} & given)):
            raise ValueError(f"'{wrong[0]}' is for groups of alerts, not for 'by: {self.by}'. Fix: take it out")
        if not self.splits and (wrong := sorted({"columns", "most"} & given)):
            raise ValueError(f"'{wrong[0]}' is for 'by: row' and 'by: item' only. Fix: take it out")
        if self.by == "item" and self.columns:
            raise ValueError("'columns' is for 'by: row' only. Fix: take it out")
        return self

    @property
    def splits(self) -> bool:
        """Whether it makes several tickets of one alert."""
        return self.by in ("row", "item")


class OnlyAfterSettings(SettingsModel):
    """A ticket once the problem has lasted or fired often enough, whichever comes first."""

    lasting: Duration = timedelta()
    """The problem has to last this long."""
    firings: Annotated[int, Field(ge=0, le=1000)] = 0
    """Or fire this often. 0: only time counts."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.lasting and self.firings < 2:
            raise ValueError("name 'lasting' (for example 5m), or 'firings' from 2 on, or both")
        return self


class OpenAfterSettings(SettingsModel):
    """A ticket only from so many firings on, counted over all alerts. Until then they are held; then one ticket is
    opened for them, which takes the following ones too. See docs/storms.md."""

    count: Annotated[int, Field(ge=2, le=50)]
    """Firings that open the ticket."""
    within: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=7))]
    """Time between the first and the last of them, at most."""
    per: Annotated[str, Field(min_length=1)] = "rule"
    """What is counted separately: ``rule``, ``rule_and_resource``, ``resource``, ``all``, or a template such as
    ``{{ signal.custom_properties.service }}``: signals for which it is empty have tickets of their own, at once."""


class FlappingSettings(SettingsModel):
    """More than this many changes between fired and resolved hold the ticket open until the problem stays quiet."""

    changes: Annotated[int, Field(ge=2, le=20)] = 6
    """Changes that are still taken for what they say."""
    within: Duration = timedelta(minutes=30)
    """Period in which they are counted, and for which the problem has to stay quiet in the end."""


class ThrottleSettings(SettingsModel):
    """At most ``tickets`` new tickets in ``per``; the rest is counted and listed in one summary ticket."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown in the summary ticket and in logs."""
    when: When = When()
    """Which signals it counts. Left out: all."""
    tickets: Annotated[int, Field(ge=1, le=1000)]
    """New tickets of their own."""
    per: Duration
    """Period, by the clock: 15m begins at 12:00, 12:15 and so on."""
    by: Annotated[str, Field(min_length=1)] = "rule"
    """What is counted separately: ``rule``, ``rule_and_resource``, ``resource``, ``all``, or a template."""
    note_every: Duration = timedelta(minutes=5)
    """At most one work note in this time on the summary ticket."""

    @field_validator("per")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value < timedelta(minutes=1):
            raise ValueError("must be at least 1m")
        return value


class MaintenanceSettings(SettingsModel):
    """A window in which signals open no tickets: once (``from`` and ``to``), again and again (``cron`` and ``lasts``),
    or while people work on the affected configuration item (``changes_of``)."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown where something was held or suppressed because of it."""
    when: When = When()
    """Which signals it holds. Left out: all."""
    begins: Annotated[AwareDatetime | None, Field(alias="from")] = None
    """Beginning, with time zone: ``2026-05-01T22:00:00+02:00``."""
    ends: Annotated[AwareDatetime | None, Field(alias="to")] = None
    """End."""
    cron: str | None = None
    """Beginnings as a cron expression of five fields: ``0 22 * * SAT``."""
    lasts: Duration | None = None
    """How long each lasts."""
    time_zone: str = "UTC"
    """Time zone of ``cron``, for example ``Europe/Berlin``."""
    changes_of: str | None = None
    """Name of a connection whose ticket system plans changes: change requests that are being carried out hold the
    signals of their configuration items, as long as the change is planned to last."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"'{value}' is no time zone; write one such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        once = self.begins is not None or self.ends is not None
        repeated = self.cron is not None or self.lasts is not None
        if once + repeated + (self.changes_of is not None) != 1:
            raise ValueError("give either 'from' and 'to', or 'cron' and 'lasts', or 'changes_of'")
        if once and (self.begins is None or self.ends is None or self.begins >= self.ends):
            raise ValueError("'from' and 'to' are both needed, and 'from' comes first")
        if repeated and (self.cron is None or not self.lasts):
            raise ValueError("'cron' and 'lasts' are both needed")
        if self.cron is not None:
            try:
                CronSim(self.cron, datetime(2026, 1, 1, tzinfo=ZoneInfo(self.time_zone)))
            except CronSimError as error:
                raise ValueError(
                    f"'{self.cron}' is no cron expression ({error}); five fields: '0 22 * * SAT'"
                ) from None
        return self
