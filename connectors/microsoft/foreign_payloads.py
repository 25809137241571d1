"""Payloads of services that are no signals: recognised, so that quarantine says what they are and what would help.

A row goes when a source is added that can read its payloads. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.core.payload_schema import Fields
from shared.payloads.values import array_of, fold, given, object_of

_ADVICE = "taken are Azure Monitor alerts, findings and alerts of Defender for Cloud, and Secure Score controls"

#: What would bring the same news in a form that is read, by the name of the body; see FOREIGN.
_HELP = {
    "an incident of Microsoft Sentinel": (
        "let a log search alert rule of Azure Monitor with an action group (common alert schema) look for the same, or "
        "send Defender for Cloud's alerts by workflow automation to /api/recommendations (docs/defender.md)"
    ),
    "a notification of Prometheus Alertmanager": (
        "use a Prometheus rule group of Azure Monitor with an action group (common alert schema); Alertmanager has no "
        "setting for this form"
    ),
    "a notification of Grafana": (
        "use an alert rule of Azure Monitor with an action group (common alert schema); Grafana has no setting for "
        "this form"
    ),
    "a change notification of Microsoft Graph": (
        "end the subscription; the sections 'secure_score.poll' and 'defender.poll' of bridge.yaml read from Microsoft "
        "what the bridge needs (docs/secure-score.md, docs/defender-poll.md)"
    ),
}

Test = Callable[[Fields], bool]


def _has(*names: str) -> Test:
    return lambda body: all(name in body for name in names)


def _type(body: Fields) -> str:
    return given(body.get("type")).lower()


def _odata(body: Fields) -> str:
    return (given(body.get("@odata.type")) or given(body.get("at_sign_odata_type"))).lower()


def _type_ends(*endings: str) -> Test:
    return lambda body: _type(body).endswith(endings)


def _any(*tests: Test) -> Test:
    return lambda body: any(test(body) for test in tests)


def _activity_log_api(body: Fields) -> bool:
    operation = body.get("operationname")
    return "eventdataid" in body and isinstance(operation, dict) and "value" in fold(operation)


def _management_api_error(body: Fields) -> bool:
    return given(object_of(body.get("error")).get("code")).upper().startswith("AF")


def _sentinel(body: Fields) -> bool:
    inner = body.get("object") if "objectschematype" in body else body
    return "microsoft.securityinsights/" in given(object_of(inner).get("type")).lower() or "objectschematype" in body


def _alertmanager(body: Fields) -> bool:
    return isinstance(body.get("alerts"), list) and ("grouplabels" in body or "receiver" in body)


#: What a body is, in the words of its makers, by its folded keys; the first test that holds wins.
FOREIGN: tuple[tuple[str, Test], ...] = (
    ("an incident of Microsoft Sentinel", _sentinel),
    ("a notification of Grafana", lambda body: _alertmanager(body) and ("orgid" in body or "dashboarduid" in body)),
    ("a notification of Prometheus Alertmanager", _alertmanager),
    (
        "a change notification of Microsoft Graph",
        _any(_has("subscriptionid", "changetype", "resource"), _has("subscriptionid", "lifecycleevent")),
    ),
    ("a webhook validation of the Office 365 Management Activity API", _has("validationcode")),
    ("a content notification of the Office 365 Management Activity API", _has("contenturi", "contentid")),
    ("a subscription of the Office 365 Management Activity API", _has("contenttype", "webhook")),
    ("a subscription request of the Office 365 Management Activity API", lambda body: set(body) == {"webhook"}),
    ("an error of the Office 365 Management Activity API", _management_api_error),
    ("an Office 365 audit record", _any(_has("recordtype", "creationtime"), _has("recordtype", "workload"))),
    ("an Office 365 audit record", _has("recordtype", "operation")),
    ("a governance assignment of Microsoft Defender for Cloud", _type_ends("/governanceassignments")),
    ("a governance rule of Microsoft Defender for Cloud", _type_ends("/governancerules")),
    (
        "a regulatory compliance result of Microsoft Defender for Cloud",
        _type_ends("regulatorycomplianceassessments", "regulatorycompliancestandards", "regulatorycompliancecontrols"),
    ),
    ("a secure score of Microsoft Defender for Cloud", _type_ends("securescorecontrols", "securescores")),
    ("an object of Microsoft Defender for Cloud", lambda body: _type(body).startswith("microsoft.security/")),
    (
        "a security alert of Microsoft Graph",
        _any(
            _has("servicesource", "provideralertid"),
            lambda body: _odata(body) == "#microsoft.graph.security.alert",
            _has("alertweburl", "severity", "createddatetime"),
            _has("severity", "createddatetime", "lastupdatedatetime"),
            _has("vendorinformation", "eventdatetime"),
        ),
    ),
    ("a Secure Score of Microsoft Graph without the profile of a control", _has("controlscores")),
    ("an object of Microsoft Graph", lambda body: _odata(body).startswith("#microsoft.graph.")),
    ("an alert of Microsoft Defender for Cloud Apps", _has("statusvalue", "severityvalue", "entities")),
    (
        "an activity of Microsoft Defender for Cloud Apps",
        _any(_has("eventtypevalue", "instantiation"), _has("genericeventtype", "appid")),
    ),
    (
        "a message of the Office 365 Service Communications API",
        _any(
            _has("workloaddisplayname"),
            _has("featurenames", "displayname"),
            _has("messages", "starttime", "status"),
        ),
    ),
    ("an Activity Log event of the REST API or of an export", _activity_log_api),
    ("an Event Grid subscription validation", lambda body: "SubscriptionValidation" in given(body.get("eventtype"))),
    ("an Event Grid event", _any(_has("eventtype", "data"), _has("specversion", "type", "source"))),
    ("a record of an Azure resource log", _has("resourceid", "operationname", "category", "time")),
)


def foreign_name(body: Fields) -> str:
    """What a body is if it comes from one of these services, else ``""``."""
    for name, test in FOREIGN:
        if test(body):
            return name
    return ""


def foreign_reason(body: Fields) -> str:
    """The reason shown in quarantine for a body that follows no schema, ``""`` where it is not known what it is.

    Args:
        body: with folded keys.
    """
    name = foreign_name(body)
    if not name and (items := array_of(body.get("data"))) and (name := foreign_name(fold(items[0]))):
        name = f"a list; its first item is {name}"
    if name:
        fix = f" Fix: {_HELP[name]}." if name in _HELP else ""
        return f"This is {name}; {_ADVICE}.{fix}"
    if "alertcontext" in body or "alertcontext" in object_of(body.get("data")):
        return "This is the alertContext of an alert without its essentials, which say what it is about."
    return ""
