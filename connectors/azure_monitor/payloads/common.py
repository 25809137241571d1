"""What every alert has: essentials, severity, state, key, and which kind of alert it is.

Sources: Microsoft Learn, "Common alert schema" (essentials, Sev0 to Sev4), "Azure Activity Log event schema" (levels,
Advisor and Security properties); "Alerts - Get By Id" of the AlertsManagement REST API for its own names of the same
fields; .NET ``EventLevel`` (the numbers that Service Health sends).

Severity is a number from 0 (critical) to 4 (verbose), whatever scale a payload uses:

====================  ========  =====  =======  =============  =======
source                0         1      2        3              4
====================  ========  =====  =======  =============  =======
essentials.severity   Sev0      Sev1   Sev2     Sev3           Sev4
metric, non-common    "0"       "1"    "2"      "3"            "4"
log V1                Critical  Error  Warning  Informational  Verbose
activity log level    Critical  Error  Warning  Informational  Verbose
the same as a number  1         2      3        4              5
Advisor impact                         High     Medium         Low
Security severity               High   Medium   Low            Informational
====================  ========  =====  =======  =============  =======

The kind of an alert follows from its condition type, its service and the keys of its context, in that order. Services
have other names in webhooks than in the AlertsManagement API (``Activity Log - Policy`` and ``ActivityLog Policy``),
and payloads exist whose service, signal type and context contradict each other: the context is what has to be read, so
it decides where its keys leave no doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from connectors.microsoft.azure_resources import (
    MOST_LISTED,
    ResourceList,
    alert_link,
    canonical,
    is_id,
    last_segment,
    portal_host,
)
from shared.core.payload_schema import Fields
from shared.core.signal import SignalState
from shared.payloads.builder import LONGEST_LINK, SignalBuilder
from shared.payloads.keys import Unidentified, listed, make_key, series
from shared.payloads.values import array_of, fold, given, moment, object_of, squash, text, texts

_ALERT = "providers/microsoft.alertsmanagement/alerts/"
_RULE_TYPES = (
    "/activitylogalerts/",
    "/metricalerts/",
    "/scheduledqueryrules/",
    "/smartdetectoralertrules/",
    "/prometheusrulegroups/",
    "/alertrules/",
)

# Names that "Test action group" of the portal uses (Microsoft Learn, "Sample alert payloads", test actions). All its
# samples of alerts have one alertId.
_TEST_SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
_TEST_ALERT = "12345678-1234-1234-1234-1234567890ab"
_TEST_NAMES = (
    r"test-(?:metric|log|activitylog|servicehealth|resourcehealth|smart)alertrule(?:-v\d[\w-]*)?"
    r"|test-availabilitytest-[\w-]+|test_(?:actual_cost|forcasted|forecasted)_budget|test-budgetname|test_alert"
)

_CONDITIONS = {
    "fired": SignalState.FIRED,
    "activated": SignalState.FIRED,
    "resolved": SignalState.RESOLVED,
    "deactivated": SignalState.RESOLVED,
}


_LEVELS = {
    "critical": 0,
    "error": 1,
    "warning": 2,
    "informational": 3,
    "information": 3,
    "verbose": 4,
    **{str(number): number - 1 for number in range(1, 6)},
}
_SEVERITIES = {
    **{word: number for word, number in _LEVELS.items() if word.isalpha()},
    **{f"{prefix}{number}": number for prefix in ("sev", "") for number in range(5)},
}


@dataclass(slots=True)
class Essentials:
    """What every alert states of itself, ``""`` or empty where it does not.

    Attributes:
        alert_id: as sent. managed_id: its last segment, see the function of that name.
        rule: name of the rule. rule_id: its ARM id. service: monitoringService as sent.
        signal_type, description: as sent. monitor_condition: Fired or Resolved, as sent.
        severity: as sent, any type. targets: alertTargetIDs. items: configurationItems.
        fired_at, resolved_at: in UTC.
    """

    alert_id: str = ""
    rule: str = ""
    rule_id: str = ""
    service: str = ""
    signal_type: str = ""
    description: str = ""
    monitor_condition: str = ""
    severity: Any = None
    targets: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    managed_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.managed_id = managed_id(self.alert_id) if self.alert_id else ""


def read_essentials(fields: Fields) -> Essentials:
    """Read the essentials of the common schema; keys are folded."""
    rule, rule_id = given(fields.get("alertrule")), given(fields.get("alertruleid"))
    if "/" in rule:
        rule, found = split_rule(rule)
        rule_id = rule_id or found
    return Essentials(
        alert_id=given(fields.get("alertid")),
        rule=rule or rule_name(rule_id),
        rule_id=rule_id,
        service=given(fields.get("monitoringservice")),
        signal_type=given(fields.get("signaltype")),
        description=text(fields.get("description")),
        monitor_condition=given(fields.get("monitorcondition")),
        severity=fields.get("severity"),
        # relays that read the API send its name of the target
        targets=texts(fields.get("alerttargetids"), MOST_LISTED + 1) or texts(fields.get("targetresource")),
        items=texts(fields.get("configurationitems"), MOST_LISTED + 1) or texts(fields.get("targetresourcename")),
        fired_at=moment(fields.get("fireddatetime")),
        resolved_at=moment(fields.get("resolveddatetime")),
    )


def rule_name(rule_id: str) -> str:
    """Name of a rule from its id, where names are percent-encoded."""
    name = last_segment(rule_id)[:2048]
    if "%" not in name:
        return name
    from urllib.parse import unquote

    return text(unquote(name))


def alert_builder(kind: str, received_at: datetime) -> SignalBuilder:
    """An empty builder for a signal of this source."""
    return SignalBuilder(
        kind=kind,
        received_at=received_at,
        source="azure_monitor",
        resources=ResourceList(),
        untitled=f"Azure {kind.replace('_', ' ')} alert",
    )


def begin(builder: SignalBuilder, essentials: Essentials) -> None:
    """Write into the builder what holds for every kind of alert."""
    builder.rule = essentials.rule
    builder.rule_id = essentials.rule_id
    builder.fired_at = essentials.fired_at
    builder.resolved_at = essentials.resolved_at
    details = builder.details
    if essentials.alert_id:
        details["alert_id"] = essentials.alert_id
    if essentials.service:
        details["monitoring_service"] = essentials.service
    if essentials.signal_type:
        details["signal_type"] = essentials.signal_type
    builder.test = is_test(essentials)


def state_of(builder: SignalBuilder, condition: str, name: str = "monitorCondition") -> SignalState:
    """Fired or Resolved by the one field that says so; anything else counts as fired, with a warning.

    ``name`` is that field's, for the warning: ``status`` in the schemas before the common one.
    """
    state = _CONDITIONS.get(squash(condition))
    if state is None:
        problem = f"says {condition[:40]!r}" if condition else "is missing"
        builder.warn(f"{name} {problem}; the alert is taken as fired.")
        return SignalState.FIRED
    return state


def managed_id(alert_id: str) -> str:
    """Last segment of an id of Microsoft.AlertsManagement/alerts under any scope, ``""`` for any other id.

    The same alert appears under its subscription, its resource group and its resource: only this segment is stable.
    """
    path = canonical(alert_id)
    before, found, name = path.rpartition(_ALERT)
    return name if found and "/" not in name and (not before or before.endswith("/")) else ""


def alert_key(essentials: Essentials, event_id: str, pairs: list[tuple[str, str]]) -> str:
    """Key of an alert that has no better identity of its own.

    Args:
        essentials: of the alert.
        event_id: eventDataId of an Activity Log alert, else ``""``.
        pairs: dimensions.

    Raises:
        Unidentified: there is neither an alert id, nor a rule, nor an event id.
    """
    if essentials.managed_id:
        return make_key("alert", essentials.managed_id)
    targets = listed([canonical(target) for target in essentials.targets])
    if essentials.alert_id:
        path = canonical(essentials.alert_id)
        if not any(kind in path for kind in _RULE_TYPES):
            return make_key("alert", path)
        if event_id:
            return make_key("alert", path, event_id)
        return make_key("alert", path, targets, series(pairs))
    rule = canonical(essentials.rule_id) or essentials.rule
    if rule:
        return make_key("rule", rule, targets, series(pairs), event_id)
    if event_id:
        return make_key("activity", event_id)
    raise Unidentified("it names neither itself (alertId) nor its rule (alertRule, alertRuleID)")


def log_series(essentials: Essentials, pairs: list[tuple[str, str]]) -> str:
    """What the alerts of a log search rule have in common that is about the same dimensions; ``""`` without a rule.

    A rule without state makes a new alert, with an id of its own, at each evaluation.
    """
    rule = canonical(essentials.rule_id) or essentials.rule
    targets = listed([canonical(target) for target in essentials.targets])
    return make_key("log", rule, targets, series(pairs)) if rule else ""


def identify_test(builder: SignalBuilder, essentials: Essentials) -> None:
    """Give a test alert of the portal a key of its own: each test shows what an alert of its kind makes.

    The samples share their ids, so that kind, rule and time tell them apart. Nothing can be told to Azure of them.
    """
    at = builder.fired_at or builder.event_at
    named = essentials.rule or builder.rule or builder.details.get("operation", "")
    builder.key = make_key("test", builder.kind, named, "" if at is None else f"{at:%Y-%m-%dT%H:%M:%S}")
    builder.origin = ""


def add_portal_link(builder: SignalBuilder, essentials: Essentials) -> None:
    """Link the alert's page in the portal of its own cloud."""
    if essentials.managed_id:
        others = [*filter(None, (*builder.links.values(), builder.api_link))]
        link = alert_link(essentials.alert_id, portal_host(others))
        if len(link) <= LONGEST_LINK:
            builder.links["portal"] = link


