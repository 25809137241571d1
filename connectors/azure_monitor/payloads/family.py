"""Which kind of alert is it? By condition type, by service, and by what the context looks like, in that order.

Services are named differently in webhooks and in the AlertsManagement API (``Activity Log - Policy`` and ``ActivityLog
Policy``), and payloads exist whose service, signal type and context contradict each other: the context is what has
to be read, so it wins where it is unmistakable.
"""

from __future__ import annotations

from functools import lru_cache

from shared.payloads.text import Fields, array_of, fold, object_of, squash

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
