"""A Secure Score control as a signal: its profile, together with the tenant's latest score for it.

Sources: Microsoft Graph, "secureScoreControlProfile resource type", "secureScore resource type", "controlScore
resource type". Bodies are ``{"profile": ..., "score": ..., "tenant_id": ...}``, where ``score`` is one entry of
``controlScores`` (with the ``createdDateTime`` of its day, if known) or a whole secureScore, or a profile alone.

A control is over when it has its full score, or when its state says that the tenant has settled it otherwise
(Ignored, ThirdParty, Reviewed); then it opens no ticket. It is fired at any score below: a drop from the full score
must be able to reopen a ticket. Deprecated controls are unreadable, with that reason: nothing can be done about them.

A control that brings no points (``maxScore`` is 0 or missing), or whose entry or profile says NotScored, opens no
ticket by itself: nothing is to be gained, and Microsoft does not measure whether it is done. A person can still ask.

Microsoft gives controls no severity. The most points that a control can bring is how Microsoft weighs it: from 8 it
counts as high (1), from 4 as medium (2), below as low (3).
"""

from __future__ import annotations

from datetime import UTC, datetime

from connectors.microsoft.azure_resources import ResourceList
from shared.core.payload_schema import Fields
from shared.core.signal import Signal, SignalState
from shared.core.times import rfc3339
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key
from shared.payloads.markup import plain
from shared.payloads.values import array_of, fold, given, line, moment, number, object_of, squash, texts

SOURCE = "secure_score"

_ALWAYS = datetime(1901, 1, 1, tzinfo=UTC)
_MOST = 1_000
_LONGEST_STATUS = 40
_SEVERITIES = ((8, 1), (4, 2))

#: Names of the categories as tickets have them; Graph's own differ from its documentation.
_CATEGORIES = {"device": "Devices", "account": "Identity", "infra": "Infrastructure", "app": "Apps"}
_STATES = {"default": "Default", "ignored": "Ignored", "thirdparty": "ThirdParty", "reviewed": "Reviewed"}
_SETTLED = {
    "Ignored": ("ignored", "The risk was accepted: the control's state is Ignored."),
    "ThirdParty": ("third_party", "Another product takes care of it: the control's state is ThirdParty."),
    "Reviewed": ("reviewed", "It was settled otherwise: the control's state is Reviewed."),
}

#: Facts that routes may compare, as dimensions: name there, name of the detail.
_DIMENSIONS = (
    ("actionType", "action_type"),
    ("category", "category"),
    ("controlId", "control_id"),
    ("controlState", "control_state"),
    ("implementationCost", "implementation_cost"),
    ("service", "service"),
    ("threats", "threats"),
    ("tier", "tier"),
    ("userImpact", "user_impact"),
)


def control_key(tenant_id: str, control_id: str) -> str:
    """Key of a control: ``secure_score:1:<tenant>/<control id>``.

    Raises:
        Unidentified: one of them is empty.
    """
    if not line(control_id):
        raise Unidentified("it names no control (id)")
    if not line(tenant_id):
        raise Unidentified("it names no tenant (azureTenantId)")
    return make_key("secure_score", tenant_id, control_id, separator="/")


def read_control(body: Fields, received_at: datetime) -> Signal:
    """Read a control. Raises Unidentified for one without id or tenant, and for one that is deprecated."""
    profile = object_of(body.get("profile")) or body
    control_id = given(profile.get("id"))
    score, day = _score_of(object_of(body.get("score")), control_id)
    tenant = given(profile.get("azuretenantid")) or given(day.get("azuretenantid"))
    tenant = tenant or given(body.get("tenant_id")) or given(body.get("tenantid"))
    builder = SignalBuilder(kind="control", received_at=received_at, source=SOURCE, resources=ResourceList())
    builder.key = control_key(tenant, control_id)
    if given(profile.get("deprecated")).lower() == "true":
        raise Unidentified(f"the control {control_id[:80]!r} is deprecated, and deprecated controls get no tickets")
    builder.detail("control_id", control_id)
    builder.detail("tenant_id", tenant)
    builder.origin = f"{tenant}/{control_id}"
    _read_profile(builder, profile)
    state, since = _read_updates(builder, profile)
    share, score_at = _read_score(builder, score, day)
    builder.orders_at = max(filter(None, (score_at, since, moment(profile.get("lastmodifieddatetime")))), default=None)
    _decide_state(builder, share, (state, since), score_at)
    if builder.state is SignalState.FIRED and not _is_scored(builder, profile, score):
        builder.opens = False
        builder.warn("Microsoft does not score this control, so it opens no ticket by itself.")
    for name, detail in _DIMENSIONS:
        if found := builder.details.get(detail):
            builder.dimensions[name] = found
    return builder.finish()


def _score_of(score: Fields, control_id: str) -> tuple[Fields, Fields]:
    """The control's own entry, and the object that names the day and the tenant."""
    for item in array_of(score.get("controlscores"))[:_MOST]:
        entry = fold(item)
        if given(entry.get("controlname")).lower() == control_id.lower():
            return entry, score
    return ({} if "controlscores" in score else score), score