def severity(value: object) -> int | None:
    """``Sev3``, ``3``, ``"3"`` or a word of the log alerts; None for anything else."""
    return _SEVERITIES.get(given(value).lower())


def level(value: object) -> int | None:
    """The level of an Activity Log event: a word, or its number where Service Health sends that."""
    return _LEVELS.get(given(value).lower())


def is_test(essentials: Essentials) -> bool:
    """Whether the names are those that the portal's "Test action group" uses."""
    targets = essentials.targets
    return (
        _TEST_SUBSCRIPTION in essentials.alert_id
        or essentials.managed_id == _TEST_ALERT
        or (bool(targets) and _TEST_SUBSCRIPTION in targets[0])
        or is_test_name(essentials.rule)
        or is_test_name(last_segment(essentials.alert_id))
    )


def is_test_name(name: str) -> bool:
    """Whether a rule, budget or alert has a name of the portal's test payloads."""
    return name[:5].lower() in ("test-", "test_") and re.fullmatch(_TEST_NAMES, name.lower()) is not None


def split_rule(value: str) -> tuple[str, str]:
    """Rule name and rule id from a field that holds either (REST form); an old portal address is neither."""
    if value[:8].lower().startswith(("http://", "https://")):
        return "", ""
    return (rule_name(value), value) if is_id(value) else (value, "")


