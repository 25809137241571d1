"""Alerts as Azure's own list has them, for comparing with what webhooks sent. Pure.

The signal of a listed alert has the key and the time that the webhook's payload of the same alert gives, so that a
webhook that comes later changes nothing: the key is the last segment of the alert's id, and ``startDateTime`` and
``monitorConditionResolvedDateTime`` are the webhook's ``firedDateTime`` and ``resolvedDateTime``. Microsoft documents
both pairs as the moments of creation and resolution and nowhere that they are equal to the last digit: a comparison
must not rely on it.

What cannot be equal: a list leaves out ``alertContext``. Service Health, Resource Health, budgets, Prometheus, Advisor
recommendations and security events have their key or their state in it, and so may services that are not known here;
their signal needs the alert with its context ("Get By Id"). And a webhook of the schemas before the common one has no
alert id, hence another key: reconciling needs action groups that use the common alert schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connectors.azure_monitor.payloads.common import managed_id
from connectors.azure_monitor.payloads.schemas import read_rest
from shared.core.signal import Signal, SignalState
from shared.payloads.keys import Unidentified
from shared.payloads.values import fold, given, moment, object_of, squash

#: Kinds whose key is the alert's id whatever the context holds.
_BY_ID = frozenset({"metric", "log", "smart_detection", "backup", "activity"})

#: Services of kind activity whose key is in the context. Plain "Activity Log" stands for every kind of event.
_BY_CONTEXT = frozenset({"activitylog", "activitylogrecommendation", "activitylogsecurity"})

#: Begins the key of one occurrence: it fires once and ends once.
ONE_OCCURRENCE = "alert:"


@dataclass(frozen=True, slots=True)
class ManagedAlert:
    """One alert of Azure's list.

    Attributes:
        name: last segment of its id, lower case.
        condition: fired or resolved, as Azure says.
        started_at, resolved_at: UTC; a resolved alert without an end has that of its last change.
        closed: a person closed it in Azure. suppressed: a processing rule kept its notifications back.
        signal: as good as the object allows. complete: its key and its state are those that the webhook gives.
    """

    name: str
    condition: SignalState
    started_at: datetime
    resolved_at: datetime | None
    closed: bool
    suppressed: bool
    signal: Signal
    complete: bool

    @property
    def changed_at(self) -> datetime:
        """When it came to its present condition."""
        return self.resolved_at or self.started_at


def read_managed(item: Mapping[str, Any], received_at: datetime) -> ManagedAlert:
    """Read one alert of the API, with or without its context.

    Args:
        item: as received.
        received_at: now, with zone.

    Raises Unidentified for an object that is no alert with an id and a beginning.
    """
    body = fold(dict(item))
    properties = object_of(body.get("properties"))
    fields = object_of(properties.get("essentials"))
    name = managed_id(given(body.get("id")))
    started = moment(fields.get("startdatetime"))
    if not name or started is None:
        raise Unidentified("it has no id of Microsoft.AlertsManagement, or no startDateTime")
    signal = read_rest(body, received_at)
    resolved = squash(fields.get("monitorcondition")) == "resolved"
    ended = moment(fields.get("monitorconditionresolveddatetime"))
    if resolved and ended is None:
        ended = moment(fields.get("lastmodifieddatetime"))
        signal = _ended(signal, ended)
    actions = object_of(fields.get("actionstatus"))
    context = object_of(properties.get("context"))
    if "context" in context:  # some services wrap it once more
        context = object_of(context["context"])
    return ManagedAlert(
        name=name,
        condition=SignalState.RESOLVED if resolved else SignalState.FIRED,
        started_at=started,
        resolved_at=ended if resolved else None,
        closed=squash(fields.get("alertstate")) == "closed",
        suppressed=given(actions.get("issuppressed")).lower() == "true",
        signal=signal,
        complete=_known_by_context(signal) if context else _known_by_id(signal, given(fields.get("monitorservice"))),
    )


def firing_of(signal: Signal) -> Signal:
    """The firing that a Resolved ends, as its own webhook would have reported it."""
    begun = signal.fired_at or signal.occurred_at
    return replace(signal, state=SignalState.FIRED, occurred_at=begun, resolved_at=None, opens=True)


def _known_by_context(signal: Signal) -> bool:
    # without its labels a Prometheus alert has only its id, and webhooks have the labels
    return signal.kind != "prometheus" or not signal.key.startswith(ONE_OCCURRENCE)


def _known_by_id(signal: Signal, service: str) -> bool:
    return signal.kind in _BY_ID and squash(service) not in _BY_CONTEXT


def _ended(signal: Signal, at: datetime | None) -> Signal:
    if at is None or signal.state is not SignalState.RESOLVED or signal.resolved_at is not None:
        return signal
    return replace(signal, resolved_at=at, occurred_at=max(at, signal.fired_at or at))