def _read_profile(builder: SignalBuilder, profile: Fields) -> None:
    title = line(plain(given(profile.get("title"))))
    builder.rule = title
    builder.heading = title or f"Secure Score control {builder.details['control_id']}"
    category = given(profile.get("controlcategory"))
    builder.detail("category", _CATEGORIES.get(squash(category), category))
    builder.detail("service", profile.get("service"))
    builder.detail("tier", profile.get("tier"))
    builder.detail("action_type", profile.get("actiontype"))
    builder.detail("rank", profile.get("rank"))
    builder.detail("user_impact", profile.get("userimpact"))
    builder.detail("implementation_cost", profile.get("implementationcost"))
    builder.detail("remediation_steps", plain(given(profile.get("remediation"))))
    builder.detail("remediation_impact", plain(given(profile.get("remediationimpact"))))
    builder.detail("threats", ", ".join(dict.fromkeys(line(word) for word in texts(profile.get("threats"), 50))))
    vendor = object_of(profile.get("vendorinformation"))
    # what is not Microsoft's own, users have added
    own = squash(vendor.get("vendor")) in ("", "microsoft") or squash(vendor.get("provider")) == "securescore"
    builder.detail("recommendation_source", "Microsoft" if own else "User")
    most = number(profile.get("maxscore"))
    if most is not None:
        builder.detail("max_score", _points(most))
        builder.severity = next((level for least, level in _SEVERITIES if most >= least), 3)
    builder.detail("action_url", profile.get("actionurl"))
    builder.link("portal", profile.get("actionurl"))


def effective_update(profile: object) -> Fields:
    """The latest of a profile's ``controlStateUpdates``, with the names in lower case; empty where there is none."""
    return _latest_update(fold(profile))[0]


def _latest_update(profile: Fields) -> tuple[Fields, datetime]:
    latest: Fields = {}
    since = _ALWAYS
    for item in array_of(profile.get("controlstateupdates"))[:_MOST]:
        update = fold(item)
        at = moment(update.get("updateddatetime")) or _ALWAYS
        if given(update.get("state")) and at >= since:
            latest, since = update, at
    return latest, since


def _read_updates(builder: SignalBuilder, profile: Fields) -> tuple[str, datetime | None]:
    """Effective state and since when: that of the latest update, Default where there is none."""
    latest, since = _latest_update(profile)
    stated = given(latest.get("state"))
    state = _STATES.get(squash(stated), stated) or "Default"
    if state not in _STATES.values():
        builder.warn(f"The control's state {stated[:40]!r} is not known; it is taken as Default.")
    builder.detail("control_state", state)
    builder.detail("state_comment", latest.get("comment"))
    builder.detail("assigned_to", latest.get("assignedto"))
    builder.detail("state_updated_by", latest.get("updatedby"))
    return state, (since if since > _ALWAYS else None)


def _read_score(builder: SignalBuilder, score: Fields, day: Fields) -> tuple[float | None, datetime | None]:
    """Percentage reached, and when. Points come as numbers or as text, descriptions as HTML."""
    points, most = number(score.get("score")), number(builder.details.get("max_score"))
    share = number(score.get("scoreinpercentage"))
    if points is not None and most:
        share = 100 * points / most  # the other is rounded
    if points is not None:
        builder.detail("score", _points(points))
    if share is not None:
        builder.detail("score_percentage", _points(share))
    description = plain(given(score.get("description")))
    status = plain(given(score.get("implementationstatus")))
    builder.prose += [description, status]
    builder.detail("implementation_status", status)
    at = max(filter(None, map(moment, (day.get("createddatetime"), score.get("lastsynced")))), default=None)
    builder.detail("score_date", rfc3339(at))
    return share, at


def _decide_state(
    builder: SignalBuilder, share: float | None, settled: tuple[str, datetime | None], score_at: datetime | None
) -> None:
    details = builder.details
    state, since = settled
    now = f"Score {details['score']}" if "score" in details else "No score is known"
    most = f" of {details['max_score']}" if "max_score" in details and "score" in details else ""
    percentage = f" ({details['score_percentage']} %)" if share is not None else ""
    builder.condition = f"{now}{most}{percentage}."
    if share is not None and share >= 100:
        builder.detail("resolution", "full_score")
        builder.state, builder.resolved_at = SignalState.RESOLVED, score_at
        builder.condition += " The control has its full score."
    elif state in _SETTLED:
        resolution, words = _SETTLED[state]
        builder.detail("resolution", resolution)
        builder.state, builder.resolved_at = SignalState.RESOLVED, since
        builder.condition += f" {words}"
    else:
        builder.fired_at = score_at


def _is_scored(builder: SignalBuilder, profile: Fields, score: Fields) -> bool:
    """Whether the control can bring points in this tenant. Entries say NotScored in one of their short values."""
    most = number(builder.details.get("max_score"))
    if most is None or most <= 0:
        return False
    return not any(
        isinstance(value, str) and len(value) <= _LONGEST_STATUS and squash(value) == "notscored"
        for value in (*score.values(), *profile.values())
    )


def _points(value: float) -> str:
    """Points and shares as people write them: ``6.5``, ``10``."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < 1e9 else f"{value:g}"