#: Families of readers, and the kind of signal each makes.
KINDS = {
    "metric": "metric",
    "log_query": "log",
    "log_results": "log",
    "activity": "activity",
    "service_health": "service_health",
    "resource_health": "resource_health",
    "prometheus": "prometheus",
    "smart_detection": "smart_detection",
    "budget": "budget",
    "backup": "backup",
    "other": "other",
}

_SERVICES = {
    "platform": "metric",
    "logalertsv2": "log_query",
    "simplelogalert": "log_query",
    "loganalytics": "log_results",
    "applicationinsights": "log_results",
    "prometheus": "prometheus",
    "smartdetector": "smart_detection",
    "servicehealth": "service_health",
    "activitylogservicehealth": "service_health",
    "resourcehealth": "resource_health",
    "activitylogresourcehealth": "resource_health",
    "costalerts": "budget",
    "azurebackup": "backup",
}
_SIGNAL_TYPES = {"metric": "metric", "log": "log_query", "activitylog": "activity"}

#: Keys (folded) of which each is enough to know a context.
_MARKS = (
    ("log_results", ("searchquery", "searchintervalendtimeutc", "linktosearchresults", "resultcount")),
    ("prometheus", ("expression", "expressionvalue", "rulegroup")),
    ("smart_detection", ("smartdetectorid", "smartdetectorname", "detectionsummary")),
    ("budget", ("alertdata", "alertcategory")),
    ("backup", ("linkedresourceid", "protecteditemid", "formattedsourcetype")),
)
_EVENT_KEYS = ("eventdataid", "eventsource", "operationname", "eventtimestamp")

#: Families that a contradicting context overrules.
_WEAK = frozenset({"metric", "log_query", "log_results", "other", ""})


def family_of(service: str, signal_type: str, context: Fields) -> str:
    """One of KINDS' keys. ``context`` is the folded alertContext, empty when there is none."""
    if found := _family_of_criteria(squash(context.get("conditiontype"))):
        return found
    word = squash(service)
    named = _SERVICES.get(word) or ("activity" if word.startswith("activitylog") else "")
    if named not in _WEAK and not (named == "activity" and word == "activitylog"):
        return named
    return _shape(context) or named or _SIGNAL_TYPES.get(squash(signal_type), "other")


@lru_cache(maxsize=64)
def _family_of_criteria(word: str) -> str:
    """By condition type, ``""`` when it says nothing."""
    if "logquery" in word:
        return "log_query"
    return "metric" if any(part in word for part in ("metric", "threshold", "webtest", "promql")) else ""


def _shape(context: Fields) -> str:
    """The family that a context shows by its keys, ``""`` when it could be any."""
    for family, marks in _MARKS:
        if any(context.get(mark) is not None for mark in marks):
            return family
    criteria = array_of(object_of(context.get("condition")).get("allof"))
    first = fold(criteria[0]) if criteria else {}
    if first.get("searchquery") is not None:
        return "log_query"
    if first.get("metricname") is not None:
        return "metric"
    return event_family(context) if any(context.get(key) is not None for key in _EVENT_KEYS) else ""


def event_family(event: Fields) -> str:
    """Which of the Activity Log's readers an event needs: service_health, resource_health or activity."""
    source = squash(event.get("eventsource"))
    properties = object_of(event.get("properties"))
    if source in ("servicehealth", "2") or "trackingid" in properties or "communicationid" in properties:
        return "service_health"
    if source == "resourcehealth" or "currenthealthstatus" in properties:
        return "resource_health"
    return "activity"
