"""Sections of bridge.yaml for what timers do. Their docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.conditions import When
from shared.core.settings import Duration, Guid, SettingsModel


class WatchedSubscription(SettingsModel):
    """A subscription whose alerts are compared."""

    id: Guid
    """Subscription id."""
    sign_in: SignIn | None = None
    """For a subscription of another tenant that is not delegated by Azure Lighthouse. Left out: the app's own
    identity."""


class ReconcileSettings(SettingsModel):
    """Compares Azure's own list of alerts with what the bridge knows, delivers what was missed and resolves what
    resolved silently. Needs action groups with the common alert schema; see docs/reconcile.md."""

    subscriptions: Annotated[list[WatchedSubscription], Field(min_length=1, max_length=200)]
    """Subscriptions to compare."""
    cloud: CloudName = "public"
    """Cloud of these subscriptions: ``public``, ``us_government`` or ``china``."""
    when: When = When()
    """Which alerts count. Left out: all alerts of the subscriptions, whether their rules call the bridge or not."""
    look_back: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=29))] = timedelta(days=1)
    """Alerts of this time are listed. Alerts that were seen fired are followed until they end, however old."""
    grace: Annotated[Duration, Field(le=timedelta(hours=12))] = timedelta(minutes=15)
    """What happened in this time is left to the webhook, which may still come."""
    every: Annotated[Duration, Field(ge=timedelta(minutes=15), le=timedelta(days=7))] = timedelta(minutes=15)
    """How often each subscription is compared. The timer runs every 15 minutes."""
    suppressed: bool = True
    """Whether alerts count whose notifications an alert processing rule suppressed."""
    over: Literal["nothing", "ticket"] = "nothing"
    """What alerts get that were never heard of and are over by now: ``nothing``, or a ``ticket`` that is resolved."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.grace >= self.look_back:
            raise ValueError("'grace' must be shorter than 'look_back'")
        ids = [subscription.id for subscription in self.subscriptions]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"subscription {twice[0]} is given twice")
        return self


#: Words that stand for more than one state.
PHASES = ("open", "resolved", "closed")
ASSIGNED = "assigned"
WORKING = "working"

#: What a ticket has to be for its alert to be acknowledged, or closed.
StateCondition = Annotated[str, Field(pattern=r"^[^\^\r\n]{1,80}$")]


class AlertStateSettings(SettingsModel):
    """States of tickets that Azure's alerts follow. See docs/resync.md."""

    acknowledge: tuple[StateCondition, ...] = (ASSIGNED, WORKING)
    """Tickets whose alert becomes Acknowledged: ``assigned`` (open, and it has an owner), ``working`` (in a state in
    which people work on it, such as In Progress, On Hold, Root Cause Analysis, Fix in Progress or Implement), a phase
    (``open``, ``resolved``, ``closed``), or a state by its name on the connection or its stored value."""
    close: tuple[StateCondition, ...] = ("resolved", "closed")
    """Tickets whose alert becomes Closed; written as for ``acknowledge``, and it goes before it."""
    ended: bool = False
    """Whether alerts are told too whose problem ended by itself, so that the bridge resolved the ticket. Azure shows
    their condition as Resolved in any case."""
    comment: bool = True
    """Whether the alert's history names the ticket: number, state and link."""
    cloud: CloudName | None = None
    """Cloud of the alerts: ``public``, ``us_government`` or ``china``. Left out: that of ``reconcile``, else
    public."""


class ResourceTagsSettings(SettingsModel):
    """How tags of resources are read from Azure Resource Graph, where a condition or a template asks for them. It needs
    the role Reader; see docs/owners.md."""

    cloud: CloudName | None = None
    """Cloud of the resources: ``public``, ``us_government`` or ``china``. Left out: that of ``reconcile``, else
    public."""
    max_age: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=7))] = timedelta(hours=1)
    """How long tags are used before they are read again. Older ones are used while Azure does not answer."""
    wait: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(seconds=10))] = timedelta(seconds=3)
    """How long an alert waits for them at most. Without an answer its ticket has no tags, and the log says so."""


#: Columns, with * and ? for any characters.
ColumnPattern = Annotated[str, Field(min_length=1, max_length=200)]

#: Where queries run, with * and ? for any characters.
ScopePattern = Annotated[str, Field(pattern=r"^/?(workspaces|subscriptions)/[^\s#%&]+$", max_length=500)]


class LogRowsSettings(SettingsModel):
    """How tickets of log search alerts show the rows that fired. See docs/rows.md."""

    query: bool = True
    """Whether the query of an alert that brings no rows is run, so that its ticket shows them. Needs a role, see
    docs/rows.md."""
    scopes: tuple[ScopePattern, ...] = ()
    """Workspaces (``workspaces/<workspace id>``) and resources (``subscriptions/<id>/resourceGroups/rg-logs/*``) in
    which queries may run, in any case, with ``*`` and ``?``. Left out: wherever the identity may read."""
    cloud: CloudName = "public"
    """Cloud of the logs: ``public``, ``us_government`` or ``china``. Queries go only to its host,
    whatever a link in an alert contains."""
    sign_in: SignIn | None = None
    """For logs of another tenant. Left out: the app's own identity."""
    wait: Annotated[Duration, Field(le=timedelta(seconds=10))] = timedelta(seconds=3)
    """How long a new ticket waits for its rows. Those that come later are a work note."""
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=5), le=timedelta(seconds=55))] = timedelta(seconds=30)
    """How long a query may run for that note."""
    rows: Annotated[int, Field(ge=1, le=100)] = 10
    """Rows that a ticket shows; the others are counted."""
    columns: Annotated[int, Field(ge=1, le=40)] = 12
    """Columns that a ticket shows, the first ones."""
    bytes: Annotated[int, Field(ge=200, le=16_000)] = 4_000
    """Size of the table in a ticket, in bytes of UTF-8."""
    redact: tuple[ColumnPattern, ...] = ("*password*", "*secret*", "*token*")
    """Columns whose values are replaced by ``(hidden)``, by name in any case, with ``*`` and ``?``. Dimensions of these
    names too. Rows of an alert's payload are treated like those of a query."""
    drop: tuple[ColumnPattern, ...] = ()
    """Columns that are left out altogether; written as for ``redact``."""
